//! JPEG, by a port of libjpeg-turbo.
//!
//! Features of half an image are wrong silently, so an image that lacks anything is an error, where
//! Pillow shows grey and warns at most: [`stream`] sees to it. What the decoder does not know, or
//! does not do as libjpeg does, is put together from its planes by [`planes`].

mod frame;
mod partial;
mod planes;
mod stream;

use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use self::frame::{Colours, Frame, Process};
use self::planes::Plane;
use self::stream::{MOST_SCANS, Part, Stream};
use super::error::Cause;
use super::levels::cmyk_to_rgb;
use super::metadata;
use super::opened::{Opened, memory_limit};
use super::{DecodeOptions, Details, Format, Header, RgbPixels, TruncatedImages};

/// Reads the header, and where each scan ends.
pub(super) fn open(bytes: &[u8], options: DecodeOptions) -> Result<Box<dyn Opened + '_>, Cause> {
    let load = options.truncated_images == TruncatedImages::Load;
    let (stream, is_partial) = match stream::read(bytes, None) {
        Ok(stream) => (stream, false),
        Err(error) if load => (partial::mended(bytes, error)?, true),
        Err(error) => return Err(error),
    };
    Ok(Box::new(Jpeg {
        bytes,
        stream,
        load,
        is_partial,
    }))
}

struct Jpeg<'a> {
    bytes: &'a [u8],
    stream: Stream<'a>,
    /// Whether a part of it is enough.
    load: bool,
    /// Whether there is no more than a part, as the markers already tell.
    is_partial: bool,
}

impl Opened for Jpeg<'_> {
    fn header(&self) -> Header {
        let frame = &self.stream.frame;
        let mode = match frame.components.len() {
            1 => "L",
            4 => "CMYK",
            _ => "RGB",
        };
        let color = match frame.precision {
            8 => mode.to_owned(),
            bits => format!("{mode};{bits}"),
        };
        Header {
            format: Format::Jpeg,
            width: u32::from(frame.width),
            height: u32::from(frame.height),
            color,
        }
    }

    fn details(&self) -> Details {
        Details {
            bits: self.stream.frame.precision,
            ..metadata::of_jpeg(self.bytes)
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let frame = &self.stream.frame;
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        let mut levels = if self.is_partial {
            partial::levels(&self.stream).map_err(cause)
        } else {
            levels(&self.stream, PixelFormat::Rgb)
        };
        if let (Err(error), true) = (&levels, self.load && !self.is_partial) {
            let error = Cause::clone(error);
            let stream = partial::mended(self.bytes, error)?;
            levels = partial::levels(&stream).map_err(cause);
        }
        let levels = levels?;
        let data = if frame.components.len() == 4 {
            // As Adobe writes them, and as Pillow always assumes: inverted.
            let (pixels, _) = levels.as_chunks::<4>();
            let inks = pixels.iter().map(|pixel| pixel.map(|level| 255 - level));
            inks.flat_map(cmyk_to_rgb).collect()
        } else {
            levels
        };
        if data.len() != width * height * 3 {
            return Err(Cause::Corrupt(format!(
                "{} bytes of pixels were decoded instead of {}",
                data.len(),
                width * height * 3
            )));
        }
        Ok(RgbPixels {
            width,
            height,
            data,
        })
    }
}

/// The interleaved samples of a JPEG within another file: RGB, or as they are stored.
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) data: Vec<u8>,
}

/// Decodes a JPEG whose colours another file knows, YCbCr or none to convert, and which is no larger
/// than `most`, but for whole blocks. `repeat` says that coarse samples are repeated, not smoothed.
pub(super) fn samples(
    bytes: &[u8],
    ycbcr: bool,
    repeat: bool,
    most: (usize, usize),
) -> Result<Samples, Cause> {
    let stream = stream::read(bytes, Some(ycbcr))?;
    let frame = &stream.frame;
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    if width > most.0.next_multiple_of(32) || height > most.1.next_multiple_of(32) {
        return Err(Cause::Corrupt(format!(
            "a JPEG of {width}×{height} pixels where {}×{} should be",
            most.0, most.1
        )));
    }
    let channels = frame.components.len();
    let data = match channels {
        1 => levels(&stream, PixelFormat::Grayscale)?,
        3 if repeat => {
            let planes = planes_of(frame, &stream.parts, limits(frame))?;
            planes::compose(frame, &planes, repeat)?
        }
        _ => levels(&stream, PixelFormat::Rgb)?,
    };
    Ok(Samples {
        width,
        height,
        channels,
        data,
    })
}

fn limits(frame: &Frame) -> DecodeLimits {
    DecodeLimits {
        max_scans: MOST_SCANS,
        max_memory: Some(memory_limit(frame.width.into(), frame.height.into())),
        ..DecodeLimits::default()
    }
}

/// The levels of all pixels: of four inks, or in this format.
fn levels(stream: &Stream<'_>, format: PixelFormat) -> Result<Vec<u8>, Cause> {
    let frame = &stream.frame;
    match stream.parts.as_slice() {
        [part] if is_usual(frame) => {
            let mut decoder =
                Decoder::new_with_limits(&part.bytes, limits(frame)).map_err(cause)?;
            decoder.set_output_format(if frame.components.len() == 4 {
                PixelFormat::Cmyk
            } else {
                format
            });
            Ok(decoder.decode_image().map_err(cause)?.data)
        }
        parts => planes::compose(frame, &planes_of(frame, parts, limits(frame))?, false),
    }
}

/// The samples of each component, whichever part it is in.
fn planes_of(frame: &Frame, parts: &[Part], limits: DecodeLimits) -> Result<Vec<Plane>, Cause> {
    let mut planes = vec![Plane::default(); frame.components.len()];
    for part in parts {
        let decoder = Decoder::new_with_limits(&part.bytes, limits).map_err(cause)?;
        let raw = decoder.decode_raw().map_err(cause)?;
        let components = part.components.iter().zip(raw.planes).zip(raw.plane_widths);
        for ((index, samples), stride) in components {
            if let Some(plane) = planes.get_mut(*index) {
                *plane = Plane { samples, stride };
            }
        }
    }
    Ok(planes)
}

/// Whether the decoder makes libjpeg's pixels of it by itself: nearly all files there are.
fn is_usual(frame: &Frame) -> bool {
    let factors = |index: usize| {
        let component = frame.components.get(index)?;
        Some((component.across, component.down))
    };
    if frame.process == Process::Lossless || frame.precision != 8 {
        return true;
    }
    let finest = factors(0);
    match frame.colours {
        Colours::Grey => true,
        Colours::YCbCr => {
            let Some(((across, down), (x, y))) = finest.zip(factors(1)) else {
                return false;
            };
            let ratio = (across / x, down / y);
            let chroma = usize::from(frame.width).div_ceil(usize::from(ratio.0.max(1)));
            factors(1) == factors(2)
                && across % x == 0
                && down % y == 0
                && matches!(ratio, (1 | 2, 1) | (2, 2))
                && chroma > 2
        }
        Colours::Rgb | Colours::Cmyk | Colours::Ycck => {
            (1..frame.components.len()).all(|index| factors(index) == finest)
        }
    }
}

fn cause(error: JpegError) -> Cause {
    match error {
        JpegError::UnexpectedEof => {
            Cause::Truncated("the data of a scan ends before the image does".to_owned())
        }
        other => Cause::Corrupt(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};

    use super::super::Limits;
    use super::*;

    fn encoded() -> Vec<u8> {
        let mut out = std::io::Cursor::new(Vec::new());
        let image = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, (y * 8) as u8, 9]));
        image.write_to(&mut out, ImageFormat::Jpeg).unwrap();
        out.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<RgbPixels, Cause> {
        let limits = Limits { max_pixels: 10_000 };
        open(bytes, limits.into())?.read()
    }

    #[test]
    fn end_of_image_in_a_segment_does_not_count() {
        // An APP1 segment with a whole thumbnail in it, then a scan without end.
        let mut bytes = encoded();
        bytes.splice(2..2, [0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9]);
        let whole = read(&bytes).unwrap();
        bytes.truncate(bytes.len() - 2);
        let Err(Cause::Truncated(cause)) = read(&bytes) else {
            panic!("the scan has no end");
        };
        assert!(cause.contains("ends within a scan"), "{cause}");
        bytes.extend([0xFF, 0xFF, 0xD9]);
        assert_eq!(read(&bytes).unwrap(), whole);
        let Err(Cause::Truncated(cause)) = read(&bytes[..10]) else {
            panic!("there is a thumbnail only");
        };
        assert!(cause.contains("before the end-of-image marker"), "{cause}");
    }

    #[test]
    fn what_libjpeg_cannot_do_is_named() {
        let good = encoded();
        let frame = good
            .windows(2)
            .position(|pair| pair == [0xFF, 0xC0])
            .unwrap();
        for (offset, value, expected) in [
            (11, 0x31, "2×2 samples"),
            (11, 0x50, "sampling factors of 5×0"),
            (9, 2, "2 components in a frame header for 3"),
            (1, 0xC5, "JPEG process FFC5 is not supported"),
        ] {
            let mut bytes = good.clone();
            bytes[frame + offset] = value;
            if offset == 11 && value == 0x31 {
                bytes[frame + 14] = 0x22;
            }
            let Err(Cause::Corrupt(cause)) = read(&bytes) else {
                panic!("{expected}: it was decoded");
            };
            assert!(cause.contains(expected), "{cause}");
        }
    }
}
