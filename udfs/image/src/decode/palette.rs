//! TIFF images with a palette, which the `image` crate does not decode.
//!
//! The indices are stored as the levels of a grey image are, so the file is read as if it were
//! one: in a copy of it, the tag that says what the numbers mean is changed. The colours are looked
//! up afterwards, in the high bytes of the 16-bit colour map, as Pillow does.

use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::error::Cause;
use super::{Format, Header, Opened, RgbPixels, memory_limit};

/// The tag PhotometricInterpretation, and two of its values.
const PHOTOMETRIC: u16 = 262;
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u16 = 3;

/// Reads the header if the first image of the file has a palette.
pub(super) fn open(bytes: &[u8]) -> Option<Result<Box<dyn Opened>, Cause>> {
    let place = photometric(bytes)?;
    let mut bytes = bytes.to_vec();
    let value = bytes.get_mut(place.at..place.at + 2)?;
    value.copy_from_slice(&place.order.to_bytes(BLACK_IS_ZERO));
    Some(PaletteTiff::new(bytes).map(|image| Box::new(image) as Box<dyn Opened>))
}

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn to_bytes(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn short(self, bytes: &[u8], at: usize) -> Option<u16> {
        let value = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(value),
            Self::Big => u16::from_be_bytes(value),
        })
    }

    fn long(self, bytes: &[u8], at: usize) -> Option<usize> {
        let value = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(match self {
            Self::Little => u32::from_le_bytes(value),
            Self::Big => u32::from_be_bytes(value),
        })
        .ok()
    }
}

struct Place {
    at: usize,
    order: ByteOrder,
}

/// Where the first directory says that the numbers are indices of a palette.
fn photometric(bytes: &[u8]) -> Option<Place> {
    let order = match bytes.get(..4)? {
        b"II\x2A\0" => ByteOrder::Little,
        b"MM\0\x2A" => ByteOrder::Big,
        _ => return None,
    };
    let directory = order.long(bytes, 4)?;
    let entries = usize::from(order.short(bytes, directory)?);
    for entry in 0..entries {
        let entry = directory.checked_add(2 + 12 * entry)?;
        if order.short(bytes, entry)? == PHOTOMETRIC {
            let at = entry.checked_add(8)?;
            let palette = order.short(bytes, at)? == PALETTE;
            return palette.then_some(Place { at, order });
        }
    }
    None
}

struct PaletteTiff {
    decoder: Decoder<Cursor<Vec<u8>>>,
    width: u32,
    height: u32,
    bits: u8,
    /// Red, green and blue of each index.
    colours: Vec<[u8; 3]>,
}

impl PaletteTiff {
    fn new(bytes: Vec<u8>) -> Result<Self, Cause> {
        let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|error| cause(&error))?;
        let (width, height) = decoder.dimensions().map_err(|error| cause(&error))?;
        let bits = match decoder.colortype().map_err(|error| cause(&error))? {
            ColorType::Gray(bits @ (1 | 2 | 4 | 8)) => bits,
            other => {
                let what = format!("a palette with {other:?} is not supported");
                return Err(Cause::Corrupt(what));
            }
        };
        let map = decoder.get_tag_u16_vec(Tag::ColorMap);
        let map = map.map_err(|error| cause(&error))?;
        let count = 1 << bits;
        let (reds, rest) = map.split_at(count.min(map.len()));
        let (greens, blues) = rest.split_at(count.min(rest.len()));
        if blues.len() != count {
            let what = format!(
                "the colour map has {} numbers, not {}",
                map.len(),
                3 * count
            );
            return Err(Cause::Corrupt(what));
        }
        let colours = reds.iter().zip(greens).zip(blues);
        let colours = colours
            .map(|((red, green), blue)| [*red, *green, *blue].map(|level| (level >> 8) as u8))
            .collect();
        Ok(Self {
            decoder,
            width,
            height,
            bits,
            colours,
        })
    }
}

impl Opened for PaletteTiff {
    fn header(&self) -> Header {
        Header {
            format: Format::Tiff,
            width: self.width,
            height: self.height,
            color: match self.bits {
                8 => "P".to_owned(),
                bits => format!("P;{bits}"),
            },
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let (width, height) = (self.width as usize, self.height as usize);
        let most = memory_limit(self.width, self.height);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut limits = Limits::default();
        limits.decoding_buffer_size = most;
        limits.intermediate_buffer_size = most;
        let mut decoder = self.decoder.with_limits(limits);
        let packed = match decoder.read_image().map_err(|error| cause(&error))? {
            DecodingResult::U8(packed) => packed,
            _ => return Err(Cause::Corrupt("indices of more than a byte".to_owned())),
        };
        let bits = usize::from(self.bits);
        let per_byte = 8 / bits;
        // Rows begin at whole bytes.
        let row_length = width.div_ceil(per_byte);
        if packed.len() < row_length * height {
            let what = format!(
                "{} bytes of indices, expected {}",
                packed.len(),
                row_length * height
            );
            return Err(Cause::Truncated(what));
        }
        let mask = u8::MAX >> (8 - bits);
        let mut data = Vec::with_capacity(width * height * 3);
        for row in packed.chunks_exact(row_length).take(height) {
            let indices = row.iter().flat_map(|byte| {
                (1..=per_byte).map(move |place| byte >> (8 - bits * place) & mask)
            });
            for index in indices.take(width) {
                // There is a colour for every number of so many bits.
                data.extend(
                    self.colours
                        .get(usize::from(index))
                        .copied()
                        .unwrap_or_default(),
                );
            }
        }
        Ok(RgbPixels {
            width,
            height,
            data,
        })
    }
}

fn cause(error: &TiffError) -> Cause {
    match error {
        TiffError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            Cause::Truncated(error.to_string())
        }
        _ => Cause::Corrupt(error.to_string()),
    }
}
