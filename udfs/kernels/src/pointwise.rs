//! A 1×1 convolution: a matrix product of pixels and weights, straight from the blocked layout.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, multiply, with_rows};
use crate::layout::View;
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, to_lanes};

/// A 1×1 convolution with bias and activation.
#[derive(Debug)]
pub(crate) struct Pointwise {
    in_channels: usize,
    out_channels: usize,
    activation: Activation,
    /// `[group][input channel][vector of output channels]`. The last group has one vector if that
    /// is all that remains.
    weights: Vec<Lanes>,
    bias: Vec<Lanes>,
    arch: Arch,
}

/// Rows of pixels to read, or to add to the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Lines from the first row on.
    pub(crate) lines: &'a [Lanes],
    pub(crate) view: View,
}

/// Rows of pixels to write.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// Lines from the first row on.
    pub(crate) lines: &'a mut [Lanes],
    pub(crate) view: View,
}

impl Pointwise {
    /// `kernel` is `[in, out]`; lengths were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        in_channels: usize,
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let out_channels = bias.len();
        let vectors = arch.gemm_vectors();
        let bias = to_lanes(bias);
        let mut weights = Vec::with_capacity(in_channels * bias.len());
        for group in (0..bias.len()).step_by(vectors) {
            for row in kernel.chunks_exact(out_channels) {
                for block in group..(group + vectors).min(bias.len()) {
                    weights.push(Lanes::from_slice(&row[block * LANES..]));
                }
            }
        }
        Self {
            in_channels,
            out_channels,
            activation,
            weights,
            bias,
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// Multiplications and additions for one pixel.
    pub(crate) fn operations(&self) -> usize {
        2 * self.in_channels * self.out_channels
    }

    pub(crate) fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Computes `rows` rows of `width` pixels, adding `residual` at the end if there is one.
    pub(crate) fn run(
        &self,
        rows: usize,
        width: usize,
        source: Source<'_>,
        residual: Option<Source<'_>>,
        target: Target<'_>,
    ) {
        self.arch.run(Rows {
            layer: self,
            rows,
            width,
            source,
            residual,
            target,
        });
    }
}

struct Rows<'a> {
    layer: &'a Pointwise,
    rows: usize,
    width: usize,
    source: Source<'a>,
    residual: Option<Source<'a>>,
    target: Target<'a>,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let depth = self.layer.in_channels;
        let group_lines = depth * S::GEMM_VECTORS;
        let groups = self.layer.weights.chunks(group_lines);
        for (group, weights) in groups.enumerate() {
            let block = group * S::GEMM_VECTORS;
            // One group's weights serve all rows before the next group's are read.
            for row in 0..self.rows {
                for (x, pixels) in Panels::new(self.width, S::GEMM_ROWS).iter() {
                    if weights.len() == 2 * depth {
                        with_rows!(S, pixels, M => {
                            self.tile::<S, M, 2>(simd, weights, block, row, x);
                        });
                    } else {
                        with_rows!(S, pixels, M => {
                            self.tile::<S, M, 1>(simd, weights, block, row, x);
                        });
                    }
                }
            }
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        weights: &[Lanes],
        block: usize,
        row: usize,
        x: usize,
    ) {
        let layer = self.layer;
        let Some(bias) = layer.bias[block..].first_chunk::<N>() else {
            return;
        };
        let mut start = [simd.splat(0.0); N];
        for n in 0..N {
            start[n] = simd.load(&bias[n]);
        }
        let source = &self.source.lines[self.source.view.at(row, 0, x)..];
        let sums = multiply::<S, M, N>(simd, source, self.source.view.columns, weights, start);
        let bounds = layer.activation.bounds(simd);
        for n in 0..N {
            let at = self.target.view.at(row, block + n, x);
            let Some(target) = self.target.lines[at..].first_chunk_mut::<M>() else {
                return;
            };
            let residual = self.residual.and_then(|residual| {
                let at = residual.view.at(row, block + n, x);
                residual.lines[at..].first_chunk::<M>()
            });
            if let Some(residual) = residual {
                for m in 0..M {
                    let sum = clamp(simd, sums[m][n], bounds);
                    simd.store(&mut target[m], simd.add(sum, simd.load(&residual[m])));
                }
            } else {
                for m in 0..M {
                    simd.store(&mut target[m], clamp(simd, sums[m][n], bounds));
                }
            }
        }
    }
}
