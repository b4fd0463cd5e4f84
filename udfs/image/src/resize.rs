//! Pillow's antialiased resize, bit for bit: bicubic, and bilinear for networks that ask for it.
//!
//! Keras jobs call `Image.open(...).resize([224, 224])`, and the features of a network move with
//! every pixel level, so this follows the arithmetic of Pillow 9.5 to 12 (`Resample.c`) exactly:
//! cubic convolution with a = −0.5 whose support grows with the downscale factor, coefficients
//! computed in f64 and rounded to 22-bit fixed point, the horizontal pass first and its result
//! rounded and clipped to 8 bits before the vertical pass.
//!
//! Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
//! Acoustics, Speech and Signal Processing 29(6), 1981.

use std::ops::Range;

use pulp::Arch;

/// Fractional bits of a coefficient: 32 less 8 for a pixel and 2 for the kernel's overshoot.
const PRECISION_BITS: u32 = 22;
/// Bytes of an RGB pixel.
const CHANNELS: usize = 3;
/// Half-width of the cubic kernel at scale 1.
const CUBIC_SUPPORT: f64 = 2.0;

/// What pixels are weighted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Keys' cubic kernel with a = −0.5.
    Bicubic,
}

impl Filter {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }

    /// Half-width at scale 1.
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => CUBIC_SUPPORT,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => cubic(x),
        }
    }
}

/// Resizes interleaved RGB of `width` × `height` to `target_width` × `target_height`.
///
/// An axis whose size already fits is left untouched, as Pillow does. `rgb` must hold
/// `width * height * 3` bytes.
pub fn resize_rgb(
    rgb: Vec<u8>,
    size: (usize, usize),
    (target_width, target_height): (usize, usize),
) -> Vec<u8> {
    let all = (0..target_width, 0..target_height);
    resize_part(
        rgb,
        size,
        (target_width, target_height),
        Filter::Bicubic,
        all,
    )
}

/// Some columns and rows of what a resize gives, without the others ever being computed.
pub(crate) fn resize_part(
    rgb: Vec<u8>,
    (width, height): (usize, usize),
    (target_width, target_height): (usize, usize),
    filter: Filter,
    (columns, rows): (Range<usize>, Range<usize>),
) -> Vec<u8> {
    debug_assert_eq!(rgb.len(), width * height * CHANNELS);
    // Compiled for several instruction sets; which one runs does not show, as all is integer.
    let arch = Arch::new();
    let across = columns.len();
    let rgb = if width != target_width {
        let axis = Axis::new(width, target_width, filter, columns);
        arch.dispatch(|| match width {
            0..WIDE => horizontal(&rgb, height, &axis),
            _ => horizontal_wide(&rgb, height, &axis),
        })
    } else if across != width {
        let bytes = columns.start * CHANNELS..columns.end * CHANNELS;
        let rows = rgb.chunks_exact(width * CHANNELS);
        let rows = rows.flat_map(|row| row.get(bytes.clone()).unwrap_or_default());
        rows.copied().collect()
    } else {
        rgb
    };
    if height != target_height {
        let axis = Axis::new(height, target_height, filter, rows);
        arch.dispatch(|| vertical(&rgb, across, &axis))
    } else if rows.len() != height {
        let bytes = rows.start * across * CHANNELS..rows.end * across * CHANNELS;
        rgb.get(bytes).unwrap_or_default().to_vec()
    } else {
        rgb
    }
}

/// How the pixels of one axis are made.
struct Axis {
    size: usize,
    target: usize,
    filter: Filter,
    /// Those of the target that are wanted.
    part: Range<usize>,
}

/// The source pixels that make up one target pixel, and their weights.
struct Window {
    start: usize,
    coefficients: Vec<i32>,
}

impl Axis {
    fn new(size: usize, target: usize, filter: Filter, part: Range<usize>) -> Self {
        Self {
            size,
            target,
            filter,
            part,
        }
    }

    /// Windows of the target pixels that are wanted.
    fn windows(&self) -> impl Iterator<Item = Window> {
        let (size, filter) = (self.size, self.filter);
        let scale = size as f64 / self.target as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let step = 1.0 / filter_scale;
        self.part.clone().map(move |index| {
            let centre = (index as f64 + 0.5) * scale;
            // Float-to-int casts saturate at zero, which is the clipping at the left border.
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(size);
            let weights: Vec<f64> = (start..end)
                .map(|source| filter.weight((source as f64 - centre + 0.5) * step))
                .collect();
            let total: f64 = weights.iter().sum();
            let coefficients = weights
                .iter()
                .map(|weight| {
                    fixed_point(if total == 0.0 {
                        *weight
                    } else {
                        weight / total
                    })
                })
                .collect();
            Window {
                start,
                coefficients,
            }
        })
    }
}

/// Keys' cubic convolution kernel with a = −0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < CUBIC_SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (scaled + 0.5f64.copysign(scaled)) as i32
}

/// Rounds a fixed-point sum to a byte.
#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The rounding term every sum starts from.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Rows that the horizontal pass takes together, and bytes of a row that the vertical pass takes.
const LANES: usize = 16;

/// Width from which columns would take more memory than they save time.
const WIDE: usize = 1 << 16;

/// Sums of pixels times coefficients, side by side.
type Sums = [i32; LANES];

#[inline(always)]
fn accumulate(sums: &mut Sums, values: &[u8; LANES], coefficient: i32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(coefficient));
    }
}

/// A column of pixels of [`LANES`] rows, channel by channel.
type Column = [[u8; LANES]; CHANNELS];

/// Turns strips of rows, so that the same pixel of all of them lies side by side and one
/// coefficient serves them all at once.
#[inline(always)]
fn horizontal(rgb: &[u8], height: usize, axis: &Axis) -> Vec<u8> {
    let (width, target) = (axis.size, axis.part.len());
    let windows: Vec<Window> = axis.windows().collect();
    let mut out = vec![0; target * height * CHANNELS];
    let mut columns: Vec<Column> = vec![[[0; LANES]; CHANNELS]; width];
    let strips = rgb.chunks(LANES * width * CHANNELS);
    for (strip, out) in strips.zip(out.chunks_mut(LANES * target * CHANNELS)) {
        turn(strip, &mut columns);
        for (x, window) in windows.iter().enumerate() {
            let mut sums = [[HALF; LANES]; CHANNELS];
            let source = columns.get(window.start..).unwrap_or_default();
            for (column, coefficient) in source.iter().zip(&window.coefficients) {
                for (sums, values) in sums.iter_mut().zip(column) {
                    accumulate(sums, values, *coefficient);
                }
            }
            let [red, green, blue] = sums.map(|sums| sums.map(to_byte));
            for (lane, row) in out.chunks_exact_mut(target * CHANNELS).enumerate() {
                let (pixels, _) = row.as_chunks_mut::<CHANNELS>();
                if let Some(pixel) = pixels.get_mut(x) {
                    *pixel = [red[lane % LANES], green[lane % LANES], blue[lane % LANES]];
                }
            }
        }
    }
    out
}

/// The same without columns, one window of coefficients at a time: for images of a few rows that
/// are millions of pixels wide, memory stays below that of the image.
fn horizontal_wide(rgb: &[u8], height: usize, axis: &Axis) -> Vec<u8> {
    let (width, target) = (axis.size, axis.part.len());
    let mut out = vec![0; target * height * CHANNELS];
    for (x, window) in axis.windows().enumerate() {
        let rows = rgb.chunks_exact(width * CHANNELS);
        for (row, out) in rows.zip(out.chunks_exact_mut(target * CHANNELS)) {
            let (source, _) = row.as_chunks::<CHANNELS>();
            let source = source.get(window.start..).unwrap_or_default();
            let mut sums = [HALF; CHANNELS];
            for (pixel, coefficient) in source.iter().zip(&window.coefficients) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*coefficient));
                }
            }
            let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
            if let Some(pixel) = pixels.get_mut(x) {
                *pixel = sums.map(to_byte);
            }
        }
    }
    out
}

/// Up to [`LANES`] rows into columns. Where there are fewer, the other lanes keep what they had.
#[inline(always)]
fn turn(strip: &[u8], columns: &mut [Column]) {
    let width = columns.len();
    for (lane, row) in strip.chunks_exact(width * CHANNELS).enumerate() {
        let (pixels, _) = row.as_chunks::<CHANNELS>();
        for (column, pixel) in columns.iter_mut().zip(pixels) {
            for (values, value) in column.iter_mut().zip(pixel) {
                values[lane % LANES] = *value;
            }
        }
    }
}

#[inline(always)]
fn vertical(rgb: &[u8], width: usize, axis: &Axis) -> Vec<u8> {
    let stride = width * CHANNELS;
    let mut out = vec![0; axis.part.len() * stride];
    for (window, out) in axis.windows().zip(out.chunks_exact_mut(stride)) {
        let rows = || {
            rgb.chunks_exact(stride)
                .skip(window.start)
                .zip(&window.coefficients)
        };
        let (blocks, rest) = out.as_chunks_mut::<LANES>();
        let whole = blocks.len();
        for (index, block) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; LANES];
            for (row, coefficient) in rows() {
                if let Some(values) = row.as_chunks::<LANES>().0.get(index) {
                    accumulate(&mut sums, values, *coefficient);
                }
            }
            *block = sums.map(to_byte);
        }
        for (index, byte) in (whole * LANES..).zip(rest) {
            let mut sum = HALF;
            for (row, coefficient) in rows() {
                if let Some(value) = row.get(index) {
                    sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*coefficient));
                }
            }
            *byte = to_byte(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_size_is_untouched() {
        let rgb: Vec<u8> = (0..4 * 5 * 3).map(|v| (v * 4) as u8).collect();
        assert_eq!(resize_rgb(rgb.clone(), (4, 5), (4, 5)), rgb);
    }

    #[test]
    fn constant_stays_constant() {
        for (width, height) in [(1, 1), (1, 9), (500, 3), (223, 225)] {
            let rgb = vec![77; width * height * 3];
            let out = resize_rgb(rgb, (width, height), (224, 224));
            assert_eq!(out.len(), 224 * 224 * 3);
            assert!(out.iter().all(|v| *v == 77));
        }
    }
}
