//! What comes out of a file: pixels, and what is known about them.

use super::{DecodeError, Format};

/// What the header of an image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Format of the file.
    pub format: Format,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Colour mode in Pillow's letters (`L`, `LA`, `RGB`, `RGBA`, `CMYK`), followed by `;` and the
    /// bits of a channel where these are not eight (`L;1`, `RGB;16`).
    pub color: String,
}

/// What the file says beside that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// Pictures in the file; the first is decoded.
    pub frames: u32,
    /// Which way up the picture is, as EXIF counts: 1 for as stored.
    pub orientation: u8,
    /// Bits of a channel, or of an index.
    pub bits: u8,
    /// Whether there is an ICC profile. It is not applied.
    pub icc_profile: bool,
    /// Whether pixels may be transparent. Colours are taken as if they were not.
    pub transparency: bool,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            frames: 1,
            orientation: 1,
            bits: 8,
            icc_profile: false,
            transparency: false,
        }
    }
}

/// Interleaved RGB pixels, eight bits a channel, top row first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPixels {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
}

/// Outcome of [`inspect`](super::inspect): as much as could be learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format, if the first bytes belong to one.
    pub format: Option<Format>,
    /// The header, if it could be read.
    pub header: Option<Header>,
    /// What else the file says, if its header could be read.
    pub details: Option<Details>,
    /// Why the image cannot be used; `None` for a good image.
    pub error: Option<DecodeError>,
}
