//! A 3×3 convolution of every channel with itself, with bias and activation.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the pixels and taps of a tile held in registers"
)]

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, with_rows};
use crate::layout::{Rows, RowsMut, Sides, Source, Target};
use crate::parallel::Team;
use crate::simd::{Arch, Kernel, Lanes, Simd, to_lanes};

/// Output rows of a task.
const TASK_ROWS: usize = 8;

/// A depthwise 3×3 convolution of stride 1 or 2.
#[derive(Debug)]
pub(crate) struct Depthwise {
    pub(crate) stride: usize,
    /// Zeros before the first pixel.
    pub(crate) before: Sides,
    activation: Activation,
    /// `[channel block][tap]`.
    weights: Vec<[Lanes; 9]>,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Depthwise {
    /// `kernel` is `[3, 3, channel]`; lengths were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        (stride, before): (usize, Sides),
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let taps: Vec<Vec<Lanes>> = kernel.chunks_exact(bias.len()).map(to_lanes).collect();
        let bias = to_lanes(bias);
        let weights = (0..bias.len()).map(|block| std::array::from_fn(|tap| taps[tap][block]));
        Self {
            stride,
            before,
            activation,
            weights: weights.collect(),
            bias,
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// Computes whole maps.
    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let map = *target.map;
        team.for_rows(target, TASK_ROWS, (1, map.blocks()), |task, _| {
            let source = source.rows(task.range, map.height, self.stride, self.before);
            let target = RowsMut {
                rows: task.rows,
                columns: map.columns(),
                left: map.border.left,
            };
            self.run_rows(map.width, &source, target);
        });
    }

    /// Computes rows of `width` pixels.
    pub(crate) fn run_rows(&self, width: usize, source: &Rows<'_>, target: RowsMut<'_>) {
        self.arch.run(Tiles {
            layer: self,
            width,
            source,
            target,
        });
    }
}

struct Tiles<'a> {
    layer: &'a Depthwise,
    width: usize,
    source: &'a Rows<'a>,
    target: RowsMut<'a>,
}

/// Pixels computed together: enough independent sums to hide the latency of an addition, few enough
/// to stay in registers beside three weights, and a divisor of the usual widths.
const fn most_pixels<S: Simd>() -> usize {
    match (S::GEMM_ROWS, S::GEMM_VECTORS) {
        (14.., 2) => 7,
        (6.., _) => 4,
        (rows, _) => rows,
    }
}

impl Kernel for Tiles<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let panels = Panels::new(self.width, most_pixels::<S>());
        for block in 0..self.layer.weights.len() {
            for row in 0..self.source.starts.len() {
                for (x, pixels) in panels.iter() {
                    with_rows!(S, pixels, M => if M <= most_pixels::<S>() {
                        match self.layer.stride {
                            1 => self.tile::<S, M, 1>(simd, block, row, x),
                            _ => self.tile::<S, M, 2>(simd, block, row, x),
                        }
                    });
                }
            }
        }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        block: usize,
        row: usize,
        x: usize,
    ) {
        let (layer, source) = (self.layer, self.source);
        let mut sums = [simd.load(&layer.bias[block]); M];
        let (weights, _) = layer.weights[block].as_chunks::<3>();
        for (tap, weights) in weights.iter().enumerate() {
            let row = source.starts[row] + tap * source.row_lines;
            let at = row + block * source.columns + x * STRIDE;
            let line = &source.lines[at..][..(M - 1) * STRIDE + 3];
            let weights = [0, 1, 2].map(|k| simd.load(&weights[k]));
            // Every pixel is read once, for all sums that it is part of.
            for at in 0..(M - 1) * STRIDE + 3 {
                let value = simd.load(&line[at]);
                for k in 0..3 {
                    if at >= k && (at - k).is_multiple_of(STRIDE) && (at - k) / STRIDE < M {
                        let m = (at - k) / STRIDE;
                        sums[m] = simd.mul_add(value, weights[k], sums[m]);
                    }
                }
            }
        }
        let bounds = layer.activation.bounds(simd);
        let at = block * self.target.columns + self.target.left + x;
        if let Some(target) = self.target.rows[row][at..].first_chunk_mut::<M>() {
            for m in 0..M {
                simd.store(&mut target[m], clamp(simd, sums[m], bounds));
            }
        }
    }
}
