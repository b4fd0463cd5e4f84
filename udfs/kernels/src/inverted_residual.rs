//! A depthwise separable block, computed in strips of rows that stay in the cache.
//!
//! The wide maps between the layers of a block are never stored: for a few rows of output, the
//! first layer computes the rows that the depthwise convolution needs (and keeps the last ones
//! for the next strip), the depthwise convolution a few rows more, and the last layer writes
//! them out. See Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
//! (2018), <https://arxiv.org/abs/1801.04381>.

use std::ops::Range;

use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::layout::{Map, View};
use crate::pointwise::{Pointwise, Source, Target};
use crate::simd::Lanes;

/// Bytes of intermediate rows in a strip: about half of a core's second-level cache.
const STRIP_BYTES: usize = 450 << 10;

/// What makes the rows that the depthwise convolution reads.
#[derive(Debug)]
pub(crate) enum Wide {
    /// The first layer of the network, from pixels.
    Stem(Direct),
    /// A 1×1 convolution with ReLU6, from the map of the block before.
    Expand(Pointwise),
}

/// The input of a block: pixels for [`Wide::Stem`], else a map without border.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    Pixels(&'a [f32]),
    Map(&'a [Lanes]),
}

/// Wide layer, depthwise 3×3 convolution, 1×1 convolution, and the skip connection if there is one.
#[derive(Debug)]
pub(crate) struct Block {
    wide: Wide,
    depthwise: Depthwise,
    project: Pointwise,
    residual: bool,
    /// The map that the wide layer reads; of no meaning for [`Wide::Stem`].
    input: Map,
    output: Map,
    /// The rows between the wide layer and the depthwise convolution.
    wide_map: Map,
    strip_rows: usize,
}

impl Block {
    /// `(height, width)` is the output of the wide layer; layers were checked to fit each other.
    pub(crate) fn new(
        wide: Wide,
        depthwise: Depthwise,
        project: Pointwise,
        (height, width): (usize, usize),
        in_channels: usize,
        residual: bool,
    ) -> Self {
        let before = depthwise.padding_before();
        let output = Map::plain(
            depthwise.output_extent(height),
            depthwise.output_extent(width),
            project.out_channels(),
        );
        let wide_map = Map {
            height,
            width,
            channels: depthwise.channels(),
            border: before,
            rows: height,
            columns: ((output.width - 1) * depthwise.stride() + 3).max(before + width),
        };
        let mut block = Self {
            wide,
            depthwise,
            project,
            residual,
            input: Map::plain(height, width, in_channels),
            output,
            wide_map,
            strip_rows: 1,
        };
        let fits = |rows: &usize| block.strip_lines(*rows) * size_of::<Lanes>() <= STRIP_BYTES;
        block.strip_rows = (1..=output.height).take_while(fits).last().unwrap_or(1);
        block
    }

    /// The map that it writes, without border.
    pub(crate) fn output(&self) -> &Map {
        &self.output
    }

    /// Memory of the packed weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let wide = match &self.wide {
            Wide::Stem(stem) => stem.bytes(),
            Wide::Expand(expand) => expand.bytes(),
        };
        wide + self.depthwise.bytes() + self.project.bytes()
    }

    /// Multiplications and additions for one image.
    pub(crate) fn operations(&self) -> usize {
        let wide = match &self.wide {
            Wide::Stem(stem) => stem.operations(),
            Wide::Expand(expand) => expand.operations() * self.input.height * self.input.width,
        };
        let pixels = self.output.height * self.output.width;
        wide + pixels * (self.depthwise.operations() + self.project.operations())
    }

    /// What it computes, for reports.
    pub(crate) fn name(&self) -> String {
        format!(
            "{} {}→{}→{} at {}×{}{}",
            match self.wide {
                Wide::Stem(_) => "stem",
                Wide::Expand(_) => "block",
            },
            self.input.channels,
            self.wide_map.channels,
            self.output.channels,
            self.wide_map.height,
            self.wide_map.width,
            match (self.depthwise.stride(), self.residual) {
                (1, true) => " + skip",
                (1, false) => "",
                _ => " / 2",
            }
        )
    }

    /// Lines of scratch memory that [`Self::run`] needs.
    pub(crate) fn scratch_lines(&self) -> usize {
        self.strip_lines(self.strip_rows)
    }

    /// Rows of the wide map under `rows` rows of the output.
    fn wide_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.depthwise.stride() + 3
    }

    fn strip_lines(&self, rows: usize) -> usize {
        self.wide_rows(rows) * self.wide_map.row_lines()
            + rows * self.wide_map.blocks() * self.output.width
    }

    /// Computes rows `range` of the output of one image into `out`, which holds just them.
    pub(crate) fn run(
        &self,
        input: Input<'_>,
        range: Range<usize>,
        out: &mut [Lanes],
        scratch: &mut [Lanes],
        pixels: &mut Vec<Lanes>,
    ) {
        let stride = self.depthwise.stride();
        let before = self.depthwise.padding_before();
        let row_lines = self.wide_map.row_lines();
        let wide_lines = self.wide_rows(self.strip_rows) * row_lines;
        let (wide, deep) = scratch.split_at_mut(wide_lines);
        let deep_view = View {
            row_lines: self.wide_map.blocks() * self.output.width,
            columns: self.output.width,
            border: 0,
        };
        let out_lines = self.output.row_lines();
        // Rows of the wide map are counted with those of zeros above it. `ready` of them, from
        // the first row of the strip on, were left by the strip before.
        let mut ready = 0;
        let mut strip = range.start;
        let mut outs = out.chunks_mut(self.strip_rows * out_lines);
        while strip < range.end {
            let rows = self.strip_rows.min(range.end - strip);
            let first = strip * stride;
            let needed = self.wide_rows(rows);
            let new = first + ready..first + needed;
            self.fill(input, new, before, &mut wide[ready * row_lines..], pixels);
            let source = Source {
                lines: wide,
                view: View::from(&self.wide_map),
            };
            let target = Target {
                lines: deep,
                view: deep_view,
            };
            self.depthwise.run(rows, self.output.width, source, target);
            let source = Source {
                lines: deep,
                view: deep_view,
            };
            let residual = match input {
                Input::Map(lines) if self.residual => Some(Source {
                    lines: &lines[strip * self.input.row_lines()..],
                    view: View::from(&self.input),
                }),
                _ => None,
            };
            if let Some(lines) = outs.next() {
                let target = Target {
                    lines,
                    view: View::from(&self.output),
                };
                self.project
                    .run(rows, self.output.width, source, residual, target);
            }
            strip += rows;
            ready = needed.saturating_sub(rows * stride);
            wide.copy_within(rows * stride * row_lines..needed * row_lines, 0);
        }
    }

    /// Computes the rows `rows` of the wide map, of which the first `before` are zeros, as are
    /// those after the last.
    fn fill(
        &self,
        input: Input<'_>,
        rows: Range<usize>,
        before: usize,
        wide: &mut [Lanes],
        pixels: &mut Vec<Lanes>,
    ) {
        let map = &self.wide_map;
        let row_lines = map.row_lines();
        let wide = &mut wide[..rows.len() * row_lines];
        let inside = rows.start.clamp(before, before + map.height)
            ..rows.end.clamp(before, before + map.height);
        let above = (inside.start - rows.start.min(inside.start)) * row_lines;
        let (top, rest) = wide.split_at_mut(above);
        let (middle, bottom) = rest.split_at_mut(inside.len() * row_lines);
        top.fill(Lanes::ZERO);
        bottom.fill(Lanes::ZERO);
        for block in middle.chunks_exact_mut(map.columns) {
            block[..map.border].fill(Lanes::ZERO);
            block[map.border + map.width..].fill(Lanes::ZERO);
        }
        let source = inside.start - before..inside.end - before;
        match (&self.wide, input) {
            (Wide::Stem(stem), Input::Pixels(image)) => {
                let rows = middle.chunks_exact_mut(row_lines);
                stem.run_rows(image, source, map, rows, pixels);
            }
            (Wide::Expand(expand), Input::Map(lines)) => {
                let count = source.len();
                let source = Source {
                    lines: &lines[source.start * self.input.row_lines()..],
                    view: View::from(&self.input),
                };
                let target = Target {
                    lines: middle,
                    view: View::from(map),
                };
                expand.run(count, map.width, source, None, target);
            }
            // The builder puts a stem first and nowhere else.
            _ => {}
        }
    }
}
