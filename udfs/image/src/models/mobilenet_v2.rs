//! MobileNetV2 (alpha 1.0) without its top, as Keras Applications builds it.
//!
//! A strided convolution, seventeen inverted residual blocks (1×1 expansion, 3×3 depthwise
//! convolution, 1×1 projection without activation) and a 1×1 convolution:
//! (n, 224, 224, 3) becomes (n, 7, 7, 1280). Batch normalisation is folded into the convolutions
//! when the weights are loaded.
//!
//! - Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear
//!   bottlenecks", CVPR 2018: <https://arxiv.org/abs/1801.04381>
//! - Reference implementation: `keras/src/applications/mobilenet_v2.py`

use candle_core::{Error, Result, Tensor};
use candle_nn::VarBuilder;
use featurize_kernels::{ConvWeights, InvertedResidualStack, Window};

use super::convolution::{Folded, Plane};
use super::{Implementation, LayerKind, Network, fused};
use crate::conventions::Conventions;
use crate::pool::Workers;

/// Expansion factor, output channels, blocks, and stride of the first of them.
const GROUPS: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
/// Height, width and channels of an image.
const IMAGE: (usize, usize, usize) = (224, 224, 3);
const STEM_CHANNELS: usize = 32;
const HEAD_CHANNELS: usize = 1280;

/// Shape of one inverted residual block.
#[derive(Debug, Clone)]
struct BlockShape {
    /// Prefix of its layers' names in Keras.
    name: String,
    inputs: usize,
    /// Channels of the depthwise convolution; the same as `inputs` where nothing is expanded.
    hidden: usize,
    outputs: usize,
    stride: usize,
}

impl BlockShape {
    fn expands(&self) -> bool {
        self.hidden != self.inputs
    }

    fn is_residual(&self) -> bool {
        self.stride == 1 && self.inputs == self.outputs
    }
}

/// The seventeen blocks, in order.
fn blocks() -> Vec<BlockShape> {
    let mut inputs = STEM_CHANNELS;
    let mut blocks = Vec::new();
    for (factor, outputs, count, first_stride) in GROUPS {
        for index in 0..count {
            let name = match blocks.len() {
                0 => "expanded_conv".to_owned(),
                number => format!("block_{number}"),
            };
            blocks.push(BlockShape {
                name,
                inputs,
                hidden: inputs * factor,
                outputs,
                stride: if index == 0 { first_stride } else { 1 },
            });
            inputs = outputs;
        }
    }
    blocks
}

/// Layers with variables, in Keras's order, with the modules torchvision keeps them in.
pub(super) fn layers() -> Vec<(LayerKind, String, String)> {
    use LayerKind::{BatchNormalization, Conv2d, DepthwiseConv2d};

    let mut layers = vec![
        (Conv2d, "Conv1".to_owned(), "features.0.0".to_owned()),
        (
            BatchNormalization,
            "bn_Conv1".to_owned(),
            "features.0.1".to_owned(),
        ),
    ];
    for (index, block) in (1..).zip(blocks()) {
        let BlockShape { name, .. } = &block;
        let module = format!("features.{index}.conv");
        let mut position = 0;
        if block.expands() {
            layers.push((Conv2d, format!("{name}_expand"), format!("{module}.0.0")));
            layers.push((
                BatchNormalization,
                format!("{name}_expand_BN"),
                format!("{module}.0.1"),
            ));
            position = 1;
        }
        layers.push((
            DepthwiseConv2d,
            format!("{name}_depthwise"),
            format!("{module}.{position}.0"),
        ));
        layers.push((
            BatchNormalization,
            format!("{name}_depthwise_BN"),
            format!("{module}.{position}.1"),
        ));
        layers.push((
            Conv2d,
            format!("{name}_project"),
            format!("{module}.{}", position + 1),
        ));
        layers.push((
            BatchNormalization,
            format!("{name}_project_BN"),
            format!("{module}.{}", position + 2),
        ));
    }
    layers.push((Conv2d, "Conv_1".to_owned(), "features.18.0".to_owned()));
    layers.push((
        BatchNormalization,
        "Conv_1_bn".to_owned(),
        "features.18.1".to_owned(),
    ));
    layers
}

/// The network, ready to run.
#[derive(Debug)]
pub(super) struct MobileNetV2 {
    parameter_count: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Kernels(Box<InvertedResidualStack>),
    Candle(Box<Planes>),
}

impl MobileNetV2 {
    pub(super) fn load(
        variables: &VarBuilder<'_>,
        conventions: Conventions,
        implementation: Implementation,
    ) -> Result<Self> {
        let layers = Layers::load(variables, conventions)?;
        let body = match implementation {
            Implementation::Kernels => {
                let stack = layers.stack()?;
                log::debug!(
                    "mobilenet_v2: {} MB of packed weights, {} MB for each thread, {:?}",
                    stack.packed_bytes() >> 20,
                    stack.workspace_bytes() >> 20,
                    stack.isa()
                );
                Body::Kernels(Box::new(stack))
            }
            Implementation::Candle => Body::Candle(Box::new(layers.planes(variables)?)),
        };
        Ok(Self {
            parameter_count: layers.parameter_count,
            body,
        })
    }
}

impl Network for MobileNetV2 {
    fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    fn forward(&self, images: &Tensor, workers: Workers<'_>) -> Result<Tensor> {
        match &self.body {
            Body::Kernels(stack) => fused::forward(images, stack.as_ref(), workers),
            Body::Candle(planes) => workers.run_alone(|| planes.forward(images, workers))?,
        }
    }
}

/// The convolutions with their batch normalisation folded in.
struct Layers {
    parameter_count: usize,
    conventions: Conventions,
    stem: Folded,
    blocks: Vec<Block<Folded>>,
    head: Folded,
}

/// One inverted residual block.
#[derive(Debug)]
struct Block<T> {
    expand: Option<T>,
    depthwise: T,
    stride: usize,
    project: T,
    residual: bool,
}

impl Layers {
    fn load(variables: &VarBuilder<'_>, conventions: Conventions) -> Result<Self> {
        let mut loader = Loader {
            variables,
            epsilon: conventions.batch_norm_epsilon,
            parameter_count: 0,
        };
        let stem = loader.dense("Conv1", "bn_Conv1", 3, IMAGE.2, STEM_CHANNELS)?;
        let shapes = blocks();
        let inputs = shapes.last().map_or(STEM_CHANNELS, |block| block.outputs);
        let blocks = shapes
            .iter()
            .map(|shape| loader.block(shape))
            .collect::<Result<_>>()?;
        let head = loader.dense("Conv_1", "Conv_1_bn", 1, inputs, HEAD_CHANNELS)?;
        Ok(Self {
            parameter_count: loader.parameter_count,
            conventions,
            stem,
            blocks,
            head,
        })
    }

    /// How a 3×3 window moves.
    fn window(&self, stride: usize) -> Window {
        let padding = match stride {
            1 => (1, 1),
            _ => self.conventions.strided_padding.amounts(),
        };
        Window { stride, padding }
    }

    /// For the CPU kernels.
    fn stack(&self) -> Result<InvertedResidualStack> {
        let (height, width, channels) = IMAGE;
        let mut stack = InvertedResidualStack::builder(height, width, channels)
            .and_then(|stack| stack.stem(self.stem.weights(), self.window(2)))
            .map_err(Error::wrap)?;
        for block in &self.blocks {
            let depthwise = block.depthwise.weights();
            let window = self.window(block.stride);
            let project = block.project.weights();
            stack = match &block.expand {
                None => stack.separable(depthwise, window, project),
                Some(expand) => {
                    stack.inverted_residual(expand.weights(), depthwise, window, project)
                }
            }
            .map_err(Error::wrap)?;
        }
        stack
            .head(self.head.weights())
            .and_then(|stack| stack.build())
            .map_err(Error::wrap)
    }

    /// For Candle's own operations.
    fn planes(&self, variables: &VarBuilder<'_>) -> Result<Planes> {
        let device = variables.device();
        let point = Window {
            stride: 1,
            padding: (0, 0),
        };
        let activated = |folded, window| Plane::new(folded, window, true, device);
        let blocks = self.blocks.iter().map(|block| {
            Ok(Block {
                expand: match &block.expand {
                    Some(expand) => Some(activated(expand, point)?),
                    None => None,
                },
                depthwise: activated(&block.depthwise, self.window(block.stride))?,
                stride: block.stride,
                project: Plane::new(&block.project, point, false, device)?,
                residual: block.residual,
            })
        });
        Ok(Planes {
            stem: activated(&self.stem, self.window(2))?,
            blocks: blocks.collect::<Result<_>>()?,
            head: activated(&self.head, point)?,
        })
    }
}

impl Folded {
    fn weights(&self) -> ConvWeights<'_> {
        ConvWeights {
            kernel: &self.kernel,
            bias: &self.bias,
        }
    }
}

/// Reads convolutions, folds their batch normalisation and counts what it reads.
struct Loader<'a, 'b> {
    variables: &'a VarBuilder<'b>,
    epsilon: f64,
    parameter_count: usize,
}

impl Loader<'_, '_> {
    fn block(&mut self, shape: &BlockShape) -> Result<Block<Folded>> {
        let BlockShape { name, .. } = shape;
        let expand = if shape.expands() {
            let (layer, norm) = (format!("{name}_expand"), format!("{name}_expand_BN"));
            Some(self.dense(&layer, &norm, 1, shape.inputs, shape.hidden)?)
        } else {
            None
        };
        let depthwise = self.depthwise(name, shape.hidden)?;
        let (layer, norm) = (format!("{name}_project"), format!("{name}_project_BN"));
        let project = self.dense(&layer, &norm, 1, shape.hidden, shape.outputs)?;
        Ok(Block {
            expand,
            depthwise,
            stride: shape.stride,
            project,
            residual: shape.is_residual(),
        })
    }

    fn dense(
        &mut self,
        layer: &str,
        norm: &str,
        size: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Folded> {
        let layer = self.variables.pp(layer);
        let kernel = layer.get((size, size, inputs, outputs), "kernel")?;
        self.fold(&kernel, [size, size, inputs, outputs], norm)
    }

    fn depthwise(&mut self, block: &str, channels: usize) -> Result<Folded> {
        let layer = self.variables.pp(format!("{block}_depthwise"));
        let kernel = layer.get((3, 3, channels, 1), "depthwise_kernel")?;
        // One input channel to each output channel: the same numbers in the same order.
        let norm = format!("{block}_depthwise_BN");
        self.fold(&kernel, [3, 3, 1, channels], &norm)
    }

    fn fold(&mut self, kernel: &Tensor, dims: [usize; 4], norm: &str) -> Result<Folded> {
        let [.., outputs] = dims;
        let norm = self.variables.pp(norm);
        let variable = |name| norm.get(outputs, name)?.to_vec1::<f32>();
        self.parameter_count += kernel.elem_count() + 4 * outputs;
        Ok(Folded::new(
            kernel.flatten_all()?.to_vec1()?,
            dims,
            &variable("gamma")?,
            &variable("beta")?,
            &variable("moving_mean")?,
            &variable("moving_variance")?,
            self.epsilon,
        ))
    }
}

/// The network in Candle's own operations.
#[derive(Debug)]
struct Planes {
    stem: Plane,
    blocks: Vec<Block<Plane>>,
    head: Plane,
}

impl Planes {
    fn forward(&self, images: &Tensor, workers: Workers<'_>) -> Result<Tensor> {
        let mut map = self.stem.forward(&images.permute((0, 3, 1, 2))?)?;
        for block in &self.blocks {
            workers.check().map_err(Error::wrap)?;
            map = block.forward(&map)?;
        }
        let map = self.head.forward(&map)?;
        map.permute((0, 2, 3, 1))?.contiguous()
    }
}

impl Block<Plane> {
    fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let expanded = match &self.expand {
            Some(expand) => &expand.forward(map)?,
            None => map,
        };
        let out = self.project.forward(&self.depthwise.forward(expanded)?)?;
        if self.residual { out + map } else { Ok(out) }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cancel::CancelToken;
    use crate::models::Architecture;
    use crate::pool::ComputePool;
    use crate::weights::WeightsSpec;

    /// As for VGG16: which implementation ran must not show in the vectors.
    #[test]
    fn kernels_agree_with_candle() {
        let weights = WeightsSpec::Seeded.load(Architecture::MobileNetV2).unwrap();
        let variables = weights.var_builder(&Device::Cpu);
        let pool = ComputePool::shared(0).unwrap();
        let workers = Workers {
            pool: &pool,
            cancel: &CancelToken::new(),
        };
        let size = (1, IMAGE.0, IMAGE.1, IMAGE.2);
        let images = Tensor::rand(-1f32, 1f32, size, &Device::Cpu).unwrap();
        for conventions in [weights.conventions(), Conventions::torchvision()] {
            let forward = |implementation| {
                let network = MobileNetV2::load(&variables, conventions, implementation).unwrap();
                assert_eq!(network.parameter_count(), 2_257_984);
                let maps = network.forward(&images, workers).unwrap();
                assert_eq!(maps.dims(), [1, 7, 7, 1280]);
                maps.to_dtype(DType::F64).unwrap()
            };
            let expected = forward(Implementation::Candle);
            let found = forward(Implementation::Kernels);
            let norm = |tensor: &Tensor| {
                let squares = tensor.sqr().unwrap().sum_all().unwrap();
                squares.to_scalar::<f64>().unwrap().sqrt()
            };
            let error = norm(&(&found - &expected).unwrap()) / norm(&expected);
            // Each side is off by about 1e-5 from f64, as Keras is when it runs in f32: with random
            // weights the network amplifies rounding.
            assert!(error < 5e-5, "{error}");
        }
    }
}
