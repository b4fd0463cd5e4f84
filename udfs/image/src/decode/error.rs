//! Why bytes are not an image.

use super::Format;

/// Why bytes are not a usable image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the content is empty (0 bytes), not an image")]
    Empty,

    /// The first bytes belong to no format this crate knows.
    #[error(
        "the content ({length} bytes, beginning with {beginning}) is not an image in a known \
         format; expected JPEG, JPEG 2000, PNG, WebP, BMP, GIF or TIFF"
    )]
    UnknownFormat {
        /// Bytes of content.
        length: usize,
        /// The first bytes, printable.
        beginning: String,
    },

    /// The first bytes belong to a format of images that this crate does not decode.
    #[error(
        "the content ({length} bytes) is an image in {format}, which {}; convert it to JPEG or PNG first",
        if *format == "AVIF" {
            "only a build with the feature `avif` reads"
        } else {
            "is not supported"
        }
    )]
    ForeignFormat {
        /// Bytes of content.
        length: usize,
        /// Name of the format.
        format: &'static str,
    },

    /// The header announces no pixels at all.
    #[error("{format} image of {width}×{height} pixels has no pixels")]
    NoPixels {
        /// Format of the file.
        format: Format,
        /// Width according to the header.
        width: u32,
        /// Height according to the header.
        height: u32,
    },

    /// The header announces more pixels than allowed. Nothing was decoded.
    #[error(
        "{format} image of {width}×{height} pixels is larger than featurize.max_pixels = \
         {max_pixels}; raise the setting if the image is genuine"
    )]
    TooManyPixels {
        /// Format of the file.
        format: Format,
        /// Width according to the header.
        width: u32,
        /// Height according to the header.
        height: u32,
        /// The limit in force.
        max_pixels: u64,
    },

    /// The file ends before the image does.
    #[error("{format} image of {length} bytes is truncated: {cause}")]
    Truncated {
        /// Format of the file.
        format: Format,
        /// Bytes of content.
        length: usize,
        /// Where the data ends.
        cause: String,
    },

    /// A good image could not be encoded as a thumbnail.
    #[error("the thumbnail cannot be encoded: {0}")]
    Thumbnail(String),

    /// The bytes contradict the format.
    #[error("{format} image of {length} bytes cannot be decoded: {cause}")]
    Corrupt {
        /// Format of the file.
        format: Format,
        /// Bytes of content.
        length: usize,
        /// What the decoder says.
        cause: String,
    },
}

/// What a decoder has against some bytes, before the file it came from is named.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// The bytes end too early.
    Truncated(String),
    /// The bytes contradict the format.
    Corrupt(String),
}

impl Cause {
    pub(super) fn of(self, format: Format, bytes: &[u8]) -> DecodeError {
        let length = bytes.len();
        match self {
            Self::Truncated(cause) => DecodeError::Truncated {
                format,
                length,
                cause,
            },
            Self::Corrupt(cause) => DecodeError::Corrupt {
                format,
                length,
                cause,
            },
        }
    }
}
