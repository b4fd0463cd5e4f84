//! The internal layout of feature maps: `[image][row][channel block][column][16 channels]`.
//!
//! Channels come in blocks of sixteen (the last one filled up with zeros), one line each. Rows are
//! outermost so that a strip of rows is one piece of memory: it stays in the cache between two
//! layers, and a thread can be handed its rows as a slice of its own. Around the image lies a
//! border of zeros, wide enough for the layer that reads it: no kernel has edge cases on input.

use std::ops::Range;

use crate::simd::{LANES, Lanes};

/// Extents of one feature map and of the zeros around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    /// Rows of pixels.
    pub(crate) height: usize,
    /// Columns of pixels.
    pub(crate) width: usize,
    /// Channels, not counting those that fill up the last block.
    pub(crate) channels: usize,
    /// Rows of zeros above and columns of zeros on the left.
    pub(crate) border: usize,
    /// All rows, zeros included.
    pub(crate) rows: usize,
    /// All columns, zeros included.
    pub(crate) columns: usize,
}

impl Map {
    /// A map without border.
    pub(crate) fn plain(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
            border: 0,
            rows: height,
            columns: width,
        }
    }

    /// Blocks of sixteen channels.
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Lines of one row.
    pub(crate) fn row_lines(&self) -> usize {
        self.blocks() * self.columns
    }

    /// Lines of one image.
    pub(crate) fn image_lines(&self) -> usize {
        self.rows * self.row_lines()
    }

    /// Writes the zeros around every image of `lines`.
    pub(crate) fn clear_border(&self, lines: &mut [Lanes]) {
        if self.rows == self.height && self.columns == self.width {
            return;
        }
        for image in lines.chunks_exact_mut(self.image_lines()) {
            for (y, row) in image.chunks_exact_mut(self.row_lines()).enumerate() {
                if y < self.border || y >= self.border + self.height {
                    row.fill(Lanes::ZERO);
                    continue;
                }
                for block in row.chunks_exact_mut(self.columns) {
                    block[..self.border].fill(Lanes::ZERO);
                    block[self.border + self.width..].fill(Lanes::ZERO);
                }
            }
        }
    }

    /// The pixel rows of every image in `lines`, without the rows of zeros.
    pub(crate) fn pixel_rows<'a>(
        &self,
        lines: &'a mut [Lanes],
    ) -> impl Iterator<Item = &'a mut [Lanes]> + use<'a> {
        let map = *self;
        lines
            .chunks_exact_mut(map.image_lines())
            .flat_map(move |image| {
                image
                    .chunks_exact_mut(map.row_lines())
                    .skip(map.border)
                    .take(map.height)
            })
    }

    /// Copies the images in `lines` to `out` in NHWC order.
    pub(crate) fn export(&self, lines: &[Lanes], out: &mut [f32]) {
        let images = lines.chunks_exact(self.image_lines());
        let out_images = out.chunks_exact_mut(self.height * self.width * self.channels);
        for (image, out) in images.zip(out_images) {
            let rows = image.chunks_exact(self.row_lines()).skip(self.border);
            for (row, out) in rows.zip(out.chunks_exact_mut(self.width * self.channels)) {
                for (x, pixel) in out.chunks_exact_mut(self.channels).enumerate() {
                    let blocks = row.chunks_exact(self.columns);
                    for (block, channels) in blocks.zip(pixel.chunks_mut(LANES)) {
                        let line = &block[self.border + x].0;
                        channels.copy_from_slice(&line[..channels.len()]);
                    }
                }
            }
        }
    }
}

/// Where the pixels of a piece of a map lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Lines of one row.
    pub(crate) row_lines: usize,
    /// Columns, zeros included: lines from one channel block to the next.
    pub(crate) columns: usize,
    /// Columns of zeros on the left.
    pub(crate) border: usize,
}

impl From<&Map> for View {
    fn from(map: &Map) -> Self {
        Self {
            row_lines: map.row_lines(),
            columns: map.columns,
            border: map.border,
        }
    }
}

impl View {
    /// Index of the line of a pixel and channel block.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, block: usize, x: usize) -> usize {
        row * self.row_lines + block * self.columns + self.border + x
    }
}

/// Cuts `0..len` into `parts` ranges of nearly the same length.
pub(crate) fn split_evenly(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| len * part / parts..len * (part + 1) / parts)
}
