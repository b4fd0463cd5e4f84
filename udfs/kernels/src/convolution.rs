//! A convolution of any kernel and stride: for each tap a matrix product of pixels and weights,
//! straight from the blocked layout.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use std::ops::Range;

use crate::activation::clamp;
use crate::gemm::{Panels, multiply, with_rows};
use crate::graph::Activation;
use crate::layout::{Rows, RowsMut, Sides, Source, Target};
use crate::parallel::Team;
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, to_lanes};

/// Bytes that a task reads of the map: with a group's weights they stay in a core's second cache.
const TASK_BYTES: usize = 384 << 10;

/// A convolution with bias and activation, of a map of one fixed size.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// Height and width of the kernel.
    size: (usize, usize),
    stride: usize,
    /// Zeros before the first pixel.
    before: Sides,
    in_channels: usize,
    activation: Activation,
    /// `[group][tap][input channel][vector of output channels]`. The last group has one vector if
    /// that is all that remains.
    weights: Vec<Lanes>,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Convolution {
    /// `kernel` is HWIO; lengths were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        (size, stride, before): ((usize, usize), usize, Sides),
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let out_channels = bias.len();
        let vectors = arch.gemm_vectors();
        let bias = to_lanes(bias);
        let mut weights = Vec::with_capacity(kernel.len() / out_channels * bias.len());
        for group in (0..bias.len()).step_by(vectors) {
            for row in kernel.chunks_exact(out_channels) {
                for block in group..(group + vectors).min(bias.len()) {
                    weights.push(Lanes::from_slice(&row[block * LANES..]));
                }
            }
        }
        Self {
            size,
            stride,
            before,
            in_channels: kernel.len() / out_channels / (size.0 * size.1),
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

    /// Groups of output channels.
    pub(crate) fn groups(&self) -> usize {
        self.bias.len().div_ceil(self.arch.gemm_vectors())
    }

    /// Computes whole maps, adding `residual` before the activation if there is one.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        source: Source<'_>,
        residual: Option<Source<'_>>,
        target: Target<'_>,
    ) {
        let (height, width) = (target.map.height, target.map.width);
        let row_bytes = self.stride * source.map.row_lines() * size_of::<Lanes>();
        let rows = (TASK_BYTES / row_bytes).max(self.size.0);
        let (left, columns) = (target.map.border.left, target.map.columns());
        let vectors = self.arch.gemm_vectors();
        team.for_rows(target, rows, (self.groups(), vectors), |task, _| {
            let source = source.rows(task.range.clone(), height, self.stride, self.before);
            let residual = residual.map(|map| map.rows(task.range, height, 1, Sides::default()));
            let rows = task.rows;
            let target = RowsMut {
                rows,
                columns,
                left,
            };
            self.run_rows(task.parts, width, &source, residual.as_ref(), target);
        });
    }

    /// Computes some groups of the output channels of rows of `width` pixels.
    pub(crate) fn run_rows(
        &self,
        groups: Range<usize>,
        width: usize,
        source: &Rows<'_>,
        residual: Option<&Rows<'_>>,
        target: RowsMut<'_>,
    ) {
        let taps =
            (0..self.size.0).flat_map(|y| (0..self.size.1).map(move |x| y * source.row_lines + x));
        self.arch.run(Tiles {
            layer: self,
            taps: taps.collect(),
            groups,
            width,
            source,
            residual,
            target,
        });
    }
}

struct Tiles<'a> {
    layer: &'a Convolution,
    /// Lines from the first tap of a pixel to each.
    taps: Vec<usize>,
    groups: Range<usize>,
    width: usize,
    source: &'a Rows<'a>,
    residual: Option<&'a Rows<'a>>,
    target: RowsMut<'a>,
}

impl Kernel for Tiles<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let layer = self.layer;
        let depth = layer.in_channels * self.taps.len();
        let group_lines = depth * S::GEMM_VECTORS;
        let groups = layer.weights.chunks(group_lines).enumerate();
        // Pixels further apart are computed one by one.
        let most = if layer.stride <= 2 { S::GEMM_ROWS } else { 1 };
        for (group, weights) in groups.skip(self.groups.start).take(self.groups.len()) {
            // One group's weights serve all rows before the next group's are read.
            for row in 0..self.source.starts.len() {
                for (x, pixels) in Panels::new(self.width, most).iter() {
                    let wide = weights.len() == 2 * depth;
                    with_rows!(S, pixels, M => match (wide, layer.stride) {
                        (true, 2) => self.tile::<S, M, 2, 2>(simd, weights, group, row, x),
                        (true, _) => self.tile::<S, M, 2, 1>(simd, weights, group, row, x),
                        (false, 2) => self.tile::<S, M, 1, 2>(simd, weights, group, row, x),
                        (false, _) => self.tile::<S, M, 1, 1>(simd, weights, group, row, x),
                    });
                }
            }
        }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        weights: &[Lanes],
        group: usize,
        row: usize,
        x: usize,
    ) {
        let layer = self.layer;
        let block = group * S::GEMM_VECTORS;
        let Some(bias) = layer.bias[block..].first_chunk::<N>() else {
            return;
        };
        let mut start = [simd.splat(0.0); N];
        for n in 0..N {
            start[n] = simd.load(&bias[n]);
        }
        let mut sums = [start; M];
        let source = &self.source.lines[self.source.starts[row] + x * layer.stride..];
        let columns = self.source.columns;
        let weights = weights.chunks_exact(layer.in_channels * N);
        for (tap, weights) in self.taps.iter().zip(weights) {
            sums = multiply::<S, M, N, STRIDE>(simd, &source[*tap..], columns, weights, sums);
        }
        let bounds = layer.activation.bounds(simd);
        let here = block - self.groups.start * S::GEMM_VECTORS;
        for n in 0..N {
            let at = (here + n) * self.target.columns + self.target.left + x;
            let Some(target) = self.target.rows[row][at..].first_chunk_mut::<M>() else {
                return;
            };
            let residual = self.residual.and_then(|residual| {
                let at = residual.starts[row] + (block + n) * residual.columns + x;
                residual.lines[at..].first_chunk::<M>()
            });
            if let Some(residual) = residual {
                for m in 0..M {
                    let sum = simd.add(sums[m][n], simd.load(&residual[m]));
                    simd.store(&mut target[m], clamp(simd, sum, bounds));
                }
            } else {
                for m in 0..M {
                    simd.store(&mut target[m], clamp(simd, sums[m][n], bounds));
                }
            }
        }
    }
}
