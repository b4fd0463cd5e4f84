//! Strips and tiles: where they are, and the samples in them.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::decode::Decoder as Lzw;
use weezl::{BitOrder, LzwStatus};

use super::super::error::Cause;
use super::super::jpeg;
use super::directory::{ByteOrder, Directory};
use super::fax;
use super::layout::{Compression, Layout, Meaning};

/// The strips or tiles of the picture.
pub(super) struct Chunks<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    places: Vec<u64>,
    lengths: Vec<u64>,
    /// Tables that all of its JPEGs share.
    tables: &'a [u8],
    /// Where an old-style JPEG is, if all of it is in one place.
    whole_jpeg: Option<u64>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(bytes: &'a [u8], directory: &Directory<'a>, layout: &'a Layout) -> Self {
        let (places, lengths) = if layout.tiled && directory.number(324).is_some() {
            (324, 325)
        } else {
            (273, 279)
        };
        Self {
            bytes,
            layout,
            places: directory.numbers(places),
            lengths: directory.numbers(lengths),
            tables: directory.bytes(347).unwrap_or_default(),
            whole_jpeg: directory.number(513).filter(|place| *place != 0),
        }
    }

    /// The samples of one, `rows` rows of them.
    pub(super) fn read(&self, index: usize, rows: usize) -> Result<Vec<u8>, Cause> {
        let layout = self.layout;
        let row = layout.row_length();
        let expected = row * rows;
        let packed = self.packed(index)?;
        let mut samples = match layout.compression {
            Compression::Raw => packed.get(..expected).ok_or_else(|| short(index))?.to_vec(),
            Compression::PackBits => packbits(&packed, expected),
            Compression::Deflate => {
                let mut out = Vec::with_capacity(expected);
                let limited = ZlibDecoder::new(&*packed).take(expected as u64);
                // Pillow takes as much as it needs, whatever comes after it.
                let outcome = { limited }.read_to_end(&mut out);
                outcome
                    .map_err(|error| Cause::Corrupt(format!("strip or tile {index}: {error}")))?;
                out
            }
            Compression::Lzw => lzw(&packed, expected, index)?,
            Compression::FaxRows | Compression::Fax3 | Compression::Fax4 => {
                let width = layout.chunk.0;
                fax::read(layout.compression, layout.fax_options, &packed, width, rows)?
            }
            Compression::Jpeg | Compression::OldJpeg => self.jpeg(&packed, rows)?,
        };
        if samples.len() < expected {
            return Err(short(index));
        }
        if layout.predictor == 2 && self.may_be_predicted() {
            add_neighbours(&mut samples, row, layout);
        }
        Ok(samples)
    }

    fn may_be_predicted(&self) -> bool {
        matches!(
            self.layout.compression,
            Compression::Lzw | Compression::Deflate
        )
    }

    fn packed(&self, index: usize) -> Result<Cow<'a, [u8]>, Cause> {
        if let Some(place) = self
            .whole_jpeg
            .filter(|_| self.layout.compression == Compression::OldJpeg)
        {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            return Ok(Cow::Borrowed(self.bytes.get(place..).unwrap_or_default()));
        }
        let missing = || Cause::Corrupt(format!("it does not say where strip or tile {index} is"));
        let place = self.places.get(index).ok_or_else(missing)?;
        let place = usize::try_from(*place).unwrap_or(usize::MAX);
        let rest = self.bytes.get(place..).ok_or_else(|| short(index))?;
        let said = self.lengths.get(index).copied().unwrap_or(u64::MAX);
        let said = usize::try_from(said).unwrap_or(usize::MAX);
        // Pillow does not ask how long uncompressed ones are.
        let length = match self.layout.compression {
            Compression::Raw => rest.len(),
            _ => said.min(rest.len()),
        };
        let packed = rest.get(..length).unwrap_or_default();
        let jpeg = self.layout.compression == Compression::Jpeg;
        Ok(if self.layout.reversed && !jpeg {
            Cow::Owned(packed.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(packed)
        })
    }

    /// The tables of the directory and the JPEG of the strip make one JPEG.
    fn jpeg(&self, packed: &[u8], rows: usize) -> Result<Vec<u8>, Cause> {
        const START: &[u8] = &[0xFF, 0xD8];
        const END: &[u8] = &[0xFF, 0xD9];
        if !packed.starts_with(START) {
            let what =
                "old-style JPEG whose tables are apart from it is not supported; save it again";
            return Err(Cause::Corrupt(what.to_owned()));
        }
        let tables = self.tables.strip_prefix(START).unwrap_or(self.tables);
        let tables = tables.strip_suffix(END).unwrap_or(tables);
        let picture = packed.strip_prefix(START).unwrap_or(packed);
        let whole = [START, tables, picture].concat();
        let old = self.layout.compression == Compression::OldJpeg;
        let colours = self.layout.meaning == Meaning::YCbCr;
        let (width, together) = (self.layout.chunk.0 as usize, self.layout.samples_together());
        let channels = if colours { 3 } else { together };
        let samples = jpeg::samples(&whole, colours, old, (width, rows))?;
        if samples.channels != channels || samples.width < width || samples.height < rows {
            return Err(Cause::Corrupt(format!(
                "a JPEG of {}×{} pixels and {} samples where {width}×{rows} and {channels} should be",
                samples.width, samples.height, samples.channels
            )));
        }
        let kept = samples
            .data
            .chunks_exact(samples.width * channels)
            .take(rows);
        Ok(kept
            .flat_map(|row| row.get(..width * channels).unwrap_or_default())
            .copied()
            .collect())
    }
}

fn short(index: usize) -> Cause {
    Cause::Truncated(format!("strip or tile {index} ends before its rows do"))
}

/// Literal bytes and repeated ones.
fn packbits(packed: &[u8], expected: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(expected);
    let mut rest = packed;
    while let Some((control, after)) = rest.split_first() {
        rest = after;
        if out.len() >= expected {
            break;
        }
        match *control {
            128 => {}
            length @ ..128 => {
                let (literal, after) = rest.split_at(rest.len().min(usize::from(length) + 1));
                out.extend(literal);
                rest = after;
            }
            length => {
                let Some((level, after)) = rest.split_first() else {
                    break;
                };
                out.extend(std::iter::repeat_n(*level, 257 - usize::from(length)));
                rest = after;
            }
        }
    }
    out.truncate(expected);
    out
}

fn lzw(packed: &[u8], expected: usize, index: usize) -> Result<Vec<u8>, Cause> {
    if matches!(packed, [0, second, ..] if second & 1 == 1) {
        let what = "LZW of the kind before 1988 is not supported; save it again";
        return Err(Cause::Corrupt(what.to_owned()));
    }
    let mut out = vec![0; expected];
    let mut decoder = Lzw::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut read, mut written) = (0, 0);
    while written < expected {
        let (Some(from), Some(to)) = (packed.get(read..), out.get_mut(written..)) else {
            break;
        };
        let step = decoder.decode_bytes(from, to);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => {
                return Err(Cause::Corrupt(format!("strip or tile {index}: {error}")));
            }
        }
    }
    out.truncate(written);
    Ok(out)
}

/// Undoes the predictor: each sample is the difference from the one to its left.
fn add_neighbours(samples: &mut [u8], row: usize, layout: &Layout) {
    let step = layout.samples_together();
    let order = layout.order;
    for row in samples.chunks_exact_mut(row) {
        match layout.bits {
            8 => {
                for at in step..row.len() {
                    let before = row.get(at - step).copied().unwrap_or_default();
                    if let Some(sample) = row.get_mut(at) {
                        *sample = sample.wrapping_add(before);
                    }
                }
            }
            16 => {
                let (row, _) = row.as_chunks_mut::<2>();
                for at in step..row.len() {
                    let before = row.get(at - step).copied().unwrap_or_default();
                    if let Some(sample) = row.get_mut(at) {
                        let sum = order.short(*sample).wrapping_add(order.short(before));
                        *sample = match order {
                            ByteOrder::Little => sum.to_le_bytes(),
                            ByteOrder::Big => sum.to_be_bytes(),
                        };
                    }
                }
            }
            _ => {
                let (row, _) = row.as_chunks_mut::<4>();
                for at in step..row.len() {
                    let before = row.get(at - step).copied().unwrap_or_default();
                    if let Some(sample) = row.get_mut(at) {
                        let sum = order.long(*sample).wrapping_add(order.long(before));
                        *sample = match order {
                            ByteOrder::Little => sum.to_le_bytes(),
                            ByteOrder::Big => sum.to_be_bytes(),
                        };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packbits_by_its_own_example() {
        let packed = [
            0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7,
            0xAA,
        ];
        let mut unpacked = vec![0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA];
        unpacked.extend([0x80, 0x00, 0x2A, 0x22]);
        unpacked.extend([0xAA; 10]);
        assert_eq!(packbits(&packed, 24), unpacked);
        assert_eq!(packbits(&packed, 4), unpacked[..4]);
        assert_eq!(packbits(&packed[..4], 24).len(), 4);
    }
}
