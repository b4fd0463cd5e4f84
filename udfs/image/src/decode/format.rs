//! The formats of images that are decoded.

use std::fmt;

/// An image format this crate decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Format {
    #[cfg(feature = "avif")]
    Avif,
    Bmp,
    Gif,
    Jpeg,
    Jpeg2000,
    Png,
    Tiff,
    WebP,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[
        #[cfg(feature = "avif")]
        Self::Avif,
        Self::Bmp,
        Self::Gif,
        Self::Jpeg,
        Self::Jpeg2000,
        Self::Png,
        Self::Tiff,
        Self::WebP,
    ];

    /// Guesses the format from the first bytes.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            // A codestream, or the first box of JP2, whose type ends in blanks, or in control characters.
            [0xFF, 0x4F, 0xFF, 0x51, ..]
            | [
                0,
                0,
                0,
                12,
                b'j',
                b'P',
                b' ' | 0x1A,
                b' ' | 0x1A,
                b'\r',
                b'\n',
                0x87,
                b'\n',
                ..,
            ] => Some(Self::Jpeg2000),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::WebP),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            // Pillow reads these, too.
            [b'I', b'I', 0, 42, ..] | [b'M', b'M', 42, 0, ..] => Some(Self::Tiff),
            [b'B', b'M', ..] => Some(Self::Bmp),
            #[cfg(feature = "avif")]
            _ if super::foreign::name(bytes) == Some("AVIF") => Some(Self::Avif),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "avif")]
            Self::Avif => "AVIF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Png => "PNG",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        })
    }
}
