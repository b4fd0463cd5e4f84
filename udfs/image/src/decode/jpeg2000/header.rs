//! What a JPEG 2000 file says that its decoder does not tell: the colour space it declares, and how much
//! it would have the decoder set aside (ISO/IEC 15444-1, annexes A and I).

use super::super::boxes::{MOST_BOXES, boxes};
use super::super::error::Cause;

/// Enumerated colour spaces.
pub(super) const CMYK: u32 = 12;
pub(super) const YCCK: u32 = 13;
pub(super) const CIELAB: u32 = 14;

/// Most tiles, by the standard.
const MOST_TILES: u64 = 65_535;
/// Most channels in the codestream: four, and as many that a palette or a mask may add.
const MOST_COMPONENTS: u16 = 8;

/// What is known before anything is decoded.
pub(super) struct Declared {
    /// The enumerated colour space, if the file names one.
    pub(super) colour_space: Option<u32>,
}

impl Declared {
    /// Reads the headers.
    ///
    /// # Errors
    /// If there is no codestream, or one that claims more tiles or components than any picture has.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Cause> {
        if bytes.starts_with(&[0xFF, 0x4F]) {
            check_size(bytes)?;
            return Ok(Self { colour_space: None });
        }
        let mut colour_space = None;
        for (name, content) in boxes(bytes).take(MOST_BOXES) {
            match name {
                b"jp2h" => colour_space = boxes(content).take(MOST_BOXES).find_map(enumerated),
                b"jp2c" => {
                    check_size(content)?;
                    return Ok(Self { colour_space });
                }
                _ => {}
            }
        }
        Err(Cause::Truncated("it has no codestream".to_owned()))
    }
}

/// The colour space of a box that names one: method 1, precedence, approximation, and the number.
fn enumerated((name, content): (&[u8; 4], &[u8])) -> Option<u32> {
    match (name, content) {
        (b"colr", [1, _, _, number @ ..]) => number.first_chunk().copied().map(u32::from_be_bytes),
        _ => None,
    }
}

/// Refuses a codestream whose size marker claims too much.
fn check_size(codestream: &[u8]) -> Result<(), Cause> {
    let short = || Cause::Truncated("it ends within its header".to_owned());
    // Behind two markers, a length and capabilities.
    let numbers = codestream.get(8..40).ok_or_else(short)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|n| u32::from_be_bytes(*n).into())
        .collect();
    let components = codestream
        .get(40..42)
        .and_then(|n| n.first_chunk().copied());
    let components = u16::from_be_bytes(components.ok_or_else(short)?);
    if components > MOST_COMPONENTS {
        return Err(Cause::Corrupt(format!(
            "it has {components} channels; 1 to 4 are supported"
        )));
    }
    let [width, height, _, _, tile_width, tile_height, left, top] = numbers[..] else {
        return Err(short());
    };
    let along =
        |length: u64, from: u64, tile: u64| length.saturating_sub(from).div_ceil(tile.max(1));
    let tiles = along(width, left, tile_width).saturating_mul(along(height, top, tile_height));
    if tiles > MOST_TILES {
        return Err(Cause::Corrupt(format!(
            "it claims {tiles} tiles; the standard allows {MOST_TILES}"
        )));
    }
    Ok(())
}
