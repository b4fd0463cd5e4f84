//! From the bytes of a file to RGB pixels.
//!
//! The header is read first and checked against [`Limits`], so that a few bytes claiming an
//! enormous image are refused before any memory is set aside for it. Conversion to RGB follows
//! Pillow's `convert("RGB")`: grey becomes three equal channels, alpha is dropped without
//! compositing, 16-bit channels keep their high byte, CMYK is taken as Adobe writes it, inverted.
//! The EXIF orientation is ignored, as Keras jobs do.
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

mod error;
mod foreign;
mod gif;
mod jpeg;
mod palette;
mod raster;
mod webp;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageFormat;

use self::error::Cause;
pub use self::error::DecodeError;

/// The libraries that decode, part of the provenance of features: another decoder gives other
/// pixels.
pub const DECODERS: &str = "libjpeg-turbo-rs 0.9, image 0.25";

/// Memory a decoder may use beyond the pixels themselves.
const DECODER_OVERHEAD: u64 = 64 << 20;
/// Most bytes a decoder needs for a pixel: four 32-bit floats, or the coefficients of a
/// progressive JPEG.
const WIDEST_PIXEL: u64 = 16;

/// How large an image may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width times height.
    pub max_pixels: u64,
}

/// An image format this crate decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Format {
    Bmp,
    Gif,
    Jpeg,
    Png,
    Tiff,
    WebP,
}

impl Format {
    /// Guesses the format from the first bytes.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        match image::guess_format(bytes).ok()? {
            ImageFormat::Bmp => Some(Self::Bmp),
            ImageFormat::Gif => Some(Self::Gif),
            ImageFormat::Jpeg => Some(Self::Jpeg),
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::Tiff => Some(Self::Tiff),
            ImageFormat::WebP => Some(Self::WebP),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        })
    }
}

/// What the header of an image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Format of the file.
    pub format: Format,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Colour mode in Pillow's letters (`L`, `LA`, `RGB`, `RGBA`, `CMYK`), followed by `;` and the
    /// bits of a channel where these are not eight (`L;1`, `RGB;16`).
    pub color: String,
}

/// Interleaved RGB pixels, eight bits a channel, top row first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPixels {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
}

/// Outcome of [`inspect`]: as much as could be learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format, if the first bytes belong to one.
    pub format: Option<Format>,
    /// The header, if it could be read.
    pub header: Option<Header>,
    /// Why the image cannot be used; `None` for a good image.
    pub error: Option<DecodeError>,
}

/// Decodes an image to RGB.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not a whole image within `limits`. Never panics.
pub fn decode(bytes: &[u8], limits: Limits) -> Result<RgbPixels, DecodeError> {
    let format = identify(bytes)?;
    guarded(format, bytes, || {
        let opened = open(format, bytes)?;
        check(&opened.header(), limits)?;
        opened.read().map_err(|cause| cause.of(format, bytes))
    })
}

/// Decodes an image completely and reports on it instead of failing.
pub fn inspect(bytes: &[u8], limits: Limits) -> Inspection {
    let mut header = None;
    let (format, error) = match identify(bytes) {
        Err(error) => (None, Some(error)),
        Ok(format) => {
            let outcome = guarded(format, bytes, || {
                let opened = open(format, bytes)?;
                check(header.insert(opened.header()), limits)?;
                opened.read().map_err(|cause| cause.of(format, bytes))
            });
            (Some(format), outcome.err())
        }
    };
    Inspection {
        format,
        header,
        error,
    }
}

/// A decoder that has read the header.
trait Opened {
    fn header(&self) -> Header;

    /// Decodes the pixels. The header has been checked.
    fn read(self: Box<Self>) -> Result<RgbPixels, Cause>;
}

fn open(format: Format, bytes: &[u8]) -> Result<Box<dyn Opened + '_>, DecodeError> {
    match format {
        Format::Gif => gif::open(bytes),
        Format::Jpeg => jpeg::open(bytes),
        other => raster::open(other, bytes),
    }
    .map_err(|cause| cause.of(format, bytes))
}

/// Refuses an empty image, and one that is larger than allowed.
fn check(header: &Header, limits: Limits) -> Result<(), DecodeError> {
    let &Header {
        format,
        width,
        height,
        ..
    } = header;
    match u64::from(width) * u64::from(height) {
        0 => Err(DecodeError::NoPixels {
            format,
            width,
            height,
        }),
        pixels if pixels > limits.max_pixels => Err(DecodeError::TooManyPixels {
            format,
            width,
            height,
            max_pixels: limits.max_pixels,
        }),
        _ => Ok(()),
    }
}

/// Bytes a decoder may allocate for an image of this size.
fn memory_limit(width: u32, height: u32) -> u64 {
    (u64::from(width) * u64::from(height))
        .saturating_mul(WIDEST_PIXEL)
        .saturating_add(DECODER_OVERHEAD)
}

fn identify(bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let length = bytes.len();
    match (Format::guess(bytes), foreign::name(bytes)) {
        (Some(format), _) => Ok(format),
        (None, Some(format)) => Err(DecodeError::ForeignFormat { length, format }),
        (None, None) => Err(DecodeError::UnknownFormat {
            length,
            beginning: beginning(bytes),
        }),
    }
}

/// The first bytes as text if they are text, else in hexadecimal.
fn beginning(bytes: &[u8]) -> String {
    let first = bytes.get(..12).unwrap_or(bytes);
    match std::str::from_utf8(first) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            format!("{text:?}")
        }
        _ => {
            let hex: String = first.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("X'{hex}'")
        }
    }
}

/// A decoder that panics has met bytes it cannot handle. That must not end the process of someone
/// who reads a million files from the internet.
fn guarded<T>(
    format: Format,
    bytes: &[u8],
    work: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let cause = "the decoder gave up on it (it panicked)".to_owned();
        Err(Cause::Corrupt(cause).of(format, bytes))
    })
}

#[cfg(test)]
mod tests;
