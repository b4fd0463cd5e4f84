//! The fused CPU kernels as custom operations on Candle tensors.
//!
//! A network looks the same to its caller whether Candle's operations or these run it: tensors in,
//! tensors out. Only where the tensors lie decides.

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, bail};
use featurize_kernels::{CancelToken, ComputePool as Threads, ConvStack, InvertedResidualStack};

use crate::pool::Workers;

/// A stack of layers that the kernels run as one.
pub(super) trait Stack {
    /// Height, width and channels of an image.
    fn input_shape(&self) -> (usize, usize, usize);

    /// Height, width and channels of the last feature map.
    fn output_shape(&self) -> (usize, usize, usize);

    /// Computes `count` images; both slices are in image, height, width, channel order.
    fn run(
        &self,
        images: &[f32],
        count: usize,
        maps: &mut [f32],
        threads: &Threads,
        cancel: &CancelToken,
    ) -> featurize_kernels::Result<()>;
}

/// Both stacks have these methods, under no common trait.
macro_rules! impl_stack {
    ($($stack:ty),*) => {$(
        impl Stack for $stack {
            fn input_shape(&self) -> (usize, usize, usize) {
                self.input_shape()
            }

            fn output_shape(&self) -> (usize, usize, usize) {
                self.output_shape()
            }

            fn run(
                &self,
                images: &[f32],
                count: usize,
                maps: &mut [f32],
                threads: &Threads,
                cancel: &CancelToken,
            ) -> featurize_kernels::Result<()> {
                self.run(images, count, maps, threads, cancel)
            }
        }
    )*};
}

impl_stack!(ConvStack, InvertedResidualStack);

/// Runs a stack over images in height, width, channel order.
pub(super) fn forward(images: &Tensor, stack: &dyn Stack, workers: Workers<'_>) -> Result<Tensor> {
    images
        .contiguous()?
        .apply_op1_no_bwd(&StackOp { stack, workers })
}

struct StackOp<'a> {
    stack: &'a dyn Stack,
    workers: Workers<'a>,
}

impl CustomOp1 for StackOp<'_> {
    fn name(&self) -> &'static str {
        "featurize_stack"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, height, width, channels) = layout.shape().dims4()?;
        if (height, width, channels) != self.stack.input_shape() {
            bail!(
                "the network takes images of shape {:?}, found {:?}",
                self.stack.input_shape(),
                (height, width, channels)
            )
        }
        let images = contiguous(storage, layout)?;
        let (height, width, channels) = self.stack.output_shape();
        let mut maps = vec![0.0; count * height * width * channels];
        let Workers { pool, cancel } = self.workers;
        self.stack
            .run(images, count, &mut maps, pool.kernels(), cancel)
            .map_err(Error::wrap)?;
        let shape = Shape::from((count, height, width, channels));
        Ok((CpuStorage::F32(maps), shape))
    }
}

/// The elements of a contiguous tensor.
fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let elements = layout
        .contiguous_offsets()
        .and_then(|(start, end)| storage.as_slice().ok()?.get(start..end));
    match elements {
        Some(elements) => Ok(elements),
        None => bail!("the network takes contiguous f32 images, found {layout:?}"),
    }
}
