//! Zip archives: the directory at their end, and members behind a header of their own.
//!
//! The format is that of PKWARE's APPNOTE.TXT.

use std::io::{Read, Seek};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use rawzip::time::ZipDateTimeKind;
use rawzip::{CompressionMethod, ZipArchive};

use super::index::{Index, Member, Packing};
use super::name;

/// An entry of the directory may have a name, extra fields and a comment of 64 KiB each.
const ENTRY: usize = 256 * 1024;

/// Bytes of a member's header before its name.
const HEADER: usize = 30;

/// Bytes that a name or the extra fields of a header can have.
const LONGEST_FIELD: u64 = u16::MAX as u64;

/// Lists the archive.
pub(super) fn list(reader: impl Read + Seek) -> Result<Index, String> {
    let mut buffer = vec![0; ENTRY];
    let archive = ZipArchive::from_seekable(reader, &mut buffer)
        .map_err(|e| format!("it is no whole zip: {e}"))?;
    let directory = archive.directory_offset();
    let mut index = Index::default();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries
        .next_entry()
        .map_err(|e| format!("its directory is damaged: {e}"))?
    {
        if entry.is_dir() || entry.mode().is_symlink() {
            continue;
        }
        let name = name::of_zip(entry.file_path().as_bytes());
        let start = entry.local_header_offset();
        let (compressed, method) = (entry.compressed_size_hint(), entry.compression_method());
        let longest = HEADER as u64 + 2 * LONGEST_FIELD;
        let member = Member {
            name: Box::default(),
            modified: time(&entry.last_modified()),
            size: entry.uncompressed_size_hint(),
            span: start..start.saturating_add(longest).saturating_add(compressed),
            packing: Packing::Zip {
                method: method.as_u16(),
                crc: entry.crc32(),
                compressed,
                is_encrypted: entry.flags().is_encrypted(),
            },
        };
        index.add(&name, member)?;
    }
    let mut index = index.finish();
    // How long a member's header is, only the header says; but the next member begins behind it.
    let mut end = directory;
    let mut next = directory;
    for member in index.members_mut().iter_mut().rev() {
        if member.span.start < next {
            (end, next) = (next, member.span.start);
        }
        member.span.end = member.span.end.min(end).max(member.span.start);
    }
    Ok(index)
}

/// When a member was written. Most zips tell the time on the clock of whoever made them, without its
/// zone: it is taken for UTC. What is no time is the beginning of 1980, the format's first.
fn time(time: &ZipDateTimeKind) -> DateTime<Utc> {
    let date = |year, month, day| NaiveDate::from_ymd_opt(i32::from(year), month, day);
    let told = date(time.year(), time.month().into(), time.day().into());
    let told = told.and_then(|date| {
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        date.and_hms_nano_opt(hour.into(), minute.into(), second.into(), time.nanosecond())
    });
    let first = || date(1980, 1, 1).and_then(|date| date.and_hms_opt(0, 0, 0));
    told.or_else(first).unwrap_or_default().and_utc()
}

/// Why a member that is declared like this cannot be read, whatever its bytes are.
pub(super) fn refused(member: &Member) -> Option<String> {
    let Packing::Zip {
        method,
        compressed,
        is_encrypted,
        ..
    } = member.packing
    else {
        return None;
    };
    if is_encrypted {
        return Some("it is encrypted; put it into an archive without a password".to_owned());
    }
    // Deflate adds five bytes to each block of 64 KiB that it cannot make smaller.
    let most = match CompressionMethod::from(method) {
        CompressionMethod::STORE => member.size,
        CompressionMethod::DEFLATE => member.size + member.size / 1000 + 1024,
        method => {
            return Some(format!(
                "it is compressed as {method:?}; stored and deflated members can be read: make the \
                 archive anew, for pictures with `zip -0 -r`"
            ));
        }
    };
    (compressed > most).then(|| {
        format!(
            "the archive declares {compressed} bytes for what is {} bytes long",
            member.size
        )
    })
}

/// The content of `member`, which [`refused`] lets pass, out of the bytes of its span.
pub(super) fn unpack(member: &Member, span: &Bytes) -> Result<Bytes, String> {
    let Packing::Zip {
        method,
        crc,
        compressed,
        ..
    } = member.packing
    else {
        return Ok(span.clone());
    };
    let packed =
        content(span, compressed).ok_or("its header is damaged, or the archive cut off")?;
    let content = match method == CompressionMethod::STORE.as_u16() {
        true => packed,
        false => inflate(&packed, member.size)?,
    };
    let mut found = Crc::new();
    found.update(&content);
    if content.len() as u64 != member.size || found.sum() != crc {
        return Err("its checksum is another than the archive declares: it is damaged".to_owned());
    }
    Ok(content)
}

/// What stands behind the header.
fn content(span: &Bytes, compressed: u64) -> Option<Bytes> {
    let header = span.get(..HEADER)?;
    if !header.starts_with(b"PK\x03\x04") {
        return None;
    }
    let field = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let start = HEADER + field(26) + field(28);
    let end = start.checked_add(usize::try_from(compressed).ok()?)?;
    (end <= span.len()).then(|| span.slice(start..end))
}

/// At most `size` bytes are made, whatever the data says.
fn inflate(packed: &[u8], size: u64) -> Result<Bytes, String> {
    let size = usize::try_from(size).map_err(|e| e.to_string())?;
    let mut content = Vec::new();
    let there_is_room = content.try_reserve_exact(size);
    there_is_room.map_err(|_| format!("there is no memory for its {size} bytes"))?;
    let mut inflate = Decompress::new(false);
    let status = inflate
        .decompress_vec(packed, &mut content, FlushDecompress::Finish)
        .map_err(|e| format!("it is damaged: {e}"))?;
    match status {
        Status::StreamEnd => Ok(content.into()),
        _ => Err(format!("it is damaged: it does not end after {size} bytes")),
    }
}
