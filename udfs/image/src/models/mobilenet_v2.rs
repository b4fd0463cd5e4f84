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

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::convolution::{Folded, Plane};
use super::{LayerKind, Network};
use crate::conventions::Conventions;
use crate::pool::ComputePool;

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
const IMAGE_CHANNELS: usize = 3;
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
    stem: Plane,
    blocks: Vec<Block>,
    head: Plane,
}

#[derive(Debug)]
struct Block {
    expand: Option<Plane>,
    depthwise: Plane,
    project: Plane,
    residual: bool,
}

impl MobileNetV2 {
    pub(super) fn load(variables: &VarBuilder<'_>, conventions: Conventions) -> Result<Self> {
        let mut loader = Loader {
            variables,
            conventions,
            parameter_count: 0,
        };
        let stem = loader.dense("Conv1", "bn_Conv1", 3, IMAGE_CHANNELS, STEM_CHANNELS)?;
        let stem = loader.plane(&stem, 2, true)?;
        let mut built = Vec::new();
        for shape in blocks() {
            built.push(loader.block(&shape)?);
        }
        let last = GROUPS.last().map_or(0, |(_, outputs, ..)| *outputs);
        let head = loader.dense("Conv_1", "Conv_1_bn", 1, last, HEAD_CHANNELS)?;
        Ok(Self {
            stem,
            blocks: built,
            head: loader.plane(&head, 1, true)?,
            parameter_count: loader.parameter_count,
        })
    }

    fn run(&self, images: &Tensor) -> Result<Tensor> {
        let mut map = self.stem.forward(&images.permute((0, 3, 1, 2))?)?;
        for block in &self.blocks {
            map = block.forward(&map)?;
        }
        self.head.forward(&map)?.permute((0, 2, 3, 1))?.contiguous()
    }
}

impl Network for MobileNetV2 {
    fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    fn forward(&self, images: &Tensor, pool: &ComputePool) -> Result<Tensor> {
        pool.run_alone(|| self.run(images))
    }
}

impl Block {
    fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let expanded = match &self.expand {
            Some(expand) => &expand.forward(map)?,
            None => map,
        };
        let out = self.project.forward(&self.depthwise.forward(expanded)?)?;
        if self.residual { out + map } else { Ok(out) }
    }
}

/// Reads convolutions, folds their batch normalisation and counts what it reads.
struct Loader<'a, 'b> {
    variables: &'a VarBuilder<'b>,
    conventions: Conventions,
    parameter_count: usize,
}

impl Loader<'_, '_> {
    fn block(&mut self, shape: &BlockShape) -> Result<Block> {
        let BlockShape { name, .. } = shape;
        let expand = if shape.expands() {
            let (layer, norm) = (format!("{name}_expand"), format!("{name}_expand_BN"));
            let folded = self.dense(&layer, &norm, 1, shape.inputs, shape.hidden)?;
            Some(self.plane(&folded, 1, true)?)
        } else {
            None
        };
        let folded = self.depthwise(name, shape.hidden)?;
        let depthwise = self.plane(&folded, shape.stride, true)?;
        let (layer, norm) = (format!("{name}_project"), format!("{name}_project_BN"));
        let folded = self.dense(&layer, &norm, 1, shape.hidden, shape.outputs)?;
        Ok(Block {
            expand,
            depthwise,
            project: self.plane(&folded, 1, false)?,
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
        let kernel = self
            .variables
            .pp(layer)
            .get((size, size, inputs, outputs), "kernel")?;
        self.fold(&kernel, [size, size, inputs, outputs], norm)
    }

    fn depthwise(&mut self, block: &str, channels: usize) -> Result<Folded> {
        let layer = self.variables.pp(format!("{block}_depthwise"));
        let kernel = layer.get((3, 3, channels, 1), "depthwise_kernel")?;
        // One input channel to each output channel: the same numbers in the same order.
        self.fold(
            &kernel,
            [3, 3, 1, channels],
            &format!("{block}_depthwise_BN"),
        )
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
            self.conventions.batch_norm_epsilon,
        ))
    }

    fn plane(&self, folded: &Folded, stride: usize, relu6: bool) -> Result<Plane> {
        let padding = match (folded.dims, stride) {
            ([1, ..], _) => (0, 0),
            (_, 1) => (1, 1),
            _ => self.conventions.strided_padding.amounts(),
        };
        Plane::new(folded, stride, padding, relu6, self.variables.device())
    }
}
