//! Layer normalisation: each pixel by itself, over its channels.

use crate::graph;
use crate::layout::{Map, Rows, Sides, Source, Target};
use crate::parallel::{Task, Team};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, to_lanes};

/// Pixels that are computed together: as many sums as registers, and a few lines of each block at a time.
const TOGETHER: usize = 4;

/// A layer normalisation with its numbers.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    gamma: Vec<Lanes>,
    beta: Vec<Lanes>,
    epsilon: f64,
    channels: usize,
    arch: Arch,
}

impl LayerNorm {
    pub(crate) fn new(arch: Arch, norm: &graph::Norm) -> Self {
        Self {
            gamma: to_lanes(&norm.gamma),
            beta: to_lanes(&norm.beta),
            epsilon: norm.epsilon,
            channels: norm.gamma.len(),
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.gamma.as_slice()) + size_of_val(self.beta.as_slice())
    }

    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let map = *target.map;
        team.for_rows(target, 1, (1, map.blocks()), |task, _| {
            let rows = source.rows(task.range.clone(), map.height, 1, Sides::default());
            self.arch.run(NormRows {
                layer: self,
                rows,
                map,
                task,
            });
        });
    }
}

struct NormRows<'a> {
    layer: &'a LayerNorm,
    rows: Rows<'a>,
    map: Map,
    task: Task<'a>,
}

impl Kernel for NormRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let steps = (self.rows.columns, self.map.columns());
        let left = self.map.border.left;
        let whole = self.map.width / TOGETHER * TOGETHER;
        for (index, row) in self.task.rows.iter_mut().enumerate() {
            let from = &self.rows.lines[self.rows.starts[index]..];
            // No closure: only what is inlined for certain is compiled for the instruction set.
            for x in (0..whole).step_by(TOGETHER) {
                let to = &mut row[left + x..];
                normalise::<S, TOGETHER>(simd, self.layer, &from[x..], to, steps);
            }
            for x in whole..self.map.width {
                normalise::<S, 1>(simd, self.layer, &from[x..], &mut row[left + x..], steps);
            }
        }
    }
}

/// Computes `N` pixels, whose blocks of channels are so many lines apart in `from` and in `to`.
#[inline(always)]
fn normalise<S: Simd, const N: usize>(
    simd: S,
    layer: &LayerNorm,
    from: &[Lanes],
    to: &mut [Lanes],
    (from_step, to_step): (usize, usize),
) {
    let count = layer.channels as f32;
    let blocks = layer.gamma.len();
    let mut sums = [simd.splat(0.0); N];
    for block in 0..blocks {
        if let Some(lines) = from[block * from_step..].first_chunk::<N>() {
            for (sum, line) in sums.iter_mut().zip(lines) {
                *sum = simd.add(*sum, simd.load(line));
            }
        }
    }
    let mut means = sums;
    for mean in &mut means {
        *mean = simd.splat(total(simd, *mean) / count);
    }
    // What fills up the last block has no part in the deviation.
    let mut last = Lanes([1.0; LANES]);
    last.0[(layer.channels - 1) % LANES + 1..].fill(0.0);
    let mut squares = [simd.splat(0.0); N];
    for block in 0..blocks {
        let inside = block + 1 < blocks;
        let mask = if inside {
            simd.splat(1.0)
        } else {
            simd.load(&last)
        };
        if let Some(lines) = from[block * from_step..].first_chunk::<N>() {
            for ((square, line), mean) in squares.iter_mut().zip(lines).zip(means) {
                let difference = simd.mul(simd.sub(simd.load(line), mean), mask);
                *square = simd.mul_add(difference, difference, *square);
            }
        }
    }
    let mut scales = squares;
    for scale in &mut scales {
        let variance = f64::from(total(simd, *scale) / count);
        *scale = simd.splat((1.0 / (variance + layer.epsilon).sqrt()) as f32);
    }
    for (block, (gamma, beta)) in layer.gamma.iter().zip(&layer.beta).enumerate() {
        let (gamma, beta) = (simd.load(gamma), simd.load(beta));
        let lines = from[block * from_step..].first_chunk::<N>();
        let out = to[block * to_step..].first_chunk_mut::<N>();
        let (Some(lines), Some(out)) = (lines, out) else {
            return;
        };
        for (n, (line, out)) in lines.iter().zip(out).enumerate() {
            let difference = simd.sub(simd.load(line), means[n]);
            let value = simd.mul_add(simd.mul(difference, scales[n]), gamma, beta);
            simd.store(out, value);
        }
    }
}

/// The sum of the lanes, in their order.
#[inline(always)]
pub(crate) fn total<S: Simd>(simd: S, value: S::V) -> f32 {
    let mut line = Lanes::ZERO;
    simd.store(&mut line, value);
    line.0.iter().sum()
}
