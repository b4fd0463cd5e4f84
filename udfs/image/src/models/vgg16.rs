//! VGG16 without its top, as Keras Applications builds it.
//!
//! Five blocks of 3×3 convolutions with bias and ReLU, each followed by 2×2 maximum pooling:
//! (n, 224, 224, 3) becomes (n, 7, 7, 512).
//!
//! - Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
//!   ICLR 2015, configuration D: <https://arxiv.org/abs/1409.1556>
//! - Reference implementation: `keras/src/applications/vgg16.py`

use candle_core::{Error, Result, Tensor};
use candle_nn::VarBuilder;
use featurize_kernels::ConvStack;

use super::{Implementation, LayerKind, Network, fused};
use crate::pool::Workers;

/// Convolutions and output channels of each block.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];
const KERNEL: usize = 3;
/// Height, width and channels of an image.
const IMAGE: (usize, usize, usize) = (224, 224, 3);

/// Positions of the convolutions among torchvision's layers.
const TORCHVISION: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];

/// Layers with variables, in Keras's order, with the modules torchvision keeps them in.
pub(super) fn layers() -> Vec<(LayerKind, String, String)> {
    let names = (1..).zip(BLOCKS).flat_map(|(block, (layers, _))| {
        (1..=layers).map(move |layer| format!("block{block}_conv{layer}"))
    });
    names
        .zip(TORCHVISION)
        .map(|(name, index)| (LayerKind::Conv2d, name, format!("features.{index}")))
        .collect()
}

/// The network, ready to run.
#[derive(Debug)]
pub(super) struct Vgg16 {
    parameter_count: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Kernels(Box<ConvStack>),
    Candle(Vec<Vec<Convolution>>),
}

impl Vgg16 {
    pub(super) fn load(variables: &VarBuilder<'_>, implementation: Implementation) -> Result<Self> {
        let (height, width, mut inputs) = IMAGE;
        let mut parameter_count = 0;
        let mut stack = ConvStack::builder(height, width, inputs).map_err(Error::wrap)?;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (block, (layers, outputs)) in (1..).zip(BLOCKS) {
            let mut convolutions = Vec::with_capacity(layers);
            for layer in 1..=layers {
                let layer = variables.pp(format!("block{block}_conv{layer}"));
                let kernel = layer.get((KERNEL, KERNEL, inputs, outputs), "kernel")?;
                let bias = layer.get(outputs, "bias")?;
                parameter_count += kernel.elem_count() + bias.elem_count();
                match implementation {
                    Implementation::Kernels => {
                        let kernel = kernel.flatten_all()?.to_vec1::<f32>()?;
                        let bias = bias.to_vec1::<f32>()?;
                        stack = stack.conv3x3_relu(&kernel, &bias).map_err(Error::wrap)?;
                    }
                    Implementation::Candle => {
                        convolutions.push(Convolution::new(&kernel, &bias)?);
                    }
                }
                inputs = outputs;
            }
            match implementation {
                Implementation::Kernels => stack = stack.max_pool2().map_err(Error::wrap)?,
                Implementation::Candle => blocks.push(convolutions),
            }
        }
        let body = match implementation {
            Implementation::Kernels => {
                let stack = stack.build().map_err(Error::wrap)?;
                log::debug!(
                    "vgg16: {} MB of packed weights, {} MB for each micro-batch in flight, {:?}",
                    stack.packed_bytes() >> 20,
                    stack.workspace_bytes() >> 20,
                    stack.isa()
                );
                Body::Kernels(Box::new(stack))
            }
            Implementation::Candle => Body::Candle(blocks),
        };
        Ok(Self {
            parameter_count,
            body,
        })
    }
}

impl Network for Vgg16 {
    fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    fn forward(&self, images: &Tensor, workers: Workers<'_>) -> Result<Tensor> {
        match &self.body {
            Body::Kernels(stack) => fused::forward(images, stack.as_ref(), workers),
            Body::Candle(blocks) => workers.run_alone(|| forward(blocks, images, workers))?,
        }
    }
}

fn forward(blocks: &[Vec<Convolution>], images: &Tensor, workers: Workers<'_>) -> Result<Tensor> {
    let mut map = images.permute((0, 3, 1, 2))?.contiguous()?;
    for block in blocks {
        for convolution in block {
            workers.check().map_err(Error::wrap)?;
            map = convolution.forward(&map)?;
        }
        map = map.max_pool2d(2)?;
    }
    map.permute((0, 2, 3, 1))?.contiguous()
}

/// A convolution as Candle wants it.
#[derive(Debug)]
struct Convolution {
    /// (output, input, height, width)
    kernel: Tensor,
    /// (1, output, 1, 1)
    bias: Tensor,
}

impl Convolution {
    /// From Keras's layout.
    fn new(kernel: &Tensor, bias: &Tensor) -> Result<Self> {
        Ok(Self {
            kernel: kernel.permute((3, 2, 0, 1))?.contiguous()?,
            bias: bias.reshape((1, (), 1, 1))?,
        })
    }

    fn forward(&self, map: &Tensor) -> Result<Tensor> {
        map.conv2d(&self.kernel, KERNEL / 2, 1, 1, 1)?
            .broadcast_add(&self.bias)?
            .relu()
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

    /// The CPU kernels and Candle are two implementations of the same network, and a GPU will run
    /// the second: vectors must not tell which.
    #[test]
    fn kernels_agree_with_candle() {
        let weights = WeightsSpec::Seeded.load(Architecture::Vgg16).unwrap();
        let variables = weights.var_builder(&Device::Cpu);
        let pool = ComputePool::shared(0).unwrap();
        let workers = Workers {
            pool: &pool,
            cancel: &CancelToken::new(),
        };
        let size = (1, IMAGE.0, IMAGE.1, IMAGE.2);
        let images = Tensor::rand(-124f32, 152f32, size, &Device::Cpu).unwrap();
        let forward = |implementation| {
            let network = Vgg16::load(&variables, implementation).unwrap();
            assert_eq!(network.parameter_count(), 14_714_688);
            let maps = network.forward(&images, workers).unwrap();
            assert_eq!(maps.dims(), [1, 7, 7, 512]);
            maps.to_dtype(DType::F64).unwrap()
        };
        let expected = forward(Implementation::Candle);
        let found = forward(Implementation::Kernels);
        let norm = |tensor: &Tensor| {
            let squares = tensor.sqr().unwrap().sum_all().unwrap();
            squares.to_scalar::<f64>().unwrap().sqrt()
        };
        let error = norm(&(&found - &expected).unwrap()) / norm(&expected);
        assert!(error < 1e-5, "{error}");
    }
}
