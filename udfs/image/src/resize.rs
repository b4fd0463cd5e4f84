//! Pillow's antialiased bicubic resize, bit for bit.
//!
//! Keras jobs call `Image.open(...).resize([224, 224])`, and the features of a network move with
//! every pixel level, so this follows the arithmetic of Pillow 9.5 to 12 (`Resample.c`) exactly:
//! cubic convolution with a = −0.5 whose support grows with the downscale factor, coefficients
//! computed in f64 and rounded to 22-bit fixed point, the horizontal pass first and its result
//! rounded and clipped to 8 bits before the vertical pass.
//!
//! Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
//! Acoustics, Speech and Signal Processing 29(6), 1981.

/// Fractional bits of a coefficient: 32 less 8 for a pixel and 2 for the kernel's overshoot.
const PRECISION_BITS: u32 = 22;
/// Bytes of an RGB pixel.
const CHANNELS: usize = 3;
/// Half-width of the cubic kernel at scale 1.
const CUBIC_SUPPORT: f64 = 2.0;

/// Resizes interleaved RGB of `width` × `height` to `target_width` × `target_height`.
///
/// An axis whose size already fits is left untouched, as Pillow does. `rgb` must hold
/// `width * height * 3` bytes.
pub fn resize_rgb(
    rgb: Vec<u8>,
    (width, height): (usize, usize),
    (target_width, target_height): (usize, usize),
) -> Vec<u8> {
    debug_assert_eq!(rgb.len(), width * height * CHANNELS);
    let rgb = if width == target_width {
        rgb
    } else {
        horizontal(&rgb, width, height, target_width)
    };
    if height == target_height {
        rgb
    } else {
        vertical(&rgb, target_width, height, target_height)
    }
}

/// The source pixels that make up one target pixel, and their weights.
struct Window {
    start: usize,
    coefficients: Vec<i32>,
}

/// Windows of every target pixel along one axis.
fn windows(size: usize, target: usize) -> impl Iterator<Item = Window> {
    let scale = size as f64 / target as f64;
    let filter_scale = scale.max(1.0);
    let support = CUBIC_SUPPORT * filter_scale;
    let step = 1.0 / filter_scale;
    (0..target).map(move |index| {
        let centre = (index as f64 + 0.5) * scale;
        // Float-to-int casts saturate at zero, which is the clipping at the left border.
        let start = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(size);
        let weights: Vec<f64> = (start..end)
            .map(|source| cubic((source as f64 - centre + 0.5) * step))
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
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The rounding term every sum starts from.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn horizontal(rgb: &[u8], width: usize, height: usize, target: usize) -> Vec<u8> {
    let windows: Vec<Window> = windows(width, target).collect();
    let mut out = Vec::with_capacity(target * height * CHANNELS);
    for row in rgb.chunks_exact(width * CHANNELS) {
        let (pixels, _) = row.as_chunks::<CHANNELS>();
        for window in &windows {
            let mut sums = [HALF; CHANNELS];
            let source = pixels.iter().skip(window.start);
            for (pixel, coefficient) in source.zip(&window.coefficients) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*coefficient));
                }
            }
            out.extend(sums.map(to_byte));
        }
    }
    out
}

fn vertical(rgb: &[u8], width: usize, height: usize, target: usize) -> Vec<u8> {
    let stride = width * CHANNELS;
    let mut out = Vec::with_capacity(target * stride);
    let mut sums = vec![HALF; stride];
    for window in windows(height, target) {
        sums.fill(HALF);
        let rows = rgb.chunks_exact(stride).skip(window.start);
        for (row, coefficient) in rows.zip(&window.coefficients) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*coefficient));
            }
        }
        out.extend(sums.iter().copied().map(to_byte));
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
