//! The internal layout of feature maps: `[image][row][channel block][column][16 channels]`.
//!
//! Channels come in blocks of sixteen (the last one filled up with zeros), one line each. Rows are
//! outermost so that a strip of rows is one piece of memory: it stays in the cache between two
//! layers, and a thread can be handed its rows as a slice of its own. Around the image lies a
//! border of zeros, wide enough for the layers that read it: no convolution has edge cases on input.

use std::ops::Range;

use crate::simd::{LANES, Lanes};

/// Rows above and below, columns on the left and on the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sides {
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
}

impl Sides {
    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.max(other.left),
            right: self.right.max(other.right),
        }
    }
}

/// Extents of one feature map and of the zeros around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    /// Rows of pixels.
    pub(crate) height: usize,
    /// Columns of pixels.
    pub(crate) width: usize,
    /// Channels, not counting those that fill up the last block.
    pub(crate) channels: usize,
    /// Zeros.
    pub(crate) border: Sides,
}

impl Map {
    /// A map without border.
    pub(crate) fn plain((height, width, channels): (usize, usize, usize)) -> Self {
        Self {
            height,
            width,
            channels,
            border: Sides::default(),
        }
    }

    /// Blocks of sixteen channels.
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Columns, zeros included: lines from one channel block to the next.
    pub(crate) fn columns(&self) -> usize {
        self.border.left + self.width + self.border.right
    }

    /// Lines of one row.
    pub(crate) fn row_lines(&self) -> usize {
        self.blocks() * self.columns()
    }

    /// Lines of one image.
    pub(crate) fn image_lines(&self) -> usize {
        (self.border.top + self.height + self.border.bottom) * self.row_lines()
    }

    /// Line of the first pixel of an image.
    fn first(&self) -> usize {
        self.border.top * self.row_lines() + self.border.left
    }
}

/// Maps to read, one image after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) lines: &'a [Lanes],
    pub(crate) map: &'a Map,
}

impl<'a> Source<'a> {
    pub(crate) fn images(&self) -> usize {
        self.lines.len() / self.map.image_lines()
    }

    /// What is under some rows of an output of `height` rows an image, counted over all images: a
    /// window moves by `stride`, and begins so many rows above and columns left of the first pixel.
    pub(crate) fn rows(
        &self,
        range: Range<usize>,
        height: usize,
        stride: usize,
        before: Sides,
    ) -> Rows<'a> {
        let map = self.map;
        let row_lines = map.row_lines();
        let first = map.first() - before.top * row_lines - before.left;
        let start = |row| row / height * map.image_lines() + row % height * stride * row_lines;
        Rows {
            lines: self.lines,
            row_lines,
            columns: map.columns(),
            starts: range.map(|row| first + start(row)).collect(),
        }
    }
}

/// Where the pixels under some rows of an output lie.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) lines: &'a [Lanes],
    /// Lines from one row of the source to the next.
    pub(crate) row_lines: usize,
    /// Lines from one channel block to the next.
    pub(crate) columns: usize,
    /// The first pixel under each row of the output.
    pub(crate) starts: Vec<usize>,
}

impl<'a> Rows<'a> {
    /// Under `count` rows of an output, from the first line on.
    pub(crate) fn strip(
        lines: &'a [Lanes],
        row_lines: usize,
        columns: usize,
        count: usize,
        stride: usize,
    ) -> Self {
        Self {
            lines,
            row_lines,
            columns,
            starts: (0..count).map(|row| row * stride * row_lines).collect(),
        }
    }
}

/// Rows of an output to write, or a range of channel blocks of each.
#[derive(Debug)]
pub(crate) struct RowsMut<'a> {
    pub(crate) rows: Vec<&'a mut [Lanes]>,
    /// Lines from one channel block to the next.
    pub(crate) columns: usize,
    /// The first pixel of each row.
    pub(crate) left: usize,
}

/// Channel blocks of maps to write, one image after the other.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) lines: &'a mut [Lanes],
    pub(crate) map: &'a Map,
    /// Those of the map that are written here.
    pub(crate) blocks: Range<usize>,
}

impl<'a> Target<'a> {
    /// Writes the zeros around the images, and gives the rows of pixels between them.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = &'a mut [Lanes]> {
        let (map, blocks) = (*self.map, self.blocks);
        let columns = map.columns();
        let rows = self.lines.chunks_exact_mut(map.row_lines()).enumerate();
        let height = map.border.top + map.height + map.border.bottom;
        rows.filter_map(move |(y, row)| {
            let row = &mut row[blocks.start * columns..blocks.end * columns];
            let inside = map.border.top..map.border.top + map.height;
            if !inside.contains(&(y % height)) {
                row.fill(Lanes::ZERO);
                return None;
            }
            clear_sides(row, &map);
            Some(row)
        })
    }
}

/// Writes the zeros on the left and on the right of a row.
pub(crate) fn clear_sides(row: &mut [Lanes], map: &Map) {
    if map.border.left + map.border.right > 0 {
        for block in row.chunks_exact_mut(map.columns()) {
            block[..map.border.left].fill(Lanes::ZERO);
            block[map.border.left + map.width..].fill(Lanes::ZERO);
        }
    }
}

/// Cuts `0..len` into `parts` ranges of nearly the same length.
pub(crate) fn split_evenly(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| len * part / parts..len * (part + 1) / parts)
}
