//! From the bytes of a file to RGB pixels.
//!
//! The header is read first and checked against [`Limits`], so that a few bytes claiming an
//! enormous image are refused before any memory is set aside for it. Conversion to RGB follows
//! Pillow's `convert("RGB")`: grey becomes three equal channels, alpha is dropped without
//! compositing, CMYK of a JPEG is taken as Adobe writes it, inverted. Where there is a choice,
//! [`DecodeOptions`] has it.
//!
//! | format | what is read | refused, by name, or otherwise than Pillow |
//! |---|---|---|
//! | JPEG | everything libjpeg-turbo reads, in its pixels | damage and missing data; with `truncated_images`, a sequential image may end early |
//! | PNG | everything | check sums must be right; 16-bit grey by its high byte unless `deep_grey` is `clip` |
//! | GIF | the first frame on its canvas | |
//! | WebP | lossy and lossless, the first frame on black | a file shorter than it says |
//! | BMP | 1 to 32 bits, masks, runs, Windows and OS/2 | JPEG or PNG within; more masks than Pillow are read |
//! | TIFF | the first picture, turned by its orientation: 1 to 16 bits, palettes, CMYK, strips, tiles, planes, BigTIFF; raw, LZW, Deflate, PackBits, JPEG, fax | LZMA, Zstandard and WebP compression, fax in two dimensions, CIE L*a*b*, YCbCr that is not JPEG; grey of 12 and 16 bits by its high byte and of more or signed not at all, unless `deep_grey` is `clip` |
//! | JPEG 2000 | 1 to 4 channels of any bits, palettes, bare or in JP2 | CIE L*a*b* and YCCK colours, more than 32 quality layers, four channels of more than half of `max_pixels`; grey of more than 8 bits by its high byte unless `deep_grey` is `clip` |
//! | AVIF | with the feature `avif`: the primary item, 8 to 12 bits, all subsamplings | animations, grids of tiles, colours multiplied by alpha, matrices but those of BT.601, 709 and 2020; without the feature, all |
//! | HEIC | nothing | refused: convert it first |
//! | JPEG XL | nothing | refused: convert it first |
//!
//! ICC profiles are not applied, as by Pillow. Orientation is read from EXIF, not from XMP. Whatever the
//! file, decoding it takes at most 24 bytes for each pixel that `max_pixels` allows, 64 MiB and four
//! times the file.
//!
//! JPEG is decoded by a port of libjpeg-turbo, the library inside Pillow, because features move
//! with every pixel level. Measured on 280 JPEGs made from photographs (grey, three chroma
//! subsamplings, progressive, restart markers), two cores of an AMD EPYC (Zen 4):
//!
//! | decoder | pixels that differ from Pillow's | worst level | 500×375 a second and core |
//! |---|---|---|---|
//! | zune-jpeg 0.5.15 | 6.1 % | 8 | 721 |
//! | jpeg-decoder 0.3.2 | 5.7 % | 5 | 563 |
//! | mozjpeg 0.10.13 (C, without nasm) | none | 0 | 477 |
//! | libjpeg-turbo-rs 0.8.0 | none | 0 | 1,101 |
//!
//! Version 0.9 gives the same pixels, in as many instructions (progressive: 4 % more), and knows when
//! data is missing.
//!
//! Unlike Pillow, which tolerates damaged entropy-coded data and shows grey or noise, damage is
//! an error here: a wrong feature vector would look like any other. Of a JPEG, everything must be
//! there: blocks, rows, restart intervals, scans. What no decoder can see is a change within the
//! codes that leaves as many blocks as before, as JPEG has no check sum, and where data coded
//! arithmetically ends.

#[cfg(feature = "avif")]
mod avif;
mod bmp;
mod boxes;
mod error;
mod foreign;
mod format;
mod gif;
mod jpeg;
mod jpeg2000;
mod levels;
mod metadata;
mod open;
mod opened;
mod options;
mod orientation;
mod picture;
mod raster;
mod tiff;
mod webp;

pub use self::error::DecodeError;
pub use self::format::Format;
pub use self::open::{decode, inspect, panics};
pub use self::options::{
    DECODERS, DecodeOptions, DeepGrey, ExifOrientation, Limits, TruncatedImages,
};
pub use self::picture::{Details, Header, Inspection, RgbPixels};

#[cfg(test)]
mod tests;
