//! JPEG 2000 and AVIF beside Pillow, whose codecs are OpenJPEG, and libavif with dav1d and libyuv.

use std::path::{Path, PathBuf};

use crate::kinds::fnv;
use datafusion_functions_image::decode::{DecodeOptions, Limits, RgbPixels, decode, inspect};

const LIMITS: Limits = Limits { max_pixels: 1000 };

// By tests/parity/make_codecs.py, which prints these lines: width, height and the FNV-1a hash of what
// Pillow 13.0 makes of each.
#[rustfmt::skip]
const JPEG_2000: [(&str, usize, usize, u32); 14] = [
    ("rgb.jp2", 31, 21, 0x1EB7DD23),
    ("rgb.j2k", 31, 21, 0x1EB7DD23),
    ("tiles.jp2", 31, 21, 0x1EB7DD23),
    ("layers.jp2", 31, 21, 0x1EB7DD23),
    ("no_transform.jp2", 31, 21, 0x1EB7DD23),
    ("rgba.jp2", 31, 21, 0x1EB7DD23),
    ("grey.jp2", 31, 21, 0x84BF2CD6),
    ("grey_alpha.jp2", 31, 21, 0x84BF2CD6),
    ("signed.jp2", 31, 21, 0xD05651A3),
    ("grey16.jp2", 31, 21, 0x3F7C52FE),
    ("rgb4.jp2", 31, 21, 0x8E69085F),
    ("rgb12.jp2", 31, 21, 0x60789953),
    ("cmyk.jp2", 31, 21, 0xB60AFAFA),
    ("palette.jp2", 31, 21, 0x0F8BC2AD),
];
#[cfg(feature = "avif")]
#[rustfmt::skip]
const AVIF: [(&str, usize, usize, u32); 27] = [
    ("rgb.avif", 31, 21, 0xC2B49A13),
    ("rgba.avif", 31, 21, 0xDA9A9E75),
    ("rgb_422.avif", 31, 21, 0xFB2D104E),
    ("rgb_420.avif", 31, 21, 0xD4F1E762),
    ("rgb_400.avif", 31, 21, 0x64AF4E79),
    ("limited_444.avif", 31, 21, 0x5C6A2739),
    ("limited_420.avif", 31, 21, 0x4E304168),
    ("limited_400.avif", 31, 21, 0x2EE61E68),
    ("narrow1.avif", 1, 3, 0xA106CE87),
    ("narrow2.avif", 2, 3, 0xE8DCAF07),
    ("narrow3.avif", 3, 3, 0x7BA3F4AA),
    ("orientation2.avif", 7, 9, 0x01A21B77),
    ("orientation3.avif", 7, 9, 0x01A21B77),
    ("orientation4.avif", 7, 9, 0x01A21B77),
    ("orientation5.avif", 7, 9, 0x01A21B77),
    ("orientation6.avif", 7, 9, 0x01A21B77),
    ("orientation7.avif", 7, 9, 0x01A21B77),
    ("orientation8.avif", 7, 9, 0x01A21B77),
    ("bits8_444_1.avif", 31, 21, 0x2E3C0941),
    ("limited_444_1.avif", 31, 21, 0xA32E7B25),
    ("bits8_420_9.avif", 31, 21, 0xE06F50B9),
    ("limited_420_9.avif", 31, 21, 0x764504DB),
    ("bits8_444_0.avif", 31, 21, 0xD6E4F8FF),
    ("bits10_420_1.avif", 31, 21, 0x62231915),
    ("bits12_422_9.avif", 31, 21, 0xD543E0A4),
    ("bits12_400_6.avif", 31, 21, 0xD355234A),
    ("bits10_444_0.avif", 31, 21, 0x004F283B),
];

fn file(name: &str) -> Vec<u8> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/codecs");
    std::fs::read(folder.join(name)).unwrap()
}

fn picture(name: &str) -> RgbPixels {
    let image = decode(&file(name), LIMITS);
    assert!(image.is_ok(), "{name}: {image:?}");
    image.unwrap()
}

/// Names of the pictures that are not Pillow's.
fn different(pictures: &[(&'static str, usize, usize, u32)]) -> Vec<&'static str> {
    let differs = |(name, width, height, hash): &&(&'static str, usize, usize, u32)| {
        let image = picture(name);
        (image.width, image.height, fnv(&image.data)) != (*width, *height, *hash)
    };
    let different = pictures.iter().filter(differs);
    different.map(|(name, ..)| *name).collect()
}

/// Every file that ends early is an error, wherever it ends.
fn ends_early(name: &str) {
    let bytes = file(name);
    for length in 1..bytes.len() {
        let cut = decode(&bytes[..length], LIMITS);
        assert!(cut.is_err(), "{name}, {length} of {} bytes", bytes.len());
    }
}

#[test]
fn jpeg_2000_equals_pillow() {
    assert_eq!(different(&JPEG_2000), [""; 0]);
}

#[test]
fn real_wavelets_are_within_one_level() {
    let (ours, pillow) = (picture("real.jp2"), picture("real.png"));
    let pairs = ours.data.iter().zip(&pillow.data);
    assert!(
        pairs
            .clone()
            .all(|(ours, pillow)| ours.abs_diff(*pillow) <= 1)
    );
    assert!(pairs.filter(|(ours, pillow)| ours != pillow).count() < 20);
}

#[test]
fn jpeg_2000_that_ends_early_is_an_error() {
    for name in ["rgb.jp2", "rgb.j2k", "tiles.jp2", "palette.jp2", "real.jp2"] {
        ends_early(name);
    }
}

#[test]
fn jpeg_2000_is_described() {
    for (name, color, bits, transparency) in [
        ("rgb.jp2", "RGB", 8, false),
        ("rgba.jp2", "RGBA", 8, true),
        ("grey16.jp2", "L;16", 16, false),
        ("grey_alpha.jp2", "LA", 8, true),
        ("cmyk.jp2", "CMYK", 8, false),
    ] {
        let inspection = inspect(&file(name), LIMITS);
        assert_eq!(inspection.format.unwrap().to_string(), "JPEG 2000");
        let (header, details) = (inspection.header.unwrap(), inspection.details.unwrap());
        assert_eq!(
            (header.color.as_str(), details.bits, details.transparency),
            (color, bits, transparency),
            "{name}"
        );
    }
}

#[test]
fn what_jpeg_2000_claims_is_checked_before_it_is_decoded() {
    let claims = |at: usize, number: &[u8]| {
        let mut bytes = file("rgb.j2k");
        bytes[at..at + number.len()].copy_from_slice(number);
        decode(&bytes, LIMITS).unwrap_err().to_string()
    };
    // The size, the size of a tile, the number of channels.
    assert!(claims(8, &[0, 1, 0, 0]).contains("featurize.max_pixels"));
    assert!(claims(24, &[0, 0, 0, 1]).contains("cannot be decoded"));
    let mut tiny = [0; 8];
    (tiny[3], tiny[7]) = (1, 1);
    let mut wide = file("rgb.j2k");
    wide[8..16].copy_from_slice(&[0, 0, 4, 0, 0, 0, 4, 0]);
    wide[24..32].copy_from_slice(&tiny);
    let error = decode(
        &wide,
        Limits {
            max_pixels: 1 << 30,
        },
    )
    .unwrap_err();
    assert!(error.to_string().contains("1048576 tiles"), "{error}");
    assert!(claims(40, &[1, 0]).contains("256 channels"));
}

/// 2,000 pixels a side: within the limit, and more memory than it stands for.
#[test]
fn four_channels_of_jpeg_2000_take_no_more_than_is_documented() {
    let flat = file("flat_rgba.jp2");
    let error = decode(
        &flat,
        Limits {
            max_pixels: 4_000_000,
        },
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("four channels take 183 MB"),
        "{error}"
    );
    let image = decode(
        &flat,
        Limits {
            max_pixels: 8_000_000,
        },
    )
    .unwrap();
    assert_eq!(image.data[..3], [10, 200, 30]);
}

#[test]
#[cfg(feature = "avif")]
fn avif_equals_pillow() {
    assert_eq!(different(&AVIF), [""; 0]);
}

#[test]
#[cfg(feature = "avif")]
fn avif_that_ends_early_is_an_error() {
    for name in ["rgb.avif", "rgba.avif", "bits12_422_9.avif"] {
        ends_early(name);
    }
}

#[test]
#[cfg(feature = "avif")]
fn avif_is_turned_if_asked() {
    use datafusion_functions_image::decode::ExifOrientation;
    let turned = DecodeOptions {
        exif_orientation: ExifOrientation::Apply,
        ..DecodeOptions::from(LIMITS)
    };
    let stored = picture("orientation2.avif");
    for number in 2..=8 {
        let bytes = file(&format!("orientation{number}.avif"));
        let inspection = inspect(&bytes, LIMITS);
        assert_eq!(inspection.details.unwrap().orientation, number);
        let image = decode(&bytes, turned).unwrap();
        assert_eq!(image.width, if number < 5 { 7 } else { 9 });
        assert_ne!(image.data, stored.data);
    }
}

#[test]
#[cfg(not(feature = "avif"))]
fn avif_is_refused_with_the_way_out() {
    let error = decode(&file("rgb.avif"), DecodeOptions::from(LIMITS)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("an image in AVIF") && error.contains("feature `avif`"),
        "{error}"
    );
}
