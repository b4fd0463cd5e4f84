//! A depthwise separable block, computed in strips of rows that stay in the cache.
//!
//! The wide maps between the layers of a block are never stored: for a few rows of output, the
//! first layer computes the rows that the depthwise convolution needs (and keeps the last ones
//! for the next strip), the depthwise convolution a few rows more, and the last layer writes
//! them out. See Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
//! (2018), <https://arxiv.org/abs/1801.04381>.

use std::ops::Range;

use crate::convolution::Convolution;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::layout::{Map, Rows, RowsMut, Sides, Source, Target, clear_sides};
use crate::parallel::{Scratch, Team, at_least};
use crate::simd::Lanes;

/// Bytes of intermediate rows in a strip: about half of a core's second-level cache.
const STRIP_BYTES: usize = 450 << 10;

/// What makes the rows that the depthwise convolution reads.
#[derive(Debug)]
pub(crate) enum Wide {
    /// The first layer of the network, from pixels.
    Stem(Direct),
    /// A 1×1 convolution of stride 1.
    Expand(Convolution),
}

/// What a block reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// For [`Wide::Stem`]: images in NHWC order.
    Pixels(&'a [f32]),
    /// For [`Wide::Expand`].
    Map(Source<'a>),
}

/// Wide layer, depthwise 3×3 convolution, 1×1 convolution, and the skip connection if there is one.
#[derive(Debug)]
pub(crate) struct Block {
    wide: Wide,
    depthwise: Depthwise,
    project: Convolution,
    residual: bool,
    /// The rows between the wide layer and the depthwise convolution.
    wide_map: Map,
    /// Height and width of the output.
    output: (usize, usize),
    strip_rows: usize,
}

impl Block {
    /// `wide_shape` is the output of the wide layer; layers were checked to fit each other.
    pub(crate) fn new(
        wide: Wide,
        depthwise: Depthwise,
        project: Convolution,
        residual: bool,
        wide_shape: (usize, usize, usize),
        output: (usize, usize),
    ) -> Self {
        let Sides { left, .. } = depthwise.before;
        let reach = (output.1 - 1) * depthwise.stride + 3;
        let border = Sides {
            left,
            right: reach.saturating_sub(left + wide_shape.1),
            ..Sides::default()
        };
        let wide_map = Map {
            border,
            ..Map::plain(wide_shape)
        };
        let mut block = Self {
            wide,
            depthwise,
            project,
            residual,
            wide_map,
            output,
            strip_rows: 1,
        };
        let fits = |rows: &usize| block.strip_lines(*rows) * size_of::<Lanes>() <= STRIP_BYTES;
        block.strip_rows = (1..=output.0).take_while(fits).last().unwrap_or(1);
        block
    }

    /// Memory of the packed weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let wide = match &self.wide {
            Wide::Stem(stem) => stem.bytes(),
            Wide::Expand(expand) => expand.bytes(),
        };
        wide + self.depthwise.bytes() + self.project.bytes()
    }

    /// Rows of the wide map under `rows` rows of the output.
    fn wide_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.depthwise.stride + 3
    }

    /// Lines of a row between the depthwise convolution and the last layer.
    fn deep_lines(&self) -> usize {
        self.wide_map.blocks() * self.output.1
    }

    fn strip_lines(&self, rows: usize) -> usize {
        self.wide_rows(rows) * self.wide_map.row_lines() + rows * self.deep_lines()
    }

    /// Computes whole maps.
    pub(crate) fn run(&self, team: &Team<'_>, input: Input<'_>, target: Target<'_>) {
        let map = *target.map;
        let blocks = target.blocks.len();
        let ideal = map.height.div_ceil(team.threads());
        team.for_rows(target, ideal, (1, blocks), |task, scratch| {
            let mut rows = task.rows.into_iter();
            let mut next = task.range.start;
            // A task may hold rows of several images.
            while next < task.range.end {
                let image = next / map.height;
                let end = task.range.end.min((image + 1) * map.height);
                let range = next - image * map.height..end - image * map.height;
                self.run_image(input, image, range, &map, &mut rows, scratch);
                next = end;
            }
        });
    }

    /// Computes rows `range` of the output of one image.
    fn run_image<'a>(
        &self,
        input: Input<'_>,
        image: usize,
        range: Range<usize>,
        map: &Map,
        outs: &mut impl Iterator<Item = &'a mut [Lanes]>,
        scratch: &mut Scratch,
    ) {
        let stride = self.depthwise.stride;
        let (width, row_lines) = (self.output.1, self.wide_map.row_lines());
        let Scratch { lines, pixels } = scratch;
        let lines = at_least(lines, self.strip_lines(self.strip_rows));
        let (wide, deep) = lines.split_at_mut(self.wide_rows(self.strip_rows) * row_lines);
        // Rows of the wide map are counted with those of zeros above it. `ready` of them, from
        // the first row of the strip on, were left by the strip before.
        let mut ready = 0;
        let mut strip = range.start;
        while strip < range.end {
            let rows = self.strip_rows.min(range.end - strip);
            let first = strip * stride;
            let needed = self.wide_rows(rows);
            let new = first + ready..first + needed;
            self.fill(input, image, new, &mut wide[ready * row_lines..], pixels);
            let source = Rows::strip(wide, row_lines, self.wide_map.columns(), rows, stride);
            let target = RowsMut {
                rows: deep
                    .chunks_exact_mut(self.deep_lines())
                    .take(rows)
                    .collect(),
                columns: width,
                left: 0,
            };
            self.depthwise.run_rows(width, &source, target);
            let source = Rows::strip(deep, self.deep_lines(), width, rows, 1);
            let residual = match input {
                Input::Map(map) if self.residual => {
                    let first = image * self.output.0 + strip;
                    Some(map.rows(first..first + rows, self.output.0, 1, Sides::default()))
                }
                _ => None,
            };
            let target = RowsMut {
                rows: outs.take(rows).collect(),
                columns: map.columns(),
                left: map.border.left,
            };
            let groups = 0..self.project.groups();
            self.project
                .run_rows(groups, width, &source, residual.as_ref(), target);
            strip += rows;
            ready = needed.saturating_sub(rows * stride);
            wide.copy_within(rows * stride * row_lines..needed * row_lines, 0);
        }
    }

    /// Computes the rows `rows` of the wide map, of which the first ones are zeros, as are those
    /// after the last.
    fn fill(
        &self,
        input: Input<'_>,
        image: usize,
        rows: Range<usize>,
        wide: &mut [Lanes],
        pixels: &mut Vec<Lanes>,
    ) {
        let map = &self.wide_map;
        let before = self.depthwise.before.top;
        let row_lines = map.row_lines();
        let wide = &mut wide[..rows.len() * row_lines];
        let inside = rows.start.clamp(before, before + map.height)
            ..rows.end.clamp(before, before + map.height);
        let above = (inside.start - rows.start.min(inside.start)) * row_lines;
        let (top, rest) = wide.split_at_mut(above);
        let (middle, bottom) = rest.split_at_mut(inside.len() * row_lines);
        top.fill(Lanes::ZERO);
        bottom.fill(Lanes::ZERO);
        clear_sides(middle, map);
        let first = image * map.height;
        let source = first + inside.start - before..first + inside.end - before;
        let middle = middle.chunks_exact_mut(row_lines);
        match (&self.wide, input) {
            (Wide::Stem(stem), Input::Pixels(images)) => {
                stem.run_rows(images, source, map, middle, pixels);
            }
            (Wide::Expand(expand), Input::Map(maps)) => {
                let source = maps.rows(source, map.height, 1, Sides::default());
                let target = RowsMut {
                    rows: middle.collect(),
                    columns: map.columns(),
                    left: map.border.left,
                };
                expand.run_rows(0..expand.groups(), map.width, &source, None, target);
            }
            // The planner gives a stem pixels and nothing else.
            _ => {}
        }
    }
}
