//! Small pictures of images, as JPEG: of the report, of `thumbnail` and of notebooks.

use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};

use crate::decode::{DecodeError, DecodeOptions, decode};
use crate::resize::resize_rgb;

const QUALITY: u8 = 80;

/// Decodes an image and encodes it as a JPEG whose longest side has at most `side` pixels. Smaller
/// images keep their size, all their proportions.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not an image.
pub fn thumbnail(
    content: &[u8],
    side: usize,
    options: impl Into<DecodeOptions>,
) -> Result<Vec<u8>, DecodeError> {
    let image = decode(content, options)?;
    let longest = image.width.max(image.height).max(side);
    // Rounded; a very narrow image keeps a pixel.
    let scaled = |length: usize| ((length * side + longest / 2) / longest).max(1);
    let (width, height) = (scaled(image.width), scaled(image.height));
    let pixels = resize_rgb(image.data, (image.width, image.height), (width, height));
    let jpeg = Encoder::new(&pixels, width, height, PixelFormat::Rgb)
        .quality(QUALITY)
        .subsampling(Subsampling::S420)
        .optimize_huffman(true)
        .encode();
    jpeg.map_err(|error| DecodeError::Thumbnail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Limits;

    #[test]
    fn thumbnails_are_small_and_keep_their_proportions() {
        let limits = Limits {
            max_pixels: 100_000,
        };
        for ((width, height), expected) in [
            ((200, 100), (64, 32)),
            ((30, 64), (30, 64)),
            ((1000, 2), (64, 1)),
            ((65, 1000), (4, 64)),
        ] {
            let pixels = vec![90; width * height * 3];
            let jpeg = Encoder::new(&pixels, width, height, PixelFormat::Rgb).encode();
            let bytes = thumbnail(&jpeg.unwrap(), 64, limits).unwrap();
            let thumbnail = decode(&bytes, limits).unwrap();
            assert_eq!((thumbnail.width, thumbnail.height), expected);
            assert!(bytes.len() < 1200, "{}", bytes.len());
        }
        assert!(thumbnail(b"no image", 64, limits).is_err());
    }
}
