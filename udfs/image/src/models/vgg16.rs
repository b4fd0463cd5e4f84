//! VGG16 without its top, as Keras Applications builds it.
//!
//! Five blocks of 3×3 convolutions with bias and ReLU, each followed by 2×2 maximum pooling:
//! (n, 224, 224, 3) becomes (n, 7, 7, 512).
//!
//! - Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
//!   ICLR 2015, configuration D: <https://arxiv.org/abs/1409.1556>
//! - Reference implementation: `keras/src/applications/vgg16.py`

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Network;

/// Convolutions and output channels of each block.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];
const KERNEL: usize = 3;
const IMAGE_CHANNELS: usize = 3;

/// The network, ready to run.
#[derive(Debug)]
pub(super) struct Vgg16 {
    blocks: Vec<Vec<Convolution>>,
}

#[derive(Debug)]
struct Convolution {
    /// (output, input, height, width)
    kernel: Tensor,
    /// (1, output, 1, 1)
    bias: Tensor,
}

impl Vgg16 {
    pub(super) fn load(variables: &VarBuilder<'_>) -> Result<Self> {
        let mut inputs = IMAGE_CHANNELS;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (block, (layers, outputs)) in (1..).zip(BLOCKS) {
            let mut convolutions = Vec::with_capacity(layers);
            for layer in 1..=layers {
                let layer = variables.pp(format!("block{block}_conv{layer}"));
                convolutions.push(Convolution::load(&layer, inputs, outputs)?);
                inputs = outputs;
            }
            blocks.push(convolutions);
        }
        Ok(Self { blocks })
    }
}

impl Network for Vgg16 {
    fn parameter_count(&self) -> usize {
        self.blocks
            .iter()
            .flatten()
            .map(|layer| layer.kernel.elem_count() + layer.bias.elem_count())
            .sum()
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut map = images.permute((0, 3, 1, 2))?.contiguous()?;
        for block in &self.blocks {
            for convolution in block {
                map = convolution.forward(&map)?;
            }
            map = map.max_pool2d(2)?;
        }
        map.permute((0, 2, 3, 1))?.contiguous()
    }
}

impl Convolution {
    fn load(variables: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let kernel = variables.get((KERNEL, KERNEL, inputs, outputs), "kernel")?;
        let bias = variables.get(outputs, "bias")?;
        Ok(Self {
            kernel: kernel.permute((3, 2, 0, 1))?.contiguous()?,
            bias: bias.reshape((1, outputs, 1, 1))?,
        })
    }

    fn forward(&self, map: &Tensor) -> Result<Tensor> {
        map.conv2d(&self.kernel, KERNEL / 2, 1, 1, 1)?
            .broadcast_add(&self.bias)?
            .relu()
    }
}
