//! A picture whose header has been read, in any format.

use super::error::Cause;
use super::picture::{Details, Header, RgbPixels};

/// Memory a decoder may use beyond the pixels themselves.
pub(super) const DECODER_OVERHEAD: u64 = 64 << 20;
/// Most bytes a decoder needs for a pixel: four 32-bit floats, or the coefficients of a
/// progressive JPEG.
const WIDEST_PIXEL: u64 = 16;

/// A decoder that has read the header.
pub(super) trait Opened {
    fn header(&self) -> Header;

    fn details(&self) -> Details;

    /// Decodes the pixels. The header has been checked.
    fn read(self: Box<Self>) -> Result<RgbPixels, Cause>;
}

/// Bytes a decoder may allocate for an image of this size.
pub(super) fn memory_limit(width: u32, height: u32) -> u64 {
    (u64::from(width) * u64::from(height))
        .saturating_mul(WIDEST_PIXEL)
        .saturating_add(DECODER_OVERHEAD)
}
