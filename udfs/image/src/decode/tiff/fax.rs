//! Rows of black and white as fax machines send them.

use std::convert::Infallible;
use std::iter::repeat_n;

use fax::decoder::{DecodeStatus, Group4Decoder, pels};
use fax::maps::{black, white};
use fax::{BitReader, ByteReader, Color};

use super::super::error::Cause;
use super::layout::Compression;

/// Group 3: rows may be differences from the one above.
const TWO_DIMENSIONS: u64 = 1;
/// Zeros that the decoder may look at behind the end.
const READ_AHEAD: usize = 4;

/// One bit a pixel, 1 for black; rows begin at whole bytes.
pub(super) fn read(
    kind: Compression,
    options: u64,
    packed: &[u8],
    width: u32,
    rows: usize,
) -> Result<Vec<u8>, Cause> {
    let width = u16::try_from(width)
        .map_err(|_| Cause::Corrupt(format!("a fax of {width} pixels a row is too wide")))?;
    if kind == Compression::Fax3 && options & TWO_DIMENSIONS != 0 {
        let what = "Group 3 fax in two dimensions is not supported; save it again";
        return Err(Cause::Corrupt(what.to_owned()));
    }
    let bytes = packed.iter().copied().chain(repeat_n(0, READ_AHEAD));
    let bytes = bytes.map(Ok::<u8, Infallible>);
    let mut out = Vec::with_capacity(usize::from(width).div_ceil(8) * rows);
    if kind == Compression::Fax4 {
        let Ok(mut decoder) = Group4Decoder::new(bytes, width);
        for row in 0..rows {
            match decoder.advance() {
                Ok(DecodeStatus::Incomplete) => write_row(decoder.transition(), width, &mut out),
                Ok(DecodeStatus::End) => return Err(ends(row, rows)),
                Err(error) => {
                    return Err(Cause::Corrupt(format!("row {row} of a fax: {error}")));
                }
            }
        }
    } else {
        let Ok(mut reader) = ByteReader::new(bytes);
        let mut changes = Vec::new();
        for row in 0..rows {
            changes.clear();
            if kind == Compression::Fax3 {
                skip_to_row(&mut reader);
            }
            runs(&mut reader, width, &mut changes).ok_or_else(|| ends(row, rows))?;
            if kind == Compression::FaxRows {
                let padding = reader.bits_to_byte_boundary();
                let Ok(()) = reader.consume(padding);
            }
            write_row(&changes, width, &mut out);
        }
    }
    Ok(out)
}

fn ends(row: usize, rows: usize) -> Cause {
    Cause::Truncated(format!(
        "a fax ends, or its codes do, after {row} of {rows} rows"
    ))
}

/// Skips the end of the row before: eleven zeros or more, and a one. No code begins with nine.
fn skip_to_row(reader: &mut impl BitReader<Error = Infallible>) {
    if reader.peek(9) == Some(0) {
        while reader.peek(1) == Some(0) {
            let Ok(()) = reader.consume(1);
        }
        let Ok(()) = reader.consume(1);
    }
}

/// Where the colour changes, from the lengths of runs, white first.
fn runs(reader: &mut impl BitReader, width: u16, changes: &mut Vec<u16>) -> Option<()> {
    let (mut at, mut is_white) = (0_u16, true);
    while at < width {
        loop {
            let run = if is_white {
                white::decode(reader)
            } else {
                black::decode(reader)
            }?;
            at = at.checked_add(run)?;
            // Longer runs have a code for the multiple of 64 first.
            if run < 64 {
                break;
            }
        }
        changes.push(at.min(width));
        is_white = !is_white;
    }
    (at == width).then_some(())
}

fn write_row(changes: &[u16], width: u16, out: &mut Vec<u8>) {
    let mut pixels = pels(changes, width);
    for _ in 0..width.div_ceil(8) {
        let byte = (0..8).fold(0, |byte, _| {
            byte << 1 | u8::from(pixels.next() == Some(Color::Black))
        });
        out.push(byte);
    }
}
