//! The directories of a TIFF, classic or Big, and of EXIF, which is one.

use std::collections::HashSet;

/// Most directories that are counted, and most entries of one.
const MOST: usize = 10_000;

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn number(self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self {
            Self::Little => bytes.iter().rev().fold(0, add),
            Self::Big => bytes.iter().fold(0, add),
        }
    }

    pub(super) fn short(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn long(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// Where the values of a tag are.
struct Entry<'a> {
    tag: u16,
    size: usize,
    values: &'a [u8],
}

/// A directory: numbers by their tags.
pub(in super::super) struct Directory<'a> {
    pub(super) order: ByteOrder,
    entries: Vec<Entry<'a>>,
}

/// A file, or the part of one that offsets count from.
#[derive(Clone, Copy)]
struct File<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    big: bool,
}

impl<'a> File<'a> {
    fn number(self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        Some(self.order.number(bytes))
    }

    fn place(self, at: usize, size: usize) -> Option<usize> {
        usize::try_from(self.number(at, size)?).ok()
    }

    /// The header, and where the first directory is.
    fn open(bytes: &'a [u8]) -> Option<(Self, usize)> {
        // Pillow reads those whose second half is the wrong way round, too.
        let (order, big) = match bytes.get(..4)? {
            b"II\x2A\0" | b"II\0\x2A" => (ByteOrder::Little, false),
            b"MM\0\x2A" | b"MM\x2A\0" => (ByteOrder::Big, false),
            b"II\x2B\0" => (ByteOrder::Little, true),
            b"MM\0\x2B" => (ByteOrder::Big, true),
            _ => return None,
        };
        let file = Self { bytes, order, big };
        let first = if big {
            file.place(8, 8)?
        } else {
            file.place(4, 4)?
        };
        Some((file, first))
    }

    /// Bytes of the number of entries, of an entry, and of an offset.
    fn sizes(self) -> (usize, usize, usize) {
        if self.big { (8, 20, 8) } else { (2, 12, 4) }
    }

    fn entry(self, at: usize) -> Option<Entry<'a>> {
        let (_, _, offset) = self.sizes();
        let tag = self.number(at, 2)? as u16;
        let size = match self.number(at + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => return None,
        };
        let count = self.place(at + 4, offset)?;
        let length = count.checked_mul(size)?;
        let here = at + 4 + offset;
        let from = if length <= offset {
            here
        } else {
            self.place(here, offset)?
        };
        // Values that the file does not have are as if the tag were not there.
        let values = self.bytes.get(from..from.checked_add(length)?)?;
        Some(Entry { tag, size, values })
    }

    fn entries(self, at: usize) -> Option<impl Iterator<Item = usize>> {
        let (count, entry, _) = self.sizes();
        let entries = self.place(at, count)?.min(MOST);
        let first = at + count;
        Some((0..entries).map(move |index| first + index * entry))
    }

    fn next(self, at: usize) -> Option<usize> {
        let (count, entry, offset) = self.sizes();
        let entries = self.place(at, count)?;
        let end = at
            .checked_add(count)?
            .checked_add(entries.checked_mul(entry)?)?;
        self.place(end, offset).filter(|next| *next != 0)
    }
}

impl<'a> Directory<'a> {
    /// The first directory of a file.
    pub(in super::super) fn first(bytes: &'a [u8]) -> Option<Self> {
        let (file, at) = File::open(bytes)?;
        let entries = file.entries(at)?;
        Some(Self {
            order: file.order,
            entries: entries.filter_map(|at| file.entry(at)).collect(),
        })
    }

    /// The numbers of a tag; none if it is not there.
    pub(in super::super) fn numbers(&self, tag: u16) -> Vec<u64> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag);
        let values = entry.map(|entry| entry.values.chunks_exact(entry.size));
        let values = values.into_iter().flatten();
        values.map(|value| self.order.number(value)).collect()
    }

    /// The first number of a tag.
    pub(in super::super) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).first().copied()
    }

    /// The bytes of a tag.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag)?;
        Some(entry.values)
    }
}

/// How many pictures a file has. Directories that lead back to one before are not counted twice.
pub(super) fn count(bytes: &[u8]) -> u32 {
    let mut seen = HashSet::new();
    let Some((file, first)) = File::open(bytes) else {
        return 0;
    };
    let mut next = Some(first);
    while let Some(at) = next.filter(|_| seen.len() < MOST) {
        if file.entries(at).is_none() || !seen.insert(at) {
            break;
        }
        next = file.next(at);
    }
    seen.len() as u32
}
