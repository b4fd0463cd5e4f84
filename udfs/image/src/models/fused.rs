//! The fused CPU kernels as custom operations on Candle tensors.
//!
//! A network looks the same to its caller whether Candle's operations or these run it: tensors in,
//! tensors out. Only where the tensors lie decides.

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, bail};
use featurize_kernels::{CancelToken, ConvStack};

use crate::pool::ComputePool;

/// Runs a whole stack of convolutions over images in height, width, channel order.
pub(super) fn conv_stack(images: &Tensor, stack: &ConvStack, pool: &ComputePool) -> Result<Tensor> {
    images
        .contiguous()?
        .apply_op1_no_bwd(&ConvStackOp { stack, pool })
}

struct ConvStackOp<'a> {
    stack: &'a ConvStack,
    pool: &'a ComputePool,
}

impl CustomOp1 for ConvStackOp<'_> {
    fn name(&self) -> &'static str {
        "conv_stack"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, height, width, channels) = layout.shape().dims4()?;
        if (height, width, channels) != self.stack.input_shape() {
            bail!(
                "conv_stack takes images of shape {:?}, found {:?}",
                self.stack.input_shape(),
                (height, width, channels)
            )
        }
        let images = contiguous(storage, layout)?;
        let (height, width, channels) = self.stack.output_shape();
        let mut maps = vec![0.0; count * self.stack.output_len()];
        self.stack
            .run(
                images,
                count,
                &mut maps,
                self.pool.kernels(),
                &CancelToken::new(),
            )
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
        None => bail!("conv_stack takes contiguous f32 images, found {layout:?}"),
    }
}
