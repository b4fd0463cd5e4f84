//! Convolutions with their batch normalisation folded in.

use candle_core::{Device, Result, Tensor};
use featurize_kernels::Window;

/// Largest activation: ReLU6.
const SIX: f32 = 6.0;

/// Kernel and bias of a convolution that does the batch normalisation after it, too.
#[derive(Debug)]
pub(super) struct Folded {
    /// Row-major (height, width, input channels of a group, output channels).
    pub(super) kernel: Vec<f32>,
    pub(super) dims: [usize; 4],
    /// One for each output channel.
    pub(super) bias: Vec<f32>,
}

impl Folded {
    /// Multiplies the kernel by γ/√(σ² + ε) and makes the bias β − μ·γ/√(σ² + ε), in f64.
    pub(super) fn new(
        mut kernel: Vec<f32>,
        dims: [usize; 4],
        gamma: &[f32],
        beta: &[f32],
        mean: &[f32],
        variance: &[f32],
        epsilon: f64,
    ) -> Self {
        let scales: Vec<f64> = gamma
            .iter()
            .zip(variance)
            .map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + epsilon).sqrt())
            .collect();
        for row in kernel.chunks_mut(scales.len().max(1)) {
            for (weight, scale) in row.iter_mut().zip(&scales) {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        let bias = beta
            .iter()
            .zip(mean)
            .zip(&scales)
            .map(|((beta, mean), scale)| (f64::from(*beta) - f64::from(*mean) * scale) as f32)
            .collect();
        Self { kernel, dims, bias }
    }
}

/// A convolution as Candle runs it, over maps in channel, height, width order.
#[derive(Debug)]
pub(super) struct Plane {
    /// (output, input of a group, height, width)
    kernel: Tensor,
    /// (1, output, 1, 1)
    bias: Tensor,
    window: Window,
    groups: usize,
    relu6: bool,
}

impl Plane {
    pub(super) fn new(
        folded: &Folded,
        window: Window,
        relu6: bool,
        device: &Device,
    ) -> Result<Self> {
        let [height, _, inputs, outputs] = folded.dims;
        let depthwise = inputs == 1 && height > 1;
        let kernel = Tensor::from_slice(&folded.kernel, &folded.dims, device)?;
        Ok(Self {
            kernel: kernel.permute((3, 2, 0, 1))?.contiguous()?,
            bias: Tensor::from_slice(&folded.bias, (1, outputs, 1, 1), device)?,
            window,
            groups: if depthwise { outputs } else { 1 },
            relu6,
        })
    }

    pub(super) fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let padded = match self.window.padding {
            (0, 0) => map.contiguous()?,
            (before, after) => map
                .pad_with_zeros(2, before, after)?
                .pad_with_zeros(3, before, after)?,
        };
        let out = padded
            .conv2d(&self.kernel, 0, self.window.stride, 1, self.groups)?
            .broadcast_add(&self.bias)?;
        if self.relu6 {
            out.clamp(0.0, SIX)
        } else {
            Ok(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_batch_normalisation() {
        // One 1×1 convolution of two channels to two.
        let kernel = vec![1.0, 2.0, 3.0, 4.0];
        let folded = Folded::new(
            kernel,
            [1, 1, 2, 2],
            &[2.0, 0.5],
            &[0.25, -1.0],
            &[1.0, 3.0],
            &[3.999, 0.249],
            1e-3,
        );
        // √(3.999 + 0.001) = 2 and √(0.249 + 0.001) = 0.5: scales 1 and 1.
        for (found, expected) in folded.kernel.iter().zip([1.0, 2.0, 3.0, 4.0]) {
            assert!((found - expected).abs() < 1e-6);
        }
        for (found, expected) in folded.bias.iter().zip([-0.75, -4.0]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
