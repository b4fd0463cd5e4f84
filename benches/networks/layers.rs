//! The networks layer by layer, as torchvision pads them: symmetrically, so that no engine needs a layer
//! just for zeros. Batch normalisation counts as folded.

use featurize_kernels::{
    Activation::{self, Linear, Relu, Relu6},
    Conv, Graph, Layer, Node, Padding, Window,
};

use super::{Kind, Numbers, Outcome};

/// Output channels of VGG16's convolutions; 0 is a max pool.
const VGG16: [usize; 18] = [
    64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0,
];
/// MobileNetV2's blocks after the first: output channels, repetitions, stride of the first one.
const MOBILENET_V2: [(usize, usize, usize); 6] = [
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
];
/// ResNet50's stages: channels within a bottleneck, repetitions, stride of the first one.
const RESNET50: [(usize, usize, usize); 4] = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)];

/// The network, with weights from `numbers`.
pub(crate) fn graph(kind: Kind, numbers: &mut Numbers) -> Outcome<Graph> {
    let mut layers = Layers {
        graph: Graph::new(3),
        numbers,
    };
    match kind {
        Kind::Vgg16 => layers.vgg16()?,
        Kind::MobileNetV2 => layers.mobilenet_v2()?,
        Kind::ResNet50 => layers.resnet50()?,
        Kind::InceptionV3 => layers.inception_v3()?,
    };
    Ok(layers.graph)
}

/// A window that leaves the size as it is, where the stride is 1.
fn same(size: usize, stride: usize) -> Window {
    Window::new(size, stride, Padding::Zeros(size / 2, size / 2))
}

/// A window on pixels only.
fn valid(size: usize, stride: usize) -> Window {
    Window::new(size, stride, Padding::Zeros(0, 0))
}

struct Layers<'a> {
    graph: Graph,
    numbers: &'a mut Numbers,
}

impl Layers<'_> {
    fn vgg16(&mut self) -> Outcome<Node> {
        let mut map = self.graph.input();
        for outputs in VGG16 {
            map = match outputs {
                0 => self.graph.push(Layer::MaxPool(map, valid(2, 2)))?,
                _ => self.conv(map, outputs, same(3, 1))?,
            };
        }
        Ok(map)
    }

    fn mobilenet_v2(&mut self) -> Outcome<Node> {
        let mut map = self.any_conv(self.graph.input(), 32, same(3, 2), 1, Relu6)?;
        map = self.any_conv(map, 32, same(3, 1), 32, Relu6)?;
        map = self.any_conv(map, 16, Window::POINT, 1, Linear)?;
        for (outputs, count, first_stride) in MOBILENET_V2 {
            for index in 0..count {
                let stride = if index == 0 { first_stride } else { 1 };
                let (input, wide) = (map, 6 * self.graph.channels(map));
                map = self.any_conv(map, wide, Window::POINT, 1, Relu6)?;
                map = self.any_conv(map, wide, same(3, stride), wide, Relu6)?;
                map = self.any_conv(map, outputs, Window::POINT, 1, Linear)?;
                if index > 0 {
                    map = self.graph.push(Layer::Add([input, map], Linear))?;
                }
            }
        }
        self.any_conv(map, 1280, Window::POINT, 1, Relu6)
    }

    fn resnet50(&mut self) -> Outcome<Node> {
        let mut map = self.conv(self.graph.input(), 64, same(7, 2))?;
        map = self.graph.push(Layer::MaxPool(map, same(3, 2)))?;
        for (channels, count, first_stride) in RESNET50 {
            for index in 0..count {
                let stride = if index == 0 { first_stride } else { 1 };
                let shortcut = match index {
                    0 => self.any_conv(map, 4 * channels, valid(1, stride), 1, Linear)?,
                    _ => map,
                };
                map = self.conv(map, channels, Window::POINT)?;
                map = self.conv(map, channels, same(3, stride))?;
                map = self.any_conv(map, 4 * channels, Window::POINT, 1, Linear)?;
                map = self.graph.push(Layer::Add([shortcut, map], Relu))?;
            }
        }
        Ok(map)
    }

    fn inception_v3(&mut self) -> Outcome<Node> {
        let mut map = self.conv(self.graph.input(), 32, valid(3, 2))?;
        map = self.conv(map, 32, valid(3, 1))?;
        map = self.conv(map, 64, same(3, 1))?;
        map = self.graph.push(Layer::MaxPool(map, valid(3, 2)))?;
        map = self.conv(map, 80, Window::POINT)?;
        map = self.conv(map, 192, valid(3, 1))?;
        map = self.graph.push(Layer::MaxPool(map, valid(3, 2)))?;
        for pooled in [32, 64, 64] {
            let one = self.chain(map, &[(64, 1, 1)])?;
            let five = self.chain(map, &[(48, 1, 1), (64, 5, 5)])?;
            let three = self.chain(map, &[(64, 1, 1), (96, 3, 3), (96, 3, 3)])?;
            let mean = self.pooled(map, pooled)?;
            map = self.concat(vec![one, five, three, mean])?;
        }
        let three = self.conv(map, 384, valid(3, 2))?;
        let double = self.chain(map, &[(64, 1, 1), (96, 3, 3)])?;
        let double = self.conv(double, 96, valid(3, 2))?;
        let largest = self.graph.push(Layer::MaxPool(map, valid(3, 2)))?;
        map = self.concat(vec![three, double, largest])?;
        for c in [128, 160, 160, 192] {
            let one = self.chain(map, &[(192, 1, 1)])?;
            let seven = self.chain(map, &[(c, 1, 1), (c, 1, 7), (192, 7, 1)])?;
            let double = [(c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7)];
            let double = self.chain(map, &double)?;
            let mean = self.pooled(map, 192)?;
            map = self.concat(vec![one, seven, double, mean])?;
        }
        let three = self.chain(map, &[(192, 1, 1)])?;
        let three = self.conv(three, 320, valid(3, 2))?;
        let seven = self.chain(map, &[(192, 1, 1), (192, 1, 7), (192, 7, 1)])?;
        let seven = self.conv(seven, 192, valid(3, 2))?;
        let largest = self.graph.push(Layer::MaxPool(map, valid(3, 2)))?;
        map = self.concat(vec![three, seven, largest])?;
        for _ in 0..2 {
            let one = self.chain(map, &[(320, 1, 1)])?;
            let three = self.chain(map, &[(384, 1, 1)])?;
            let three = self.split(three)?;
            let double = self.chain(map, &[(448, 1, 1), (384, 3, 3)])?;
            let double = self.split(double)?;
            let mean = self.pooled(map, 192)?;
            map = self.concat(vec![one, three, double, mean])?;
        }
        Ok(map)
    }

    /// A wide and a tall convolution, side by side.
    fn split(&mut self, input: Node) -> Outcome<Node> {
        let wide = self.chain(input, &[(384, 1, 3)])?;
        let tall = self.chain(input, &[(384, 3, 1)])?;
        self.concat(vec![wide, tall])
    }

    /// The mean of the neighbours, and a 1×1 convolution.
    fn pooled(&mut self, input: Node, outputs: usize) -> Outcome<Node> {
        let mean = self.graph.push(Layer::AveragePool {
            input,
            window: same(3, 1),
            counts_zeros: true,
        })?;
        self.conv(mean, outputs, Window::POINT)
    }

    /// Convolutions one after the other: output channels, height and width of the kernel.
    fn chain(&mut self, input: Node, layers: &[(usize, usize, usize)]) -> Outcome<Node> {
        layers
            .iter()
            .try_fold(input, |map, (outputs, height, width)| {
                let window = Window {
                    size: (*height, *width),
                    stride: 1,
                    padding: Padding::Zeros(height / 2, width / 2),
                };
                self.conv(map, *outputs, window)
            })
    }

    fn concat(&mut self, parts: Vec<Node>) -> Outcome<Node> {
        Ok(self.graph.push(Layer::Concat(parts))?)
    }

    fn conv(&mut self, input: Node, outputs: usize, window: Window) -> Outcome<Node> {
        self.any_conv(input, outputs, window, 1, Relu)
    }

    fn any_conv(
        &mut self,
        input: Node,
        outputs: usize,
        window: Window,
        groups: usize,
        activation: Activation,
    ) -> Outcome<Node> {
        let fan_in = window.size.0 * window.size.1 * self.graph.channels(input) / groups;
        // He and others, "Delving deep into rectifiers" (2015); no bias that drowns the rest.
        let deviation = (2.0 / fan_in as f32).sqrt();
        Ok(self.graph.push(Layer::Conv(Conv {
            input,
            kernel: self.numbers.take(fan_in * outputs, deviation),
            bias: self.numbers.take(outputs, 0.1),
            window,
            groups,
            activation,
        }))?)
    }
}
