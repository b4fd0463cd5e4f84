//! From the bytes of a file to RGB pixels.
//!
//! The header is read first and checked against [`Limits`], so that a few bytes claiming an
//! enormous image are refused before any memory is set aside for it. Conversion to RGB follows
//! Pillow's `convert("RGB")`: grey becomes three equal channels, alpha is dropped without
//! compositing, 16-bit channels keep their high byte. The EXIF orientation is ignored, as Keras
//! jobs do.

use std::fmt;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};

use crate::jpeg;

/// Memory a decoder may use beyond the pixels themselves.
const DECODER_OVERHEAD: u64 = 64 << 20;
/// Most bytes of one decoded pixel: four 32-bit floats.
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

/// Why bytes are not a usable image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the content is empty (0 bytes), not an image")]
    Empty,

    /// The first bytes belong to no format this crate knows.
    #[error(
        "the content ({length} bytes, beginning with {beginning}) is not an image in a known \
         format; expected JPEG, PNG, WebP, BMP, GIF or TIFF"
    )]
    UnknownFormat {
        /// Bytes of content.
        length: usize,
        /// The first bytes, printable.
        beginning: String,
    },

    /// The header announces no pixels at all.
    #[error("{format} image of {width}×{height} pixels has no pixels")]
    NoPixels {
        /// Format of the file.
        format: Format,
        /// Width according to the header.
        width: u32,
        /// Height according to the header.
        height: u32,
    },

    /// The header announces more pixels than allowed. Nothing was decoded.
    #[error(
        "{format} image of {width}×{height} pixels is larger than featurize.max_pixels = \
         {max_pixels}; raise the setting if the image is genuine"
    )]
    TooManyPixels {
        /// Format of the file.
        format: Format,
        /// Width according to the header.
        width: u32,
        /// Height according to the header.
        height: u32,
        /// The limit in force.
        max_pixels: u64,
    },

    /// The file ends before the image does.
    #[error("{format} image of {length} bytes is truncated: {cause}")]
    Truncated {
        /// Format of the file.
        format: Format,
        /// Bytes of content.
        length: usize,
        /// Where the data ends.
        cause: String,
    },

    /// The bytes contradict the format.
    #[error("{format} image of {length} bytes cannot be decoded: {cause}")]
    Corrupt {
        /// Format of the file.
        format: Format,
        /// Bytes of content.
        length: usize,
        /// What the decoder says.
        cause: String,
    },
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
        let (decoder, _) = open(format, bytes, limits)?;
        read_pixels(decoder, format, bytes)
    })
}

/// Decodes an image completely and reports on it instead of failing.
pub fn inspect(bytes: &[u8], limits: Limits) -> Inspection {
    let mut inspection = Inspection {
        format: None,
        header: None,
        error: None,
    };
    let outcome = identify(bytes).and_then(|format| {
        inspection.format = Some(format);
        let (mut width, mut height, mut color) = (0, 0, String::new());
        let outcome = guarded(format, bytes, || {
            let decoder = decoder(format, bytes)?;
            (width, height) = decoder.dimensions();
            color = color_name(decoder.original_color_type());
            let decoder = limit(decoder, format, bytes, limits)?;
            read_pixels(decoder, format, bytes)
        });
        if !color.is_empty() {
            inspection.header = Some(Header {
                format,
                width,
                height,
                color,
            });
        }
        outcome
    });
    inspection.error = outcome.err();
    inspection
}

fn identify(bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    Format::guess(bytes).ok_or_else(|| DecodeError::UnknownFormat {
        length: bytes.len(),
        beginning: beginning(bytes),
    })
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
        Err(DecodeError::Corrupt {
            format,
            length: bytes.len(),
            cause: "the decoder gave up on it (it panicked)".to_owned(),
        })
    })
}

type BoxedDecoder<'a> = Box<dyn ImageDecoder + 'a>;

/// Opens a decoder whose header is within the limits.
fn open(
    format: Format,
    bytes: &[u8],
    limits: Limits,
) -> Result<(BoxedDecoder<'_>, (u32, u32)), DecodeError> {
    let decoder = decoder(format, bytes)?;
    let dimensions = decoder.dimensions();
    let decoder = limit(decoder, format, bytes, limits)?;
    Ok((decoder, dimensions))
}

/// Reads the header.
fn decoder(format: Format, bytes: &[u8]) -> Result<BoxedDecoder<'_>, DecodeError> {
    if format == Format::Jpeg {
        jpeg::check_complete(bytes)?;
    }
    fn boxed<'a>(decoder: ImageResult<impl ImageDecoder + 'a>) -> ImageResult<BoxedDecoder<'a>> {
        decoder.map(|decoder| Box::new(decoder) as BoxedDecoder<'a>)
    }
    let reader = Cursor::new(bytes);
    match format {
        Format::Bmp => boxed(BmpDecoder::new(reader)),
        Format::Gif => boxed(GifDecoder::new(reader)),
        Format::Jpeg => boxed(JpegDecoder::new(reader)),
        Format::Png => {
            let mut limits = image::Limits::no_limits();
            limits.max_alloc = Some(DECODER_OVERHEAD);
            boxed(PngDecoder::with_limits(reader, limits))
        }
        Format::Tiff => boxed(TiffDecoder::new(reader)),
        Format::WebP => boxed(WebPDecoder::new(reader)),
    }
    .map_err(|error| decode_error(format, bytes, &error))
}

/// Refuses what the header announces if it is too large, and bounds what the decoder may allocate.
fn limit<'a>(
    mut decoder: BoxedDecoder<'a>,
    format: Format,
    bytes: &[u8],
    limits: Limits,
) -> Result<BoxedDecoder<'a>, DecodeError> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(DecodeError::NoPixels {
            format,
            width,
            height,
        });
    }
    if pixels > limits.max_pixels {
        return Err(DecodeError::TooManyPixels {
            format,
            width,
            height,
            max_pixels: limits.max_pixels,
        });
    }
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(
        pixels
            .saturating_mul(WIDEST_PIXEL)
            .saturating_add(DECODER_OVERHEAD),
    );
    decoder
        .set_limits(allowed)
        .map_err(|error| decode_error(format, bytes, &error))?;
    Ok(decoder)
}

fn read_pixels(
    decoder: BoxedDecoder<'_>,
    format: Format,
    bytes: &[u8],
) -> Result<RgbPixels, DecodeError> {
    let image =
        DynamicImage::from_decoder(decoder).map_err(|error| decode_error(format, bytes, &error))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(RgbPixels {
        width,
        height,
        data: into_rgb(image),
    })
}

fn into_rgb(image: DynamicImage) -> Vec<u8> {
    fn high_byte(value: u16) -> u8 {
        (value >> 8) as u8
    }
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.iter().flat_map(|grey| [*grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => {
            let (pixels, _) = image.as_chunks::<2>();
            pixels.iter().flat_map(|[grey, _]| [*grey; 3]).collect()
        }
        DynamicImage::ImageRgba8(image) => {
            let (pixels, _) = image.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
                .collect()
        }
        DynamicImage::ImageLuma16(image) => image
            .iter()
            .flat_map(|grey| [high_byte(*grey); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => {
            let (pixels, _) = image.as_chunks::<2>();
            pixels
                .iter()
                .flat_map(|[grey, _]| [high_byte(*grey); 3])
                .collect()
        }
        DynamicImage::ImageRgb16(image) => image.iter().copied().map(high_byte).collect(),
        DynamicImage::ImageRgba16(image) => {
            let (pixels, _) = image.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|[red, green, blue, _]| [*red, *green, *blue].map(high_byte))
                .collect()
        }
        other => other.into_rgb8().into_raw(),
    }
}

fn decode_error(format: Format, bytes: &[u8], error: &ImageError) -> DecodeError {
    let length = bytes.len();
    let cause = error_chain(error);
    let ends_early = match error {
        ImageError::IoError(io) => io.kind() == std::io::ErrorKind::UnexpectedEof,
        _ => false,
    } || ["unexpected end", "unexpected eof", "failed to fill"]
        .iter()
        .any(|hint| cause.to_lowercase().contains(hint));
    if ends_early {
        DecodeError::Truncated {
            format,
            length,
            cause,
        }
    } else {
        DecodeError::Corrupt {
            format,
            length,
            cause,
        }
    }
}

/// The messages of an error and its sources, each only once.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

fn color_name(color: ExtendedColorType) -> String {
    let bits = color.bits_per_pixel() / u16::from(color.channel_count().max(1));
    let mode = match color {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => "CMYK",
        ExtendedColorType::A8 => "A",
        _ => match color.channel_count() {
            1 => "L",
            2 => "LA",
            3 => "RGB",
            _ => "RGBA",
        },
    };
    if bits == 8 {
        mode.to_owned()
    } else {
        format!("{mode};{bits}")
    }
}

#[cfg(test)]
mod tests;
