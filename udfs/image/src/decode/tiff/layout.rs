//! What the first directory of a TIFF says about its pixels, by Pillow's rules.

use super::super::error::Cause;
use super::super::opened::memory_limit;
use super::super::orientation::Orientation;
use super::directory::{ByteOrder, Directory};

/// How a strip or tile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Raw,
    /// Runs of black and white, each row from a whole byte on.
    FaxRows,
    Fax3,
    Fax4,
    Lzw,
    OldJpeg,
    Jpeg,
    Deflate,
    PackBits,
}

/// What the samples mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Grey {
        white_is_zero: bool,
    },
    /// Grey of more than eight bits, or of numbers that may be negative.
    Deep(Numbers),
    Palette(Vec<[u8; 3]>),
    Rgb {
        premultiplied: bool,
    },
    Cmyk,
    /// JPEG's colours, which come out of it as RGB.
    YCbCr,
}

/// Kinds of numbers in deep grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Unsigned,
    Signed,
    Float,
}

/// The directory, checked.
pub(super) struct Layout {
    pub(super) order: ByteOrder,
    /// As stored, before it is turned.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) orientation: Orientation,
    pub(super) bits: u8,
    /// Samples of a pixel.
    pub(super) samples: usize,
    /// Whether each sample has strips or tiles of its own.
    pub(super) separate: bool,
    pub(super) meaning: Meaning,
    pub(super) compression: Compression,
    /// 1 for none, 2 for differences of neighbours.
    pub(super) predictor: u64,
    /// Whether the first pixel of a byte is its lowest bit.
    pub(super) reversed: bool,
    /// Bits of Group 3.
    pub(super) fax_options: u64,
    /// Size of a strip or tile.
    pub(super) chunk: (u32, u32),
    pub(super) tiled: bool,
    pub(super) alpha: bool,
}

fn unsupported(what: impl std::fmt::Display) -> Cause {
    Cause::Corrupt(format!(
        "{what} is not supported; save it again as plain RGB or grey, or as PNG"
    ))
}

fn broken(what: impl Into<String>) -> Cause {
    Cause::Corrupt(what.into())
}

impl Layout {
    pub(super) fn read(directory: &Directory<'_>) -> Result<Self, Cause> {
        let number = |tag: u16, default: u64| directory.number(tag).unwrap_or(default);
        let side = |tag: u16, name: &str| {
            let side = directory
                .number(tag)
                .and_then(|side| u32::try_from(side).ok());
            side.ok_or_else(|| broken(format!("it does not say how {name} it is")))
        };
        let (width, height) = (side(256, "wide")?, side(257, "high")?);
        let compression = compression(number(259, 1))?;
        let photometric = match compression {
            Compression::OldJpeg => 6,
            _ => number(262, 0),
        };
        let separate = number(284, 1) == 2;
        let formats = directory.numbers(339);
        let format = match formats.split_first() {
            None => 1,
            Some((first, rest)) if rest.iter().all(|other| other == first) => *first,
            Some(_) => return Err(unsupported("a mixture of kinds of numbers")),
        };
        let mut extra = directory.numbers(338);
        let default = if compression == Compression::OldJpeg {
            3
        } else {
            1
        };
        let samples = usize::try_from(number(277, default)).unwrap_or(usize::MAX);
        let bits = bits(&directory.numbers(258), samples)?;
        let colours = match photometric {
            2 | 8 => 3,
            6 if samples - extra.len().min(samples) >= 3 => 3,
            5 => 4,
            _ => 1,
        };
        if !(colours..=colours + 4).contains(&samples) {
            return Err(unsupported(format!(
                "{samples} samples a pixel for {colours} colours"
            )));
        }
        extra.truncate(samples - colours);
        let alpha = extra.first().is_none_or(|first| *first != 0) && samples > colours;
        let premultiplied = extra.first() == Some(&1);
        let map = directory.numbers(320);
        let kind = (photometric, format, bits);
        let meaning = meaning(kind, colours, premultiplied, &map, (compression, separate))?;
        let tiled = directory.number(322).is_some();
        let one_jpeg = compression == Compression::OldJpeg && number(513, 0) != 0;
        let chunk = if one_jpeg {
            (width, height)
        } else if tiled {
            (side(322, "wide a tile")?, side(323, "high a tile")?)
        } else {
            let rows = number(278, height.into()).min(height.into());
            (width, rows as u32)
        };
        let layout = Self {
            order: directory.order,
            width,
            height,
            orientation: Orientation::from_exif(number(274, 1)),
            bits,
            samples,
            separate,
            meaning,
            compression,
            predictor: number(317, 1),
            reversed: number(266, 1) == 2,
            fax_options: number(292, 0),
            chunk,
            tiled,
            alpha,
        };
        layout.check()?;
        Ok(layout)
    }

    /// Samples in the same strip or tile.
    pub(super) fn samples_together(&self) -> usize {
        if self.separate { 1 } else { self.samples }
    }

    /// Bytes of a row of a strip or tile.
    pub(super) fn row_length(&self) -> usize {
        (self.chunk.0 as usize * self.samples_together() * usize::from(self.bits)).div_ceil(8)
    }

    /// Strips or tiles beside each other, and rows of them.
    pub(super) fn grid(&self) -> (usize, usize) {
        let across = self.width.div_ceil(self.chunk.0);
        (across as usize, self.height.div_ceil(self.chunk.1) as usize)
    }

    fn check(&self) -> Result<(), Cause> {
        if self.width == 0 || self.height == 0 {
            return Ok(());
        }
        if self.chunk.0 == 0 || self.chunk.1 == 0 {
            return Err(broken("its strips or tiles have no pixels"));
        }
        let row = u64::from(self.chunk.0) * self.samples_together() as u64 * u64::from(self.bits);
        let bytes = (row / 8).checked_mul(self.chunk.1.into());
        if bytes.is_none_or(|bytes| bytes > memory_limit(self.width, self.height)) {
            return Err(broken("its tiles are far larger than the picture"));
        }
        match (self.predictor, &self.meaning, self.bits) {
            (1, ..) => Ok(()),
            (2, _, 8 | 16 | 32) => Ok(()),
            (predictor, ..) => Err(unsupported(format!(
                "predictor {predictor} with {} bits a sample",
                self.bits
            ))),
        }
    }
}

fn compression(code: u64) -> Result<Compression, Cause> {
    Ok(match code {
        1 => Compression::Raw,
        2 => Compression::FaxRows,
        3 => Compression::Fax3,
        4 => Compression::Fax4,
        5 => Compression::Lzw,
        6 => Compression::OldJpeg,
        7 => Compression::Jpeg,
        8 | 32_946 => Compression::Deflate,
        32_773 => Compression::PackBits,
        34_925 => return Err(unsupported("LZMA compression")),
        50_000 => return Err(unsupported("Zstandard compression")),
        50_001 => return Err(unsupported("WebP compression")),
        other => return Err(unsupported(format!("compression {other}"))),
    })
}

/// One number for all samples; a file may give one for each, or too many.
fn bits(all: &[u64], samples: usize) -> Result<u8, Cause> {
    let used = all.get(..samples.min(all.len())).unwrap_or_default();
    match used {
        [] => Ok(1),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            if used.len() != samples && used.len() != 1 {
                return Err(broken(format!(
                    "{} numbers of bits for {samples} samples",
                    used.len()
                )));
            }
            u8::try_from(*first).map_err(|_| unsupported(format!("a sample of {first} bits")))
        }
        _ => Err(unsupported("a pixel with samples of different bits")),
    }
}

fn meaning(
    (photometric, format, bits): (u64, u64, u8),
    colours: usize,
    premultiplied: bool,
    map: &[u64],
    (compression, separate): (Compression, bool),
) -> Result<Meaning, Cause> {
    let jpeg = match compression {
        Compression::Jpeg => !separate,
        Compression::OldJpeg => true,
        _ => false,
    };
    Ok(match (photometric, format, bits) {
        (0 | 1, 1, 1 | 2 | 4 | 8) => Meaning::Grey {
            white_is_zero: photometric == 0,
        },
        (1, 2, 8) => Meaning::Grey {
            white_is_zero: false,
        },
        (6, 1, 8) if colours == 1 => Meaning::Grey {
            white_is_zero: false,
        },
        (1, 1, 12 | 32) | (0 | 1, 1, 16) => Meaning::Deep(Numbers::Unsigned),
        (1, 2, 16 | 32) => Meaning::Deep(Numbers::Signed),
        (0 | 1, 3, 32) => Meaning::Deep(Numbers::Float),
        (2, 1, 8 | 16) => Meaning::Rgb { premultiplied },
        (3, 1, 1 | 2 | 4 | 8) => Meaning::Palette(palette(map, bits)?),
        (5, 1, 8 | 16) => Meaning::Cmyk,
        (6, 1, 8) if jpeg => Meaning::YCbCr,
        (6, ..) => return Err(unsupported("YCbCr that is not JPEG")),
        (8, ..) => return Err(unsupported("the colour space CIE L*a*b*")),
        _ => {
            return Err(unsupported(format!(
                "photometric interpretation {photometric} with numbers of kind {format} and \
                 {bits} bits"
            )));
        }
    })
}

/// Red, green and blue of each index, the high bytes of what the file says.
fn palette(map: &[u64], bits: u8) -> Result<Vec<[u8; 3]>, Cause> {
    let count = map.len() / 3;
    if count == 0 || count > 256 {
        return Err(broken(format!(
            "the colour map has {} numbers, not {}",
            map.len(),
            3 << bits
        )));
    }
    let (reds, rest) = map.split_at(count);
    let (greens, blues) = rest.split_at(count);
    let colours = reds.iter().zip(greens).zip(blues);
    let high = |level: &u64| (level >> 8).min(255) as u8;
    Ok(colours
        .map(|((red, green), blue)| [high(red), high(green), high(blue)])
        .collect())
}
