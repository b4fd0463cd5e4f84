//! The primary item of a file of the High Efficiency Image File Format and its properties (ISO/IEC
//! 14496-12, section 8.11, and 23008-12, section 6).

use super::super::boxes::{MOST_BOXES, boxes, is_cut};
use super::super::error::Cause;

/// Most items, references or parts of an item that are looked at.
const MOST: usize = 1000;

/// How luma and chroma were made of colours, in the numbers of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) matrix: u16,
    pub(super) full_range: bool,
}

/// The primary item.
#[derive(Debug)]
pub(super) struct Primary {
    /// Its bytes, a temporal unit of AV1.
    pub(super) data: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u8,
    pub(super) grey: bool,
    /// Whether another item is its alpha.
    pub(super) alpha: bool,
    /// As EXIF counts: 1 for as stored.
    pub(super) orientation: u8,
    pub(super) icc_profile: bool,
    /// Goes before what the frame says.
    pub(super) colour: Option<Coded>,
}

impl Primary {
    /// Reads the boxes of a file.
    ///
    /// # Errors
    /// If there is no primary item in AV1, or not all of it, or if it is of a kind that is not supported.
    pub(super) fn read(file: &[u8]) -> Result<Self, Cause> {
        // Of an animation, what comes after the picture may be missing; Pillow refuses that, too.
        if is_cut(file) {
            return Err(lacks("the end of the file"));
        }
        let meta = within(file, b"meta").and_then(|meta| meta.get(4..));
        let meta = meta.ok_or_else(|| lacks("its box of metadata"))?;
        let id = within(meta, b"pitm").and_then(|pitm| {
            let mut numbers = Numbers(pitm);
            let wide = numbers.version()? > 0;
            numbers.id(wide)
        });
        let id = id.ok_or_else(|| lacks("its primary item"))?;
        match kind(meta, id) {
            Some(b"av01") => {}
            Some(b"grid") => return Err(unsupported("a grid of tiles")),
            _ => return Err(unsupported("no primary item in AV1")),
        }
        let mut primary = Self {
            data: data(file, meta, id)?,
            width: 0,
            height: 0,
            bits: 8,
            grey: false,
            alpha: false,
            orientation: 1,
            icc_profile: false,
            colour: None,
        };
        primary.refer(meta, id)?;
        primary.describe(&properties(meta, id))?;
        Ok(primary)
    }

    /// Takes notice of what refers to the item: its alpha does.
    fn refer(&mut self, meta: &[u8], id: u32) -> Result<(), Cause> {
        let Some(references) = within(meta, b"iref") else {
            return Ok(());
        };
        let wide = references.first().is_some_and(|version| *version > 0);
        for (name, content) in boxes(references.get(4..).unwrap_or_default()).take(MOST_BOXES) {
            let mut numbers = Numbers(content);
            let (Some(from), Some(count)) = (numbers.id(wide), numbers.take(2)) else {
                continue;
            };
            if name == b"prem" && from == id {
                return Err(unsupported("colours multiplied by its alpha"));
            }
            let mut to = (0..count.min(MOST as u64)).map_while(|_| numbers.id(wide));
            if name == b"auxl" && to.any(|to| to == id) {
                let of_alpha = |(name, content): &(&[u8; 4], &[u8])| {
                    let text = content.get(4..).unwrap_or_default();
                    *name == b"auxC"
                        && (text.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                            || text.starts_with(b"urn:mpeg:hevc:2015:auxid:1"))
                };
                self.alpha |= properties(meta, from).iter().any(of_alpha);
            }
        }
        Ok(())
    }

    fn describe(&mut self, properties: &[(&[u8; 4], &[u8])]) -> Result<(), Cause> {
        let (mut angle, mut axis) = (0, None);
        for (name, content) in properties {
            match (*name, *content) {
                (b"ispe", [_, _, _, _, size @ ..]) => {
                    let mut numbers = Numbers(size);
                    self.width = numbers.id(true).unwrap_or(0);
                    self.height = numbers.id(true).unwrap_or(0);
                }
                // Version, profile and level, then flags.
                (b"av1C", [_, _, flags, ..]) => {
                    self.bits = match (flags & 0x40, flags & 0x20) {
                        (0, _) => 8,
                        (_, 0) => 10,
                        _ => 12,
                    };
                    self.grey = flags & 0x10 != 0;
                }
                (b"irot", [turns, ..]) => angle = turns & 3,
                (b"imir", [mirror, ..]) => axis = Some(mirror & 1),
                (b"clap", _) => return Err(unsupported("a part of its picture cut out")),
                (b"colr", [b'n', b'c', b'l', b'x', _, _, _, _, high, low, range, ..]) => {
                    self.colour = Some(Coded {
                        matrix: u16::from_be_bytes([*high, *low]),
                        full_range: range & 0x80 != 0,
                    });
                }
                (b"colr", [b'p', b'r', b'o', b'f', ..] | [b'r', b'I', b'C', b'C', ..]) => {
                    self.icc_profile = true;
                }
                _ => {}
            }
        }
        self.orientation = orientation(angle, axis);
        Ok(())
    }
}

fn lacks(what: &str) -> Cause {
    Cause::Truncated(format!("{what} is missing"))
}

pub(super) fn unsupported(what: &str) -> Cause {
    Cause::Corrupt(format!("it has {what}, which is not supported"))
}

/// The content of the first box of a name.
fn within<'a>(content: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut found = boxes(content).take(MOST_BOXES);
    found.find_map(|(of, content)| (of == name).then_some(content))
}

/// The type of an item.
fn kind(meta: &[u8], id: u32) -> Option<&[u8; 4]> {
    let information = within(meta, b"iinf")?;
    // Version, flags and a count, which is wider in later versions.
    let count = if information.first() == Some(&0) {
        2
    } else {
        4
    };
    let mut items = boxes(information.get(4 + count..)?).take(MOST_BOXES);
    items.find_map(|(_, item)| {
        let mut numbers = Numbers(item);
        let wide = numbers.version()? > 2;
        (numbers.id(wide)? == id).then_some(())?;
        numbers.take(2)?;
        numbers.0.first_chunk()
    })
}

/// The properties of an item, in their order.
fn properties(meta: &[u8], id: u32) -> Vec<(&[u8; 4], &[u8])> {
    let found = within(meta, b"iprp").and_then(|iprp| {
        let all: Vec<_> = boxes(within(iprp, b"ipco")?).take(MOST_BOXES).collect();
        let associations = within(iprp, b"ipma")?;
        let size = if associations.get(3)? & 1 == 1 { 2 } else { 1 };
        let mut numbers = Numbers(associations);
        let wide = numbers.version()? > 0;
        for _ in 0..numbers.id(true)?.min(MOST as u32) {
            let item = numbers.id(wide)?;
            // The highest bit says whether a reader has to know the property.
            let indices = (0..numbers.take(1)?)
                .map(|_| numbers.take(size).map(|n| n & !(0x80 << (8 * (size - 1)))));
            let indices: Option<Vec<u64>> = indices.collect();
            if item == id {
                let own = indices?.into_iter();
                let own =
                    own.filter_map(|index| all.get(usize::try_from(index).ok()?.checked_sub(1)?));
                return Some(own.copied().collect());
            }
        }
        None
    });
    found.unwrap_or_default()
}

/// The bytes of an item, wherever its parts lie.
fn data(file: &[u8], meta: &[u8], id: u32) -> Result<Vec<u8>, Cause> {
    let locations = within(meta, b"iloc").ok_or_else(|| lacks("the place of its primary item"))?;
    let parts = parts(locations, id).ok_or_else(|| lacks("the place of its primary item"))?;
    let mut data = Vec::new();
    for part in parts {
        let source = match part.method {
            0 => file,
            1 => within(meta, b"idat").unwrap_or_default(),
            _ => return Err(unsupported("items within items")),
        };
        let rest = usize::try_from(part.offset)
            .ok()
            .and_then(|at| source.get(at..));
        let rest = rest.ok_or_else(|| lacks("its primary item"))?;
        let length = match part.length {
            // To the end.
            0 => rest.len(),
            length => usize::try_from(length).unwrap_or(usize::MAX),
        };
        // Parts may lie over each other; all of an item is never more than the file.
        if data.len() + rest.len().min(length) > file.len() {
            return Err(Cause::Corrupt(
                "its primary item is longer than the file".to_owned(),
            ));
        }
        data.extend(
            rest.get(..length)
                .ok_or_else(|| lacks("the end of its primary item"))?,
        );
    }
    Ok(data)
}

struct Part {
    method: u64,
    offset: u64,
    length: u64,
}

/// Where the parts of an item lie.
fn parts(locations: &[u8], id: u32) -> Option<Vec<Part>> {
    let mut numbers = Numbers(locations);
    let version = numbers.version()?;
    let (sizes, more) = (numbers.take(1)?, numbers.take(1)?);
    let [offset_size, length_size, base_size] =
        [sizes >> 4, sizes & 15, more >> 4].map(|n| n as usize);
    let index_size = if version > 0 { more as usize & 15 } else { 0 };
    let wide = version > 1;
    for _ in 0..numbers.id(wide)?.min(MOST as u32) {
        let item = numbers.id(wide)?;
        let method = if version > 0 {
            numbers.take(2)? & 15
        } else {
            0
        };
        numbers.take(2)?;
        let base = numbers.take(base_size)?;
        let count = numbers.take(2)?.min(MOST as u64);
        let parts = (0..count).map(|_| {
            numbers.take(index_size)?;
            let offset = numbers.take(offset_size)?.checked_add(base)?;
            let length = numbers.take(length_size)?;
            Some(Part {
                method,
                offset,
                length,
            })
        });
        let parts: Option<Vec<Part>> = parts.collect();
        if item == id {
            return parts;
        }
    }
    None
}

/// Numbers one after the other, the highest byte first.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// Of up to eight bytes; none are a zero.
    fn take(&mut self, size: usize) -> Option<u64> {
        let (bytes, rest) = self.0.split_at_checked(size.min(8))?;
        self.0 = rest;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    /// Of two or four bytes.
    fn id(&mut self, wide: bool) -> Option<u32> {
        let number = self.take(if wide { 4 } else { 2 })?;
        u32::try_from(number).ok()
    }

    /// The version, with its flags passed over.
    fn version(&mut self) -> Option<u64> {
        Some(self.take(4)? >> 24)
    }
}

/// Quarter turns against the clock, then a mirror: upside down for axis 0, left to right for 1.
fn orientation(angle: u8, axis: Option<u8>) -> u8 {
    match (angle, axis) {
        (0, None) => 1,
        (1, None) => 8,
        (2, None) => 3,
        (_, None) => 6,
        (0, Some(1)) | (2, Some(0)) => 2,
        (0 | 2, _) => 4,
        (1, Some(0)) | (3, Some(1)) => 5,
        _ => 7,
    }
}
