//! Made-up images: as hard to decode as photographs.

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use crate::networks::Outcome;

/// A JPEG of these many pixels, with 4:2:0 subsampling and quality 90 as cameras and Pillow's users
/// choose: 59 KB at 500×375, 4.5 KB at 100×100.
pub(crate) fn jpeg(width: usize, height: usize, seed: u32) -> Outcome<Vec<u8>> {
    let pixels = pixels(width, height, seed);
    let format = PixelFormat::Rgb;
    Ok(compress(
        &pixels,
        width,
        height,
        format,
        90,
        Subsampling::S420,
    )?)
}

/// A square bitmap of a network's own size: nothing to decompress, nothing to resize.
pub(crate) fn bitmap(side: usize, seed: u32) -> Vec<u8> {
    let row = (side * 3).next_multiple_of(4);
    // BITMAPFILEHEADER and BITMAPINFOHEADER.
    let mut bytes = b"BM".to_vec();
    let length = 54 + (row * side) as u32;
    for number in [length, 0, 54, 40, side as u32, side as u32] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [1u16, 24] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 24]);
    for pixels in pixels(side, side, seed).chunks(side * 3) {
        bytes.extend(pixels);
        bytes.resize(bytes.len() + row - pixels.len(), 0);
    }
    bytes
}

/// Smooth shades, an edge and noise.
fn pixels(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let mut noise = seed.wrapping_mul(2_654_435_761) | 1;
    let mut pixels = Vec::with_capacity(width * height * 3);
    let phase = seed as f32;
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let wave = (u * 11.0 + phase).sin() * (v * 7.0 - phase).cos();
            let edge = if (u - 0.5).hypot(v - 0.5) < 0.3 {
                60.0
            } else {
                0.0
            };
            for shade in [u, v, 1.0 - u] {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let grain = (noise % 32) as f32;
                pixels.push((60.0 + 70.0 * shade + 40.0 * wave + edge + grain) as u8);
            }
        }
    }
    pixels
}
