use std::io::Cursor;

use super::*;
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};

const LIMITS: Limits = Limits {
    max_pixels: crate::settings::DEFAULT_MAX_PIXELS,
};

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7 + y) as u8, (y * 5) as u8, (x * y / 8) as u8])
    })
}

#[test]
fn lossless_formats_round_trip() {
    let image = photo(33, 20);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ] {
        let decoded = decode(&encode(image.clone(), format), LIMITS).unwrap();
        assert_eq!((decoded.width, decoded.height), (33, 20));
        assert_eq!(&decoded.data, image.as_raw(), "{format:?}");
    }
}

#[test]
fn grey_and_alpha_become_rgb() {
    let grey = GrayImage::from_pixel(3, 2, Luma([9]));
    let decoded = decode(&encode(grey, ImageFormat::Png), LIMITS).unwrap();
    assert_eq!(decoded.data, [9; 18]);
    let transparent = RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 0]));
    let decoded = decode(&encode(transparent, ImageFormat::Png), LIMITS).unwrap();
    assert_eq!(decoded.data, [10, 20, 30]);
}

#[test]
fn sixteen_bits_keep_the_high_byte() {
    let image = image::ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([0x12FF, 0xFF00, 0x00FF]));
    let decoded = decode(&encode(image, ImageFormat::Png), LIMITS).unwrap();
    assert_eq!(decoded.data, [0x12, 0xFF, 0x00]);
}

#[test]
fn what_is_not_an_image_is_named() {
    assert_eq!(decode(b"", LIMITS).unwrap_err(), DecodeError::Empty);
    let error = decode(b"hello, world\n", LIMITS).unwrap_err().to_string();
    assert!(
        error.contains("13 bytes, beginning with \"hello, world\""),
        "{error}"
    );
    let error = decode(&[0, 1, 2, 0xFE], LIMITS).unwrap_err().to_string();
    assert!(error.contains("X'000102FE'"), "{error}");
}

#[test]
fn what_is_not_supported_is_named() {
    let error = decode(b"\0\0\0\x14ftypavif\0\0\0\0avif", LIMITS)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the content (20 bytes) is an image in AVIF, which is not supported; convert it to JPEG or \
         PNG first"
    );
    // One pixel of grey, a floating-point number: width, height, bits, what they mean, where they
    // are, rows, bytes, kind of number.
    let fields = [
        (256, 1),
        (257, 1),
        (258, 32),
        (259, 1),
        (262, 1),
        (273, 4),
        (277, 1),
        (278, 1),
        (279, 4),
        (339, 3),
    ];
    let mut tiff = b"II\x2A\0\x08\0\0\0\x0A\0".to_vec();
    for (tag, value) in fields {
        tiff.extend(u16::to_le_bytes(tag));
        tiff.extend([4, 0, 1, 0, 0, 0]);
        tiff.extend(u32::to_le_bytes(value));
    }
    tiff.extend([0; 8]);
    let error = decode(&tiff, LIMITS).unwrap_err().to_string();
    assert!(
        error.contains("numbers of 32 bits") && error.contains("scale them"),
        "{error}"
    );
}

#[test]
fn every_format_notices_truncation() {
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::WebP,
        ImageFormat::Gif,
    ] {
        let whole = encode(photo(64, 64), format);
        decode(&whole, LIMITS).unwrap();
        for keep in [whole.len() / 2, whole.len() - 40] {
            let error = decode(&whole[..keep], LIMITS).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{keep} bytes")),
                "{format:?}: {error}"
            );
        }
    }
    let jpeg = encode(photo(64, 64), ImageFormat::Jpeg);
    let error = decode(&jpeg[..jpeg.len() / 2], LIMITS).unwrap_err();
    assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
}

/// A PNG whose header claims 60,000 × 60,000 pixels and which has nothing to show for it.
fn bomb() -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(60_000u32.to_be_bytes());
    chunk.extend(60_000u32.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = chunk.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    });
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0D".to_vec();
    png.extend(chunk);
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\x00IDAT\x35\xAF\x06\x1E");
    png
}

#[test]
fn enormous_headers_are_refused() {
    let error = decode(&bomb(), LIMITS).unwrap_err();
    assert_eq!(
        error,
        DecodeError::TooManyPixels {
            format: Format::Png,
            width: 60_000,
            height: 60_000,
            max_pixels: LIMITS.max_pixels
        }
    );
    let inspection = inspect(&bomb(), LIMITS);
    assert_eq!(inspection.header.unwrap().width, 60_000);
    assert_eq!(inspection.error, Some(error));
    // The limit itself is allowed.
    let png = encode(photo(8, 8), ImageFormat::Png);
    assert!(decode(&png, Limits { max_pixels: 64 }).is_ok());
    assert!(decode(&png, Limits { max_pixels: 63 }).is_err());
}

#[test]
fn inspection_of_good_and_bad() {
    let inspection = inspect(&encode(photo(5, 4), ImageFormat::Jpeg), LIMITS);
    assert_eq!(
        inspection.header,
        Some(Header {
            format: Format::Jpeg,
            width: 5,
            height: 4,
            color: "RGB".to_owned()
        })
    );
    assert_eq!(inspection.error, None);
    let inspection = inspect(b"GIF89a", LIMITS);
    assert_eq!(inspection.format, Some(Format::Gif));
    assert_eq!(inspection.header, None);
    assert!(inspection.error.is_some());
}
