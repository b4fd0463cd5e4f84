//! JPEG, by a port of libjpeg-turbo.
//!
//! Pillow raises "image file is truncated" for a JPEG without its end, and so must we: features of
//! half an image are wrong silently. The markers are walked before anything is decoded.

use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use super::error::Cause;
use super::{Format, Header, Opened, RgbPixels, memory_limit};

/// Most scans of a progressive image. Encoders write about ten; each costs a pass over all pixels.
const MOST_SCANS: usize = 500;

/// Reads the header.
pub(super) fn open(bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    check_complete(bytes)?;
    let limits = DecodeLimits {
        max_scans: MOST_SCANS,
        ..DecodeLimits::default()
    };
    let decoder = Decoder::new_with_limits(bytes, limits).map_err(cause)?;
    Ok(Box::new(Jpeg { decoder }))
}

struct Jpeg<'a> {
    decoder: Decoder<'a>,
}

impl Opened for Jpeg<'_> {
    fn header(&self) -> Header {
        let frame = self.decoder.header();
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
        let mut decoder = self.decoder;
        let (width, height) = (decoder.header().width, decoder.header().height);
        decoder.set_limits(DecodeLimits {
            max_scans: MOST_SCANS,
            max_memory: Some(memory_limit(width.into(), height.into())),
            ..DecodeLimits::default()
        });
        let inks = decoder.header().components.len() == 4;
        decoder.set_output_format(if inks {
            PixelFormat::Cmyk
        } else {
            PixelFormat::Rgb
        });
        let image = decoder.decode_image().map_err(cause)?;
        let data = if inks {
            cmyk_to_rgb(&image.data)
        } else {
            image.data
        };
        let (width, height) = (usize::from(width), usize::from(height));
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
        JpegError::UnexpectedEof => Cause::Truncated(error.to_string()),
        other => Cause::Corrupt(other.to_string()),
    }
}

const MARKER: u8 = 0xFF;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const RESTART: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;
const TEMPORARY: u8 = 0x01;

/// Walks the markers of a JPEG until the end of the image.
///
/// # Errors
///
/// [`Cause::Truncated`] if the bytes run out before.
fn check_complete(bytes: &[u8]) -> Result<(), Cause> {
    let truncated = |cause: &str| Cause::Truncated(cause.to_owned());
    let mut position = 0;
    let mut in_scan = false;
    loop {
        let rest = bytes.get(position..).unwrap_or_default();
        // What lies between markers is entropy-coded data, or garbage that decoders skip.
        let Some(offset) = rest
            .windows(2)
            .position(|pair| matches!(pair, [MARKER, code] if *code != 0 && *code != MARKER))
        else {
            return Err(truncated(if in_scan {
                "the data ends within a scan, before the end-of-image marker"
            } else {
                "the data ends before the end-of-image marker"
            }));
        };
        let code = rest.get(offset + 1).copied().unwrap_or_default();
        position += offset + 2;
        match code {
            END_OF_IMAGE => return Ok(()),
            START_OF_IMAGE | TEMPORARY => {}
            code if RESTART.contains(&code) => {}
            code => {
                let Some([high, low]) = bytes.get(position..position + 2) else {
                    return Err(truncated("the data ends within its headers"));
                };
                position += usize::from(u16::from_be_bytes([*high, *low]));
                in_scan = code == START_OF_SCAN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_image_in_a_segment_does_not_count() {
        // An APP1 segment with a whole thumbnail in it, then a scan without end.
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9];
        assert!(check_complete(&bytes).is_err());
        bytes.extend([0xFF, 0xDA, 0x00, 0x02, 1, 2, 0xFF, 0x00, 3, 0xFF, 0xD0, 4]);
        let Err(Cause::Truncated(cause)) = check_complete(&bytes) else {
            panic!("the scan has no end");
        };
        assert!(cause.contains("ends within a scan"), "{cause}");
        bytes.extend([0xFF, 0xFF, 0xD9]);
        check_complete(&bytes).unwrap();
    }
}
