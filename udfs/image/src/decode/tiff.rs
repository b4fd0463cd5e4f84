//! TIFF, its first picture, turned as its orientation says: Pillow turns TIFF, and no other format.
//!
//! The directory says what the samples are ([`layout`]) and where; strips and tiles are unpacked by
//! libraries ([`chunks`]) and their samples become RGB ([`pixels`]). What Pillow shows in a way that
//! no rule of a few lines gives is refused by name: LZMA, Zstandard and WebP compression, YCbCr that is
//! not JPEG, CIE L*a*b*, Group 3 fax in two dimensions.

mod chunks;
mod directory;
mod fax;
mod layout;
mod pixels;

use self::chunks::Chunks;
pub(super) use self::directory::Directory;
use self::layout::{Layout, Meaning};
use super::error::Cause;
use super::opened::Opened;
use super::{DecodeOptions, Details, Format, Header, RgbPixels};

/// Reads the first directory.
pub(super) fn open(bytes: &[u8], options: DecodeOptions) -> Result<Box<dyn Opened + '_>, Cause> {
    let directory = Directory::first(bytes);
    let directory =
        directory.ok_or_else(|| Cause::Truncated("its first directory is missing".to_owned()))?;
    let layout = Layout::read(&directory)?;
    Ok(Box::new(Tiff {
        bytes,
        directory,
        layout,
        options,
    }))
}

struct Tiff<'a> {
    bytes: &'a [u8],
    directory: Directory<'a>,
    layout: Layout,
    options: DecodeOptions,
}

impl Opened for Tiff<'_> {
    fn header(&self) -> Header {
        let layout = &self.layout;
        let (width, height) = layout.orientation.size((layout.width, layout.height));
        let mode = match (&layout.meaning, layout.alpha) {
            (Meaning::Grey { .. } | Meaning::Deep(_), false) => "L",
            (Meaning::Grey { .. } | Meaning::Deep(_), true) => "LA",
            (Meaning::Palette(_), false) => "P",
            (Meaning::Palette(_), true) => "PA",
            (Meaning::Rgb { .. } | Meaning::YCbCr, false) => "RGB",
            (Meaning::Rgb { .. } | Meaning::YCbCr, true) => "RGBA",
            (Meaning::Cmyk, _) => "CMYK",
        };
        Header {
            format: Format::Tiff,
            width,
            height,
            color: match layout.bits {
                8 => mode.to_owned(),
                bits => format!("{mode};{bits}"),
            },
        }
    }

    fn details(&self) -> Details {
        Details {
            frames: directory::count(self.bytes),
            orientation: self.layout.orientation.number(),
            bits: self.layout.bits,
            icc_profile: self.directory.bytes(34_675).is_some(),
            transparency: self.layout.alpha,
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let chunks = Chunks::new(self.bytes, &self.directory, &self.layout);
        let stored = pixels::read(&self.layout, &chunks, self.options.deep_grey)?;
        Ok(self.layout.orientation.apply(stored))
    }
}
