//! A 3×3 convolution of every channel with itself, with bias and ReLU6.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the pixels and taps of a tile held in registers"
)]

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, with_rows};
use crate::pointwise::{Source, Target};
use crate::simd::{Arch, Kernel, Lanes, Simd, to_lanes};

/// Pixels computed together: enough independent sums to hide the latency of an addition, few enough
/// for the nine weights to stay in registers beside them, and a divisor of the usual widths.
const PIXELS: usize = 7;

/// A depthwise 3×3 convolution with bias and ReLU6.
#[derive(Debug)]
pub(crate) struct Depthwise {
    stride: usize,
    channels: usize,
    /// Zeros before the first and after the last row and column.
    padding: (usize, usize),
    /// `[channel block][tap]`.
    weights: Vec<[Lanes; 9]>,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Depthwise {
    /// `kernel` is `[3, 3, channel]`; lengths were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        stride: usize,
        padding: (usize, usize),
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let channels = bias.len();
        let taps: Vec<Vec<Lanes>> = kernel.chunks_exact(channels).map(to_lanes).collect();
        let bias = to_lanes(bias);
        let weights = (0..bias.len()).map(|block| std::array::from_fn(|tap| taps[tap][block]));
        Self {
            stride,
            channels,
            padding,
            weights: weights.collect(),
            bias,
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// Multiplications and additions for one pixel of the output.
    pub(crate) fn operations(&self) -> usize {
        2 * 9 * self.channels
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Rows of zeros above, and columns of zeros on the left.
    pub(crate) fn padding_before(&self) -> usize {
        self.padding.0
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Rows or columns of the output for `extent` of the input. At least 1: checked by the builder.
    pub(crate) fn output_extent(&self, extent: usize) -> usize {
        (extent + self.padding.0 + self.padding.1 - 3) / self.stride + 1
    }

    /// Computes `rows` rows of `width` pixels. `source` begins with the first row (of zeros or
    /// pixels) under the first row of the output, and its `view` with the columns of zeros.
    pub(crate) fn run(&self, rows: usize, width: usize, source: Source<'_>, target: Target<'_>) {
        self.arch.run(Rows {
            layer: self,
            rows,
            width,
            source,
            target,
        });
    }
}

struct Rows<'a> {
    layer: &'a Depthwise,
    rows: usize,
    width: usize,
    source: Source<'a>,
    target: Target<'a>,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for block in 0..self.layer.weights.len() {
            let mut weights = [simd.splat(0.0); 9];
            for tap in 0..9 {
                weights[tap] = simd.load(&self.layer.weights[block][tap]);
            }
            for row in 0..self.rows {
                for (x, pixels) in Panels::new(self.width, PIXELS.min(S::GEMM_ROWS)).iter() {
                    with_rows!(S, pixels, M => if M <= PIXELS {
                        match self.layer.stride {
                            1 => self.tile::<S, M, 1>(simd, &weights, block, row, x),
                            _ => self.tile::<S, M, 2>(simd, &weights, block, row, x),
                        }
                    });
                }
            }
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        weights: &[S::V; 9],
        block: usize,
        row: usize,
        x: usize,
    ) {
        let bias = simd.load(&self.layer.bias[block]);
        let mut sums = [bias; M];
        let view = self.source.view;
        for tap in 0..3 {
            let at = view.at(row * STRIDE + tap, block, x * STRIDE) - view.border;
            let line = &self.source.lines[at..][..(M - 1) * STRIDE + 3];
            for m in 0..M {
                for k in 0..3 {
                    let value = simd.load(&line[m * STRIDE + k]);
                    sums[m] = simd.mul_add(value, weights[tap * 3 + k], sums[m]);
                }
            }
        }
        let bounds = Activation::Relu6.bounds(simd);
        let at = self.target.view.at(row, block, x);
        if let Some(target) = self.target.lines[at..].first_chunk_mut::<M>() {
            for m in 0..M {
                simd.store(&mut target[m], clamp(simd, sums[m], bounds));
            }
        }
    }
}
