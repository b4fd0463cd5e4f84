use std::io::Cursor;

use super::*;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

const LIMITS: Limits = Limits {
    max_pixels: crate::settings::DEFAULT_MAX_PIXELS,
};

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let image = image.into();
    match format {
        ImageFormat::Bmp => return bmp(&image.into_rgb8()),
        ImageFormat::Tiff => return rgb_tiff(&image.into_rgb8()),
        _ => {}
    }
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A BMP of 24 bits a pixel, its rows from the bottom up.
fn bmp(image: &RgbImage) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let mut out = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    out.extend([width, height].map(u32::to_le_bytes).concat());
    out.extend([1, 0, 24, 0]);
    out.extend([0; 24]);
    for row in image.as_raw().chunks(3 * width as usize).rev() {
        out.extend(
            row.chunks(3)
                .flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]),
        );
        out.resize(54 + (out.len() - 54).next_multiple_of(4), 0);
    }
    out
}

/// A TIFF of one strip. The fields are tags and numbers; where the strip is, is added.
fn tiff(fields: &[(u16, u32)], strip: &[u8]) -> Vec<u8> {
    const STRIP: [u16; 2] = [273, 279];
    let at = 8 + 2 + 12 * (fields.len() + 2) + 4;
    let strips = STRIP.into_iter().zip([at as u32, strip.len() as u32]);
    let mut fields: Vec<_> = fields.iter().copied().chain(strips).collect();
    fields.sort_unstable();
    let mut out = b"II\x2A\0\x08\0\0\0".to_vec();
    out.extend((fields.len() as u16).to_le_bytes());
    for (tag, value) in fields {
        out.extend(tag.to_le_bytes());
        out.extend([4, 0, 1, 0, 0, 0]);
        out.extend(value.to_le_bytes());
    }
    out.extend([0; 4]);
    out.extend(strip);
    out
}

fn rgb_tiff(image: &RgbImage) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let fields = [(256, width), (257, height), (258, 8), (262, 2), (277, 3)];
    tiff(&fields, image.as_raw())
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
    let error = decode(b"\0\0\0\x14ftypheic\0\0\0\0heic", LIMITS)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the content (20 bytes) is an image in HEIC, which is not supported; convert it to JPEG or \
         PNG first"
    );
    // One pixel of grey, a floating-point number.
    let fields = [(256, 1), (257, 1), (258, 32), (262, 1), (339, 3)];
    let tiff = tiff(&fields, &[0; 4]);
    let error = decode(&tiff, LIMITS).unwrap_err().to_string();
    assert!(
        error.contains("numbers of 32 bits") && error.contains("scale them"),
        "{error}"
    );
}

/// The table of formats in the documentation of the module is what the code does.
#[test]
fn the_table_of_formats_is_true() {
    let documentation = include_str!("mod.rs");
    let row = |format: &str| {
        let beginning = format!("//! | {format} |");
        let row = documentation
            .lines()
            .find(|line| line.starts_with(&beginning));
        row.unwrap_or_else(|| panic!("{format} has no row"))
            .to_owned()
    };
    for format in Format::ALL {
        row(&format.to_string());
    }
    let refused = row("TIFF");
    let base = [(256, 16), (257, 1), (277, 1)];
    for (more, expected) in [
        (&[(258, 8), (259, 34_925), (262, 1)][..], "LZMA"),
        (&[(258, 8), (259, 50_000), (262, 1)], "Zstandard"),
        (&[(258, 8), (259, 50_001), (262, 1)], "WebP"),
        (
            &[(258, 1), (259, 3), (262, 0), (292, 1)],
            "fax in two dimensions",
        ),
        (&[(258, 8), (262, 8), (277, 3)], "CIE L*a*b*"),
        (&[(258, 8), (262, 6), (277, 3)], "YCbCr that is not JPEG"),
    ] {
        let fields: Vec<_> = base
            .into_iter()
            .filter(|(tag, _)| !more.iter().any(|(other, _)| other == tag))
            .chain(more.iter().copied())
            .collect();
        let error = decode(&tiff(&fields, &[0; 48]), LIMITS)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected) && error.contains("save it again"),
            "{error}"
        );
        assert!(refused.contains(expected), "{expected} is not in the table");
    }
    for (bytes, format) in [
        (b"\0\0\0\x14ftypheic\0\0\0\0heic".as_slice(), "HEIC"),
        (b"\xFF\x0A", "JPEG XL"),
    ] {
        assert!(row(format).contains("refused"));
        assert!(
            decode(bytes, LIMITS)
                .unwrap_err()
                .to_string()
                .contains(format)
        );
    }
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

/// Found by fuzzing: image-webp 0.2.4 panics, or mixes up rows.
#[test]
fn a_frame_whose_colours_have_another_size_than_its_alpha_is_refused() {
    let good = include_bytes!("../../tests/data/decode/blended_lossy.webp");
    let size = good.windows(4).position(|name| name == b"ANMF").unwrap() + 14;
    assert!(decode(good, LIMITS).is_ok());
    let before = panics();
    for (place, less) in [(size, 1), (size + 3, 9), (size, 28)] {
        let mut bytes = good.to_vec();
        bytes[place] -= less;
        let error = decode(&bytes, LIMITS).unwrap_err().to_string();
        assert!(error.contains("and colours for 29×22"), "{error}");
    }
    assert_eq!(panics(), before);
}
