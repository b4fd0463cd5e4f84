//! BMP, as Pillow reads it: of Windows and OS/2, with or without a palette, masks and runs.

use super::error::Cause;
use super::opened::Opened;
use super::{Details, Format, Header, RgbPixels};

/// Bytes before the header that says what the pixels are.
const FILE_HEADER: usize = 14;
const RUNS_OF_BYTES: u32 = 1;
const RUNS_OF_HALF_BYTES: u32 = 2;
const BIT_FIELDS: u32 = 3;

/// Reads the headers and the palette.
pub(super) fn open(bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    let bmp = Bmp::open(bytes);
    Ok(Box::new(bmp.ok_or_else(|| {
        Cause::Truncated("it ends within its header".to_owned())
    })??))
}

struct Bmp<'a> {
    bytes: &'a [u8],
    width: u32,
    height: u32,
    /// Whether the first row is the top one.
    top_down: bool,
    bits: u16,
    compression: u32,
    /// Which bits are red, green, blue.
    masks: [u32; 3],
    alpha: bool,
    palette: Vec<[u8; 3]>,
    /// Where the pixels begin.
    at: usize,
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Bmp<'a> {
    fn open(bytes: &'a [u8]) -> Option<Result<Self, Cause>> {
        let header = bytes.get(FILE_HEADER..)?;
        let size = long(header, 0)? as usize;
        // OS/2's first kind has shorter numbers, and a palette without padding.
        let old = size == 12;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            let what = format!("a header of {size} bytes is of no known kind");
            return Some(Err(Cause::Corrupt(what)));
        }
        let (width, height) = if old {
            (short(header, 4)?.into(), short(header, 6)?.into())
        } else {
            (long(header, 4)?, long(header, 8)?)
        };
        let top_down = !old && height >> 24 == 0xFF;
        let height = if top_down {
            height.wrapping_neg()
        } else {
            height
        };
        let bits = short(header, if old { 10 } else { 14 })?;
        let compression = if old { 0 } else { long(header, 16)? };
        let (mut masks, mut alpha) = match bits {
            16 => ([0x7C00, 0x3E0, 0x1F], 0),
            _ => ([0xFF_0000, 0xFF00, 0xFF], 0),
        };
        if compression == BIT_FIELDS {
            // They follow a header of 40 bytes, and are in every longer one.
            let mask = |index: usize| long(header, 40 + 4 * index);
            let said = [mask(0)?, mask(1)?, mask(2)?];
            alpha = if size >= 56 { mask(3)? } else { 0 };
            if said != [0; 3] {
                masks = said;
            }
        }
        let mut palette = Vec::new();
        let mut at = long(bytes, 10)? as usize;
        if bits <= 8 {
            let said = if old { 0 } else { long(header, 32)? };
            let colours = if said == 0 { 1 << bits } else { said as usize };
            let step = if old { 3 } else { 4 };
            let entries = header
                .get(size..)?
                .chunks_exact(step)
                .take(colours.min(256));
            palette = entries
                .filter_map(|entry| entry.first_chunk())
                .map(|[blue, green, red]| [*red, *green, *blue])
                .collect();
            if at == FILE_HEADER + size {
                at = at.checked_add(step.checked_mul(colours)?)?;
            }
        }
        let bmp = Self {
            bytes,
            width,
            height,
            top_down,
            bits,
            compression,
            masks,
            alpha: alpha != 0,
            palette,
            at,
        };
        Some(bmp.check().map(|()| bmp))
    }

    fn check(&self) -> Result<(), Cause> {
        match (self.compression, self.bits) {
            (0, 1 | 2 | 4 | 8 | 16 | 24 | 32)
            | (RUNS_OF_BYTES, 8)
            | (RUNS_OF_HALF_BYTES, 4)
            | (BIT_FIELDS, 16 | 24 | 32) => Ok(()),
            (compression, bits) => Err(Cause::Corrupt(format!(
                "compression {compression} with {bits} bits a pixel is not supported; save it again \
                 without compression, or as PNG"
            ))),
        }
    }

    /// Indices of the palette, a byte each, in the order of the file.
    fn runs(&self) -> Result<Vec<u8>, Cause> {
        let width = self.width as usize;
        let wanted = width * self.height as usize;
        let halves = self.compression == RUNS_OF_HALF_BYTES;
        let mut out = Vec::with_capacity(wanted);
        let (mut at, mut x) = (self.at, 0);
        while out.len() < wanted {
            let pair = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
            let Some([count, value]) = pair.copied() else {
                break;
            };
            at += 2;
            let both = if halves {
                [value >> 4, value & 15]
            } else {
                [value; 2]
            };
            match (usize::from(count), value) {
                // What is beyond the row is left out.
                (count @ 1.., _) => {
                    let count = count.min(width.saturating_sub(x));
                    out.extend(both.iter().cycle().take(count));
                    x += count;
                }
                // The end of a row that is not full, of the picture, a jump.
                (_, 0) => {
                    out.resize(out.len().next_multiple_of(width), 0);
                    x = 0;
                }
                (_, 1) => break,
                (_, 2) => {
                    let jump = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
                    let Some([right, down]) = jump.copied() else {
                        break;
                    };
                    at += 2;
                    let jump = usize::from(right) + usize::from(down) * width;
                    out.resize((out.len() + jump).min(wanted), 0);
                    x = out.len() % width;
                }
                (_, count) => {
                    let count = usize::from(count);
                    // Half a byte is filled up, and then bytes to an even place of the file.
                    let length = if halves { count.div_ceil(2) } else { count };
                    let rest = self.bytes.get(at..).unwrap_or_default();
                    let plain = rest.get(..length).unwrap_or(rest);
                    let room = count.min(wanted - out.len());
                    if halves {
                        let pixels = plain.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                        out.extend(pixels.take(room));
                    } else {
                        out.extend(plain.iter().take(room));
                    }
                    x += count;
                    at += length;
                    at += at % 2;
                }
            }
        }
        if out.len() < wanted {
            return Err(Cause::Truncated(format!(
                "{} of {wanted} pixels",
                out.len()
            )));
        }
        Ok(out)
    }

    fn colour(&self, index: u8) -> [u8; 3] {
        self.palette
            .get(usize::from(index))
            .copied()
            .unwrap_or_default()
    }

    /// The pixels of a row.
    fn row(&self, row: &[u8], out: &mut Vec<u8>) {
        let masked = |pixel: u32| self.masks.map(|mask| level(pixel, mask));
        match self.bits {
            16 => {
                let (pixels, _) = row.as_chunks::<2>();
                let pixels = pixels.iter().map(|pixel| u16::from_le_bytes(*pixel).into());
                out.extend(pixels.flat_map(masked));
            }
            24 => {
                let (pixels, _) = row.as_chunks::<3>();
                out.extend(
                    pixels
                        .iter()
                        .flat_map(|[blue, green, red]| [red, green, blue]),
                );
            }
            32 => {
                let (pixels, _) = row.as_chunks::<4>();
                let pixels = pixels.iter().map(|pixel| u32::from_le_bytes(*pixel));
                out.extend(pixels.flat_map(masked));
            }
            bits => {
                let mask = (1_u16 << bits).wrapping_sub(1) as u8;
                let places = (0..8 / bits).rev();
                let indices = row.iter().flat_map(|byte| {
                    places
                        .clone()
                        .map(move |place| byte >> (place * bits) & mask)
                });
                let indices = indices.take(self.width as usize);
                out.extend(indices.flat_map(|index| self.colour(index)));
            }
        }
    }
}

/// The bits of a mask, spread over eight and rounded down.
fn level(pixel: u32, mask: u32) -> u8 {
    let white = mask >> mask.trailing_zeros().min(31);
    let value = (pixel & mask) >> mask.trailing_zeros().min(31);
    match white {
        0 => 0,
        white => (u64::from(value) * 255 / u64::from(white)) as u8,
    }
}

impl Opened for Bmp<'_> {
    fn header(&self) -> Header {
        Header {
            format: Format::Bmp,
            width: self.width,
            height: self.height,
            color: match (self.bits, self.alpha) {
                (8, _) => "P".to_owned(),
                (bits @ ..8, _) => format!("P;{bits}"),
                (_, false) => "RGB".to_owned(),
                (_, true) => "RGBA".to_owned(),
            },
        }
    }

    fn details(&self) -> Details {
        Details {
            bits: if self.bits < 8 { self.bits as u8 } else { 8 },
            transparency: self.alpha,
            ..Details::default()
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut data = Vec::with_capacity(width * height * 3);
        if matches!(self.compression, RUNS_OF_BYTES | RUNS_OF_HALF_BYTES) {
            let indices = self.runs()?;
            let rows = indices.chunks_exact(width).take(height);
            each_row(rows, self.top_down, |row| {
                data.extend(row.iter().flat_map(|index| self.colour(*index)));
            });
        } else {
            let used = (width * usize::from(self.bits)).div_ceil(8);
            let stride = used.next_multiple_of(4);
            let pixels = self.bytes.get(self.at..).unwrap_or_default();
            let rows = pixels.chunks(stride).filter_map(|row| row.get(..used));
            let rows: Vec<&[u8]> = rows.take(height).collect();
            if rows.len() < height {
                return Err(Cause::Truncated(format!("{} of {height} rows", rows.len())));
            }
            each_row(rows.into_iter(), self.top_down, |row| {
                self.row(row, &mut data)
            });
        }
        Ok(RgbPixels {
            width,
            height,
            data,
        })
    }
}

/// Rows of the file from the top of the picture on.
fn each_row<'a>(
    rows: impl DoubleEndedIterator<Item = &'a [u8]>,
    top_down: bool,
    work: impl FnMut(&'a [u8]),
) {
    if top_down {
        rows.for_each(work);
    } else {
        rows.rev().for_each(work);
    }
}
