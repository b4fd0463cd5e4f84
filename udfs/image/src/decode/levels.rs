//! Conversions of levels that several formats share, as Pillow makes them.

use super::DeepGrey;
use super::error::Cause;

impl DeepGrey {
    /// A level of 16 bits as one of eight.
    pub(super) fn level(self, value: u16) -> u8 {
        match self {
            Self::HighByte => (value >> 8) as u8,
            Self::Clip => value.min(255) as u8,
        }
    }

    /// Numbers that have no highest value have no high byte.
    pub(super) fn refuses(self, bits: u8) -> Cause {
        Cause::Corrupt(format!(
            "its pixels are numbers of {bits} bits that may be negative or of any size, and nothing \
             says which of them is black or white; scale them to 8 or 16 bits first, or SET \
             featurize.deep_grey = 'clip' to take 0 to 255 as they are and all above as white"
        ))
    }
}

/// Ink to light, mixed with black by multiplication.
pub(super) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - black;
    [cyan, magenta, yellow].map(|ink| {
        let covered = divided_by_255(u32::from(ink) * u32::from(light));
        light.saturating_sub(covered)
    })
}

/// `product / 255`, rounded; exact for products of two bytes.
fn divided_by_255(product: u32) -> u8 {
    let shifted = product + 128;
    (((shifted >> 8) + shifted) >> 8) as u8
}

/// Colours that were multiplied by their alpha, divided by it again; black where it is 0.
pub(super) fn without_premultiplication([red, green, blue, alpha]: &[u8; 4]) -> [u8; 3] {
    [*red, *green, *blue].map(|level| {
        let level = u32::from(level) * 255;
        level.checked_div(u32::from(*alpha)).unwrap_or(0).min(255) as u8
    })
}
