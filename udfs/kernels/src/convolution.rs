//! A convolution of any kernel and stride: for each tap a matrix product of pixels and weights,
//! straight from the blocked layout.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use std::ops::Range;

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, UNROLLED, multiply, with_rows};
use crate::layout::{Rows, RowsMut, Sides, Source, Target};
use crate::parallel::Team;
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, to_lanes};

/// Bytes that a task reads of the map: with a group's weights they stay in a core's second cache.
const TASK_BYTES: usize = 384 << 10;

/// Weights of one group of output channels that leave room for pixels in a core's first cache.
const SMALL_GROUP_BYTES: usize = 16 << 10;
/// Weights of all groups that pixels go through at once: about half of the second cache.
const GROUPS_BYTES: usize = 192 << 10;

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
        let in_channels = kernel.len() / out_channels / (size.0 * size.1);
        let mut weights = Vec::new();
        for group in (0..bias.len()).step_by(vectors) {
            let group = group..(group + vectors).min(bias.len());
            for tap in kernel.chunks_exact(in_channels * out_channels) {
                for row in tap.chunks_exact(out_channels) {
                    let line = |block: usize| Lanes::from_slice(&row[block * LANES..]);
                    weights.extend(group.clone().map(line));
                }
                // The next tap begins with a block; after the only one, no more than must be.
                let multiple = if size == (1, 1) { UNROLLED } else { LANES };
                let zeros = in_channels.next_multiple_of(multiple) - in_channels;
                weights.extend(vec![Lanes::ZERO; zeros * group.len()]);
            }
        }
        Self {
            size,
            stride,
            before,
            in_channels,
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

    /// Lines of a group of weights.
    fn group_lines(&self) -> usize {
        self.weights.len() / self.bias.len() * self.arch.gemm_vectors()
    }

    /// Groups that a few pixels go through before the next pixels are read. Small groups stay in a
    /// core's first cache for all pixels; large ones do not, but the pixels do for several groups.
    fn groups_together(&self) -> usize {
        let bytes = self.group_lines() * size_of::<Lanes>();
        if bytes <= SMALL_GROUP_BYTES {
            return 1;
        }
        (GROUPS_BYTES / bytes).max(1)
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
        let blocks = self.in_channels.div_ceil(LANES);
        let blocks =
            taps.flat_map(|tap| (0..blocks).map(move |block| tap + block * source.columns));
        self.arch.run(Tiles {
            layer: self,
            blocks: blocks.collect(),
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
    /// Lines from the first tap of a pixel to each block of sixteen channels of each tap.
    blocks: Vec<usize>,
    groups: Range<usize>,
    width: usize,
    source: &'a Rows<'a>,
    residual: Option<&'a Rows<'a>>,
    target: RowsMut<'a>,
}

impl Kernel for Tiles<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        // Pixels further apart are computed one by one.
        let most = if self.layer.stride <= 2 {
            S::GEMM_ROWS
        } else {
            1
        };
        let panels = Panels::new(self.width, most);
        let together = self.layer.groups_together();
        for first in self.groups.clone().step_by(together) {
            let groups = first..self.groups.end.min(first + together);
            for row in 0..self.source.starts.len() {
                for (x, pixels) in panels.iter() {
                    let together = groups.clone();
                    with_rows!(S, pixels, M => match self.layer.stride {
                        2 => self.panel::<S, M, 2>(simd, together, row, x),
                        _ => self.panel::<S, M, 1>(simd, together, row, x),
                    });
                    if self.layer.activation.is_smooth() {
                        self.smooth(simd, groups.clone(), row, x..x + pixels);
                    }
                }
            }
        }
    }
}

impl Tiles<'_> {
    /// Applies a smooth activation to pixels whose sums were stored just now.
    #[inline(always)]
    fn smooth<S: Simd>(&mut self, simd: S, groups: Range<usize>, row: usize, pixels: Range<usize>) {
        let first = self.groups.start * S::GEMM_VECTORS;
        let end = (groups.end * S::GEMM_VECTORS).min(self.layer.bias.len());
        for block in groups.start * S::GEMM_VECTORS - first..end - first {
            let at = block * self.target.columns + self.target.left;
            let lines = &mut self.target.rows[row][at + pixels.start..at + pixels.end];
            self.layer.activation.smooth(simd, lines);
        }
    }

    /// Computes some pixels of some groups.
    #[inline(always)]
    fn panel<S: Simd, const M: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        groups: Range<usize>,
        row: usize,
        x: usize,
    ) {
        let lines = self.layer.group_lines();
        for group in groups {
            let weights = &self.layer.weights[group * lines..];
            if S::GEMM_VECTORS == 2 && weights.len() >= lines {
                self.tile::<S, M, 2, STRIDE>(simd, &weights[..lines], group, row, x);
            } else {
                let lines = lines / S::GEMM_VECTORS;
                self.tile::<S, M, 1, STRIDE>(simd, &weights[..lines], group, row, x);
            }
        }
    }

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
        let source = &self.source.lines[self.source.starts[row] + x * layer.stride..];
        let blocks = self.blocks.iter().copied();
        let sums = multiply::<S, M, N, STRIDE>(simd, source, blocks, weights, [start; M]);
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
