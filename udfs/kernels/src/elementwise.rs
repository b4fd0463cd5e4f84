//! Pools, sums and concatenations of feature maps.

use std::ops::Range;

use crate::activation::{Activation, clamp};
use crate::layout::{Map, Rows, Sides, Source, Target};
use crate::parallel::{Task, Team};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd};

/// Output rows of a task.
const TASK_ROWS: usize = 4;

/// What is made of the pixels in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summary {
    /// The largest.
    Max,
    /// Their mean; zeros around the image count or not.
    Mean { counts_zeros: bool },
}

/// A pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) summary: Summary,
    /// Height and width of the window.
    pub(crate) size: (usize, usize),
    pub(crate) stride: usize,
    /// Pixels of the first window that lie outside.
    pub(crate) before: Sides,
    pub(crate) arch: Arch,
}

impl Pool {
    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let map = *target.map;
        let blocks = target.blocks.len();
        team.for_rows(target, TASK_ROWS, (blocks, 1), |task, _| {
            let rows = source.rows(
                task.range.clone(),
                map.height,
                self.stride,
                Sides::default(),
            );
            self.arch.run(PoolRows {
                layer: self,
                rows,
                input: *source.map,
                output: map,
                task,
            });
        });
    }
}

struct PoolRows<'a> {
    layer: &'a Pool,
    /// The pixels that the windows would begin at if nothing lay outside.
    rows: Rows<'a>,
    input: Map,
    output: Map,
    task: Task<'a>,
}

/// The part of `size` pixels from `start - before` that lies within `0..extent`.
#[inline(always)]
fn inside(start: usize, before: usize, size: usize, extent: usize) -> Range<usize> {
    start.saturating_sub(before)..(start + size).saturating_sub(before).min(extent)
}

impl Kernel for PoolRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Pool {
            summary,
            size,
            stride,
            before,
            ..
        } = *self.layer;
        let (input, output) = (self.input, self.output);
        for (index, row) in self.task.rows.iter_mut().enumerate() {
            let y = (self.task.range.start + index) % output.height * stride;
            let ys = inside(y, before.top, size.0, input.height);
            let first = self.rows.starts[index] - y * self.rows.row_lines;
            for (block, part) in self.task.parts.clone().enumerate() {
                let from = first + part * self.rows.columns;
                let to = &mut row[block * output.columns() + output.border.left..][..output.width];
                for (x, to) in to.iter_mut().enumerate() {
                    let xs = inside(x * stride, before.left, size.1, input.width);
                    let counted = match summary {
                        Summary::Mean {
                            counts_zeros: false,
                        } => ys.len() * xs.len(),
                        _ => size.0 * size.1,
                    };
                    let mut sum = None;
                    for y in ys.clone() {
                        for line in &self.rows.lines[from + y * self.rows.row_lines..][xs.clone()] {
                            let value = simd.load(line);
                            sum = Some(match (sum, summary) {
                                (None, _) => value,
                                (Some(sum), Summary::Max) => simd.max(sum, value),
                                (Some(sum), Summary::Mean { .. }) => simd.add(sum, value),
                            });
                        }
                    }
                    let mut value = sum.unwrap_or_else(|| simd.splat(0.0));
                    if summary != Summary::Max {
                        value = simd.mul(value, simd.splat(1.0 / counted as f32));
                    }
                    simd.store(to, value);
                }
            }
        }
    }
}

/// Adds maps.
pub(crate) fn add(
    arch: Arch,
    team: &Team<'_>,
    activation: Activation,
    sources: [Source<'_>; 2],
    target: Target<'_>,
) {
    let map = *target.map;
    let blocks = target.blocks.len();
    team.for_rows(target, TASK_ROWS, (blocks, 1), |task, _| {
        let rows =
            sources.map(|source| source.rows(task.range.clone(), map.height, 1, Sides::default()));
        let [a, b] = &rows;
        arch.run(AddRows {
            a,
            b,
            activation,
            map,
            task,
        });
    });
}

struct AddRows<'a> {
    a: &'a Rows<'a>,
    b: &'a Rows<'a>,
    activation: Activation,
    map: Map,
    task: Task<'a>,
}

impl Kernel for AddRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let bounds = self.activation.bounds(simd);
        for (index, row) in self.task.rows.iter_mut().enumerate() {
            for (block, part) in self.task.parts.clone().enumerate() {
                let a = &self.a.lines[self.a.starts[index] + part * self.a.columns..];
                let b = &self.b.lines[self.b.starts[index] + part * self.b.columns..];
                let to = &mut row[block * self.map.columns() + self.map.border.left..];
                for ((a, b), to) in a.iter().zip(b).zip(&mut to[..self.map.width]) {
                    let sum = simd.add(simd.load(a), simd.load(b));
                    simd.store(to, clamp(simd, sum, bounds));
                }
            }
        }
    }
}

/// Copies the channels of maps one after the other: for maps that could not be computed in their
/// place at once.
pub(crate) fn concatenate(team: &Team<'_>, sources: &[Source<'_>], target: Target<'_>) {
    let map = *target.map;
    team.for_rows(target, TASK_ROWS, (1, map.blocks()), |mut task, _| {
        let mut first = 0;
        for source in sources {
            let rows = source.rows(task.range.clone(), map.height, 1, Sides::default());
            for (row, start) in task.rows.iter_mut().zip(&rows.starts) {
                for channel in 0..source.map.channels {
                    let from = start + channel / LANES * rows.columns;
                    let to = (first + channel) / LANES * map.columns() + map.border.left;
                    let to = &mut row[to..][..map.width];
                    for (to, from) in to.iter_mut().zip(&rows.lines[from..]) {
                        to.0[(first + channel) % LANES] = from.0[channel % LANES];
                    }
                }
            }
            first += source.map.channels;
        }
        for row in &mut task.rows {
            let last = (map.blocks() - 1) * map.columns() + map.border.left;
            for line in &mut row[last..][..map.width] {
                line.0[(first - 1) % LANES + 1..].fill(0.0);
            }
        }
    });
}

/// How the last map becomes the values of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// All of it, in height, width, channel order.
    None,
    /// Mean over the positions, per channel.
    Avg,
    /// Maximum over the positions, per channel.
    Max,
    /// The first position.
    Cls,
    /// All of what a network makes of its tokens at last.
    Projection,
}

impl Pooling {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Avg,
        Self::Max,
        Self::Cls,
        Self::Projection,
    ];

    /// Its name: `none`, `avg`, `max`, `cls` or `projection`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Cls => "cls",
            Self::Projection => "projection",
        }
    }

    /// Values of a map of this height, width and number of channels.
    pub const fn dimension(self, (height, width, channels): (usize, usize, usize)) -> usize {
        match self {
            Self::None | Self::Projection => height * width * channels,
            Self::Avg | Self::Max | Self::Cls => channels,
        }
    }

    /// Writes the values of one image, whose rows are read from column `skip` on.
    pub(crate) fn finish(self, map: &Map, skip: usize, lines: &[Lanes], out: &mut [f32]) {
        let source = Source { lines, map };
        let rows = source.rows(0..map.height, map.height, 1, Sides::default());
        let width = match self {
            Self::Cls => 1,
            _ => map.width - skip,
        };
        let pixels = |block: usize| {
            let starts = rows.starts.iter();
            starts.flat_map(move |start| &lines[start + block * map.columns() + skip..][..width])
        };
        if !matches!(self, Self::Avg | Self::Max) {
            for block in 0..map.blocks() {
                let first = block * LANES;
                let count = LANES.min(map.channels - first);
                for (out, line) in out.chunks_exact_mut(map.channels).zip(pixels(block)) {
                    out[first..first + count].copy_from_slice(&line.0[..count]);
                }
            }
            return;
        }
        let count = (map.height * width) as f32;
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mut values = None::<[f32; LANES]>;
            for line in pixels(block) {
                let values = values.get_or_insert(match self {
                    Self::Max => line.0,
                    _ => [0.0; LANES],
                });
                for (value, next) in values.iter_mut().zip(line.0) {
                    *value = match self {
                        Self::Max => value.max(next),
                        _ => *value + next,
                    };
                }
            }
            for (out, value) in out.iter_mut().zip(values.unwrap_or_default()) {
                *out = if self == Self::Avg {
                    value / count
                } else {
                    value
                };
            }
        }
    }
}
