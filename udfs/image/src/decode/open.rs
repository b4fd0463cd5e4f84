//! The way from bytes to pixels that all formats share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Cause;
use super::opened::Opened;
use super::orientation::Orientation;
use super::{
    DecodeError, DecodeOptions, Details, ExifOrientation, Format, Header, Inspection, Limits,
    RgbPixels, bmp, foreign, gif, jpeg, jpeg2000, raster, tiff,
};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// How often a decoder has panicked in this process. Each time the image was an error, nothing worse;
/// it is a defect of the decoder all the same.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Decodes an image to RGB.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not a whole image within the limits. Never panics.
pub fn decode(bytes: &[u8], options: impl Into<DecodeOptions>) -> Result<RgbPixels, DecodeError> {
    let options = options.into();
    let format = identify(bytes)?;
    guarded(format, bytes, || read(format, bytes, options, None))
}

/// Decodes an image completely and reports on it instead of failing.
pub fn inspect(bytes: &[u8], options: impl Into<DecodeOptions>) -> Inspection {
    let options = options.into();
    let (mut known, mut format) = (None, None);
    let error = match identify(bytes) {
        Err(error) => Some(error),
        Ok(found) => {
            format = Some(found);
            guarded(found, bytes, || {
                read(found, bytes, options, Some(&mut known))
            })
            .err()
        }
    };
    let (header, details) = known.unzip();
    Inspection {
        format,
        header,
        details,
        error,
    }
}

/// Reads header and pixels. Whoever asks knows what the header says even if there are no pixels.
fn read(
    format: Format,
    bytes: &[u8],
    options: DecodeOptions,
    known: Option<&mut Option<(Header, Details)>>,
) -> Result<RgbPixels, DecodeError> {
    let opened = open(format, bytes, options)?;
    let mut header = opened.header();
    // TIFF is turned already, as Pillow does.
    let turn = options.exif_orientation == ExifOrientation::Apply && format != Format::Tiff;
    // The file is searched for details only if they are of use.
    let details = (turn || known.is_some()).then(|| opened.details());
    let details = details.unwrap_or_default();
    let orientation = Orientation::from_exif(if turn { details.orientation.into() } else { 1 });
    (header.width, header.height) = orientation.size((header.width, header.height));
    if let Some(known) = known {
        *known = Some((header.clone(), details));
    }
    check(&header, options.limits)?;
    let pixels = opened.read().map_err(|cause| cause.of(format, bytes))?;
    Ok(orientation.apply(pixels))
}

fn open(
    format: Format,
    bytes: &[u8],
    options: DecodeOptions,
) -> Result<Box<dyn Opened + '_>, DecodeError> {
    match format {
        #[cfg(feature = "avif")]
        Format::Avif => super::avif::open(bytes),
        Format::Bmp => bmp::open(bytes),
        Format::Gif => gif::open(bytes),
        Format::Jpeg => jpeg::open(bytes, options),
        Format::Jpeg2000 => jpeg2000::open(bytes, options),
        Format::Png => raster::png(bytes, options),
        Format::Tiff => tiff::open(bytes, options),
        Format::WebP => raster::webp(bytes, options),
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
        PANICS.fetch_add(1, Ordering::Relaxed);
        let cause = "the decoder gave up on it (it panicked)".to_owned();
        Err(Cause::Corrupt(cause).of(format, bytes))
    })
}
