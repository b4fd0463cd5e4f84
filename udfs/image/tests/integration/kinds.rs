//! Every kind of TIFF and BMP that people have, and the settings for how images are decoded, beside
//! Pillow.

use std::path::{Path, PathBuf};

use datafusion_functions_image::decode::{
    DecodeOptions, DeepGrey, ExifOrientation, Limits, TruncatedImages, decode, inspect,
};

const LIMITS: Limits = Limits { max_pixels: 1000 };

// By tests/parity/make_kinds.py, which prints these lines: the setting with which Pillow's way is ours,
// width, height and the FNV-1a hash of what Pillow 12.3 makes of each.
#[rustfmt::skip]
const PILLOW: [(&str, &str, u32, u32, u32); 87] = [
    ("grey2.tiff", "", 13, 10, 0xC9D70078),
    ("grey2_white_zero.tiff", "", 13, 10, 0x910454DA),
    ("grey2_fill.tiff", "", 13, 10, 0xC9D70078),
    ("grey4.tiff", "", 13, 10, 0xCA389013),
    ("grey4_white_zero.tiff", "", 13, 10, 0x67B2B32D),
    ("grey4_fill.tiff", "", 13, 10, 0xCA389013),
    ("grey8_white_zero.tiff", "", 13, 10, 0xFCB52F57),
    ("grey8_signed.tiff", "", 13, 10, 0xAE199919),
    ("grey_no_photometric.tiff", "", 13, 10, 0xFCB52F57),
    ("grey_alpha.tiff", "", 13, 10, 0xAE199919),
    ("grey_planes_extra.tiff", "", 13, 10, 0xAE199919),
    ("cycle.tiff", "", 13, 10, 0xAE199919),
    ("big.tiff", "", 13, 10, 0xAE199919),
    ("strips.tiff", "", 13, 10, 0xAE199919),
    ("no_rows_per_strip_lzw.tiff", "", 13, 10, 0xAE199919),
    ("rgba_unsaid.tiff", "", 13, 10, 0xC17DEC68),
    ("premultiplied.tiff", "", 13, 10, 0x0B2A9B31),
    ("premultiplied16.tiff", "", 13, 10, 0x01DC9FBC),
    ("five_samples.tiff", "", 13, 10, 0xC17DEC68),
    ("planes_strips.tiff", "", 13, 10, 0xC17DEC68),
    ("planes_premultiplied_strips.tiff", "", 13, 10, 0x0B2A9B31),
    ("planes16_strips.tiff", "", 13, 10, 0x83B3C4B4),
    ("planes_tiles.tiff", "", 13, 10, 0xC17DEC68),
    ("planes_premultiplied_tiles.tiff", "", 13, 10, 0x0B2A9B31),
    ("planes16_tiles.tiff", "", 13, 10, 0x83B3C4B4),
    ("predictor_tiff_lzw.tiff", "", 13, 10, 0xC17DEC68),
    ("predictor_tiff_adobe_deflate.tiff", "", 13, 10, 0xC17DEC68),
    ("predictor16.tiff", "", 13, 10, 0x83B3C4B4),
    ("predictor16_motorola.tiff", "", 13, 10, 0x83B3C4B4),
    ("cmyk.tiff", "", 13, 10, 0xBF77841F),
    ("cmyk16.tiff", "", 13, 10, 0x99033FBC),
    ("bits_said_once.tiff", "", 13, 10, 0xC17DEC68),
    ("bits_too_many.tiff", "", 13, 10, 0xC17DEC68),
    ("palette_more.tiff", "", 13, 10, 0x5EC612A2),
    ("palette_alpha.tiff", "", 13, 10, 0x5EC612A2),
    ("orientation2.tiff", "", 13, 10, 0xFF299580),
    ("orientation3.tiff", "", 13, 10, 0x355279E2),
    ("orientation4.tiff", "", 13, 10, 0x4C606EF2),
    ("orientation5.tiff", "", 10, 13, 0xB745CFAE),
    ("orientation6.tiff", "", 10, 13, 0x10BCE7C0),
    ("orientation7.tiff", "", 10, 13, 0x4CD62C94),
    ("orientation8.tiff", "", 10, 13, 0x83FF03F2),
    ("jpeg_444.tiff", "", 13, 10, 0xE5796DE7),
    ("jpeg_422.tiff", "", 13, 10, 0xDD418638),
    ("jpeg_420.tiff", "", 13, 10, 0x7577694B),
    ("jpeg_strips.tiff", "", 13, 10, 0xE5796DE7),
    ("jpeg_tiles.tiff", "", 13, 10, 0x1239FD6B),
    ("jpeg_rgb.tiff", "", 13, 10, 0x1B000010),
    ("jpeg_grey.tiff", "", 13, 10, 0x22DE94FC),
    ("jpeg_cmyk.tiff", "", 13, 10, 0xA5F45F15),
    ("jpeg_old.tiff", "", 13, 10, 0x03CB55C2),
    ("group3.tiff", "", 13, 10, 0xF7ACF73C),
    ("group4.tiff", "", 13, 10, 0xF7ACF73C),
    ("tiff_ccitt.tiff", "", 13, 10, 0xF7ACF73C),
    ("packbits.tiff", "", 13, 10, 0xF7ACF73C),
    ("group4_fill.tiff", "", 13, 10, 0xF7ACF73C),
    ("grey12.tiff", "clip", 13, 10, 0xE1478651),
    ("grey16_signed.tiff", "clip", 13, 10, 0x96BD2EFE),
    ("grey32_signed.tiff", "clip", 13, 10, 0x96BD2EFE),
    ("grey32.tiff", "clip", 13, 10, 0x5663AA9B),
    ("float.tiff", "clip", 13, 10, 0x45B5EF70),
    ("float_motorola.tiff", "clip", 13, 10, 0x45B5EF70),
    ("grey16_fill.tiff", "clip", 13, 10, 0xCAC3C4EF),
    ("rgb555.bmp", "", 13, 10, 0x86981F9F),
    ("rgb565.bmp", "", 13, 10, 0xCF0E5A71),
    ("rgb555_masks.bmp", "", 13, 10, 0x86981F9F),
    ("rgb32.bmp", "", 13, 10, 0xE2F1BC12),
    ("rgb32_masks.bmp", "", 13, 10, 0x2E09D048),
    ("rgba32_masks.bmp", "", 13, 10, 0xE2F1BC12),
    ("rgba32_v3.bmp", "", 13, 10, 0xE2F1BC12),
    ("rgb24_top_down.bmp", "", 13, 10, 0x3F3BAE60),
    ("os2.bmp", "", 13, 10, 0x85A58BD8),
    ("os2_long.bmp", "", 13, 10, 0xDF813DB9),
    ("planes.bmp", "", 13, 10, 0xDF813DB9),
    ("palette4.bmp", "", 13, 10, 0xF3230D1D),
    ("rle8.bmp", "", 13, 10, 0xCC6AB99E),
    ("rle8_top_down.bmp", "", 13, 10, 0x7903B3C0),
    ("rle4.bmp", "", 13, 10, 0xF335BEC1),
    ("exif6.jpg", "apply", 20, 20, 0x9CF777F2),
    ("exif6.jpg", "", 20, 20, 0x1BE029D4),
    ("exif6.png", "apply", 7, 20, 0x4326056D),
    ("exif5.webp", "apply", 7, 20, 0xFCEA5FD9),
    ("grey16_clip.png", "clip", 13, 10, 0x40673A3F),
    ("grey16_transparent.png", "clip", 13, 10, 0x40673A3F),
    ("cut_420.jpg", "load", 20, 20, 0x90D67B8E),
    ("cut_444.jpg", "load", 20, 20, 0x230806F0),
    ("cut_cmyk.jpg", "load", 20, 20, 0x2D799843),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kinds")
}

fn options(setting: &str) -> DecodeOptions {
    let mut options = DecodeOptions::from(LIMITS);
    match setting {
        "apply" => options.exif_orientation = ExifOrientation::Apply,
        "load" => options.truncated_images = TruncatedImages::Load,
        "clip" => options.deep_grey = DeepGrey::Clip,
        _ => {}
    }
    options
}

pub(crate) fn fnv(data: &[u8]) -> u32 {
    data.iter().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[test]
fn equals_pillow() {
    let mut different = Vec::new();
    for (name, setting, width, height, expected) in PILLOW {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let inspection = inspect(&bytes, options(setting));
        assert_eq!(inspection.error, None, "{name}");
        let header = inspection.header.unwrap();
        assert_eq!((header.width, header.height), (width, height), "{name}");
        let image = decode(&bytes, options(setting)).unwrap();
        let size = (width as usize, height as usize);
        assert_eq!((image.width, image.height), size, "{name}");
        if fnv(&image.data) != expected {
            different.push(name);
        }
    }
    assert!(different.is_empty(), "{different:?}");
}

#[test]
fn without_the_setting_they_are_errors_or_scaled() {
    for (name, expected) in [
        ("cut_420.jpg", "truncated"),
        ("cut_cmyk.jpg", "truncated"),
        ("grey16_signed.tiff", "featurize.deep_grey = 'clip'"),
        ("grey32.tiff", "scale them to 8 or 16 bits"),
        ("float.tiff", "scale them to 8 or 16 bits"),
    ] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let error = decode(&bytes, LIMITS).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let twelve = std::fs::read(folder().join("grey12.tiff")).unwrap();
    let eight = std::fs::read(folder().join("grey8_signed.tiff")).unwrap();
    // The script makes both of the same grey.
    assert_eq!(decode(&twelve, LIMITS), decode(&eight, LIMITS));
}

#[test]
fn a_progressive_image_that_ends_early_is_always_an_error() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decode");
    let bytes = std::fs::read(data.join("progressive.jpg")).unwrap();
    let error = decode(&bytes[..bytes.len() * 3 / 4], options("load"));
    assert!(error.unwrap_err().to_string().contains("truncated"));
}

#[test]
fn details_are_told() {
    let details = |name: &str, setting: &str| {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let inspection = inspect(&bytes, options(setting));
        (inspection.header.unwrap(), inspection.details.unwrap())
    };
    let (header, turned) = details("exif6.png", "apply");
    assert_eq!(
        (header.width, header.height, turned.orientation),
        (7, 20, 6)
    );
    let (header, stored) = details("exif6.png", "");
    assert_eq!(
        (header.width, header.height, stored.orientation),
        (20, 7, 6)
    );
    assert_eq!(details("exif5.webp", "").1.orientation, 5);
    assert_eq!(details("orientation8.tiff", "").1.orientation, 8);
    let (_, cycle) = details("cycle.tiff", "");
    assert_eq!(
        (cycle.frames, cycle.bits, cycle.transparency),
        (1, 8, false)
    );
    assert!(details("premultiplied.tiff", "").1.transparency);
    assert_eq!(details("grey12.tiff", "").1.bits, 12);
    assert_eq!(details("palette4.bmp", "").1.bits, 4);
}
