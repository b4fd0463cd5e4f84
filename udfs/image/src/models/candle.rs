//! A graph in Candle's own operations: for GPUs, and beside the kernels in tests.

use candle_core::{D, Device, Error, Result, Tensor, bail};
use featurize_kernels::{Activation, Conv, Graph, Layer, Node, Pooling, Window};

use super::transformer::candle as transformer;
use crate::pool::Workers;

/// A graph with its numbers on a device.
#[derive(Debug)]
pub(super) struct Planes {
    graph: Graph,
    /// Kernel (output, input of a group, height, width) and bias (1, output, 1, 1) of convolutions.
    numbers: Vec<Option<(Tensor, Tensor)>>,
    device: Device,
}

impl Planes {
    pub(super) fn new(graph: Graph, device: Device) -> Result<Self> {
        let numbers = |layer: &Layer| {
            let Layer::Conv(conv) = layer else {
                return Ok(None);
            };
            let inputs = graph.channels(conv.input) / conv.groups;
            let (height, width) = conv.window.size;
            let shape = (height, width, inputs, conv.bias.len());
            let kernel = Tensor::from_slice(&conv.kernel, shape, &device)?;
            let kernel = kernel.permute((3, 2, 0, 1))?.contiguous()?;
            let bias = Tensor::from_slice(&conv.bias, (1, conv.bias.len(), 1, 1), &device)?;
            Ok(Some((kernel, bias)))
        };
        Ok(Self {
            numbers: graph.layers().map(numbers).collect::<Result<_>>()?,
            graph,
            device,
        })
    }

    /// Computes images (n, height, width, 3), row-major, into the values that `pooling` makes of each.
    pub(super) fn run(
        &self,
        images: &[f32],
        shape: (usize, usize, usize, usize),
        pooling: Pooling,
        out: &mut [f32],
        workers: Workers<'_>,
    ) -> Result<()> {
        let images = Tensor::from_slice(images, shape, &self.device)?;
        let Some((node, skip)) = self.graph.reading(pooling) else {
            bail!(
                "the network has nothing that '{}' could read",
                pooling.name()
            )
        };
        let map = workers.run_alone(|| self.forward(&images, node, workers))??;
        let map = map.narrow(3, skip, map.dim(3)? - skip)?;
        let values = match pooling {
            Pooling::None | Pooling::Projection => map.permute((0, 2, 3, 1))?,
            Pooling::Avg => map.mean((2, 3))?,
            Pooling::Max => map.flatten_from(2)?.max(D::Minus1)?,
            Pooling::Cls => map.narrow(2, 0, 1)?.narrow(3, 0, 1)?,
        };
        out.copy_from_slice(&values.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    /// The map of a layer.
    fn forward(&self, images: &Tensor, node: Node, workers: Workers<'_>) -> Result<Tensor> {
        let mut maps: Vec<Tensor> = Vec::new();
        for (layer, numbers) in self.graph.layers().zip(&self.numbers) {
            workers.check().map_err(Error::wrap)?;
            let of = |node| &maps[self.graph.index(node)];
            let map = match (layer, numbers) {
                (Layer::Conv(conv), Some((kernel, bias))) => {
                    convolve(conv, of(conv.input), kernel, bias)?
                }
                (Layer::Input | Layer::Conv(_), _) => images.permute((0, 3, 1, 2))?.contiguous()?,
                // Zeros are no less than what an activation leaves.
                (Layer::MaxPool(input, window), _) => padded(of(*input), window)?
                    .max_pool2d_with_stride(window.size, (window.stride, window.stride))?,
                (
                    Layer::AveragePool {
                        input,
                        window,
                        counts_zeros,
                    },
                    _,
                ) => {
                    let input = of(*input);
                    let sums = sums(input, window)?;
                    if *counts_zeros {
                        (sums / (window.size.0 * window.size.1) as f64)?
                    } else {
                        sums.div(&self::sums(&input.ones_like()?, window)?)?
                    }
                }
                (Layer::Add([a, b], activation), _) => activate((of(*a) + of(*b))?, *activation)?,
                (Layer::Concat(parts), _) => {
                    let parts: Vec<&Tensor> = parts.iter().map(|part| of(*part)).collect();
                    Tensor::cat(&parts, 1)?
                }
                (Layer::Patches(input, side), _) => transformer::patches(of(*input), *side)?,
                (
                    Layer::Tokens {
                        input,
                        prefix,
                        positions,
                    },
                    _,
                ) => transformer::tokens(of(*input), prefix, positions)?,
                (Layer::Norm(norm), _) => transformer::normalise(norm, of(norm.input))?,
                (Layer::Attention(attention), _) => {
                    transformer::attend(attention, of(attention.input))?
                }
                (Layer::First(input), _) => of(*input).narrow(3, 0, 1)?,
            };
            maps.push(map);
        }
        match maps.get(self.graph.index(node)) {
            Some(map) => Ok(map.clone()),
            None => bail!("the network has no layers"),
        }
    }
}

fn padded(map: &Tensor, window: &Window) -> Result<Tensor> {
    let (_, _, height, width) = map.dims4()?;
    let [rows, columns] = window.zeros((height, width));
    map.pad_with_zeros(2, rows.0, rows.1)?
        .pad_with_zeros(3, columns.0, columns.1)?
        .contiguous()
}

fn convolve(conv: &Conv, map: &Tensor, kernel: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let sums = padded(map, &conv.window)?
        .conv2d(kernel, 0, conv.window.stride, 1, conv.groups)?
        .broadcast_add(bias)?;
    activate(sums, conv.activation)
}

/// Sums within a window that moves by one.
fn sums(map: &Tensor, window: &Window) -> Result<Tensor> {
    let map = padded(map, window)?;
    let (_, _, height, width) = map.dims4()?;
    let (rows, columns) = window.size;
    if window.stride != 1 {
        bail!("mean pools of stride {} are not known here", window.stride)
    }
    let mut sum = None;
    for y in 0..rows {
        for x in 0..columns {
            let part = map
                .narrow(2, y, height + 1 - rows)?
                .narrow(3, x, width + 1 - columns)?;
            sum = Some(match sum {
                None => part.contiguous()?,
                Some(sum) => (sum + part)?,
            });
        }
    }
    sum.map_or_else(|| Ok(map.clone()), Ok)
}

fn activate(map: Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Linear => Ok(map),
        Activation::Relu => map.relu(),
        Activation::Relu6 => map.clamp(0_f32, 6_f32),
        Activation::Gelu => map.gelu_erf(),
        Activation::GeluTanh => map.gelu(),
        Activation::QuickGelu => &map * candle_nn::ops::sigmoid(&(&map * 1.702)?)?,
    }
}
