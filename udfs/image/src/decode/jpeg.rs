//! JPEG, by a port of libjpeg-turbo.
//!
//! Features of half an image are wrong silently, so an image that lacks anything is an error, where
//! Pillow shows grey and warns at most: [`stream`] sees to it. What the decoder does not know, or
//! does not do as libjpeg does, is put together from its planes by [`planes`].

mod frame;
mod planes;
mod stream;

use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use self::frame::{Colours, Frame, Process};
use self::planes::Plane;
use self::stream::{MOST_SCANS, Part, Stream};
use super::error::Cause;
use super::{Format, Header, Opened, RgbPixels, memory_limit};

/// Reads the header, and where each scan ends.
pub(super) fn open(bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    Ok(Box::new(Jpeg(stream::read(bytes)?)))
}

struct Jpeg<'a>(Stream<'a>);

impl Opened for Jpeg<'_> {
    fn header(&self) -> Header {
        let frame = &self.0.frame;
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

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let Stream { frame, parts } = self.0;
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        let limits = DecodeLimits {
            max_scans: MOST_SCANS,
            max_memory: Some(memory_limit(frame.width.into(), frame.height.into())),
            ..DecodeLimits::default()
        };
        let inks = frame.components.len() == 4;
        let levels = match parts.as_slice() {
            [part] if is_usual(&frame) => {
                let mut decoder = Decoder::new_with_limits(&part.bytes, limits).map_err(cause)?;
                decoder.set_output_format(if inks {
                    PixelFormat::Cmyk
                } else {
                    PixelFormat::Rgb
                });
                decoder.decode_image().map_err(cause)?.data
            }
            parts => planes::compose(&frame, &planes_of(&frame, parts, limits)?)?,
        };
        let data = if inks { cmyk_to_rgb(&levels) } else { levels };
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

/// Converts inks as Pillow does: inverted, as Adobe writes them and as Pillow always assumes, and
/// mixed with black by multiplication.
fn cmyk_to_rgb(inks: &[u8]) -> Vec<u8> {
    let (pixels, _) = inks.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| {
                let covered = divided_by_255(u32::from(255 - ink) * u32::from(*black));
                black.saturating_sub(covered)
            })
        })
        .collect()
}

/// `product / 255`, rounded; exact for products of two bytes.
fn divided_by_255(product: u32) -> u8 {
    let shifted = product + 128;
    (((shifted >> 8) + shifted) >> 8) as u8
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

    use super::*;

    fn encoded() -> Vec<u8> {
        let mut out = std::io::Cursor::new(Vec::new());
        let image = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, (y * 8) as u8, 9]));
        image.write_to(&mut out, ImageFormat::Jpeg).unwrap();
        out.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<RgbPixels, Cause> {
        open(bytes)?.read()
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
