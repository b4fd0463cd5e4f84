//! Tar archives: a header before each member, and no directory.

use std::io::{Read, Seek, SeekFrom};

use chrono::{DateTime, Utc};

use super::index::{Index, Member, Packing};

/// What members are padded to.
const BLOCK: u64 = 512;

/// Lists the archive of `size` bytes in one pass.
pub(super) fn list(reader: impl Read + Seek, size: u64) -> Result<Index, String> {
    let damaged = |e: std::io::Error| format!("it is no whole tar: {e}");
    let mut archive = tar::Archive::new(reader);
    let mut index = Index::default();
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let content_end = entry.raw_file_position().saturating_add(entry.size());
        if content_end > size {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(format!(
                "it is cut off: '{name}' ends at byte {content_end} of {size}"
            ));
        }
        end = content_end.next_multiple_of(BLOCK);
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_contiguous() && !kind.is_gnu_sparse() {
            continue;
        }
        let name = entry.path_bytes();
        // The oldest archives have no other mark of a folder.
        if name.ends_with(b"/") {
            continue;
        }
        let name = match std::str::from_utf8(&name) {
            // Its content is not in one piece.
            Ok(name) if kind.is_gnu_sparse() => {
                index.leave_out(name);
                continue;
            }
            Ok(name) => name,
            Err(_) => {
                index.leave_out(&String::from_utf8_lossy(&name));
                continue;
            }
        };
        let seconds = entry.header().mtime().map_err(damaged)?;
        let seconds = i64::try_from(seconds).unwrap_or_default();
        let (start, size) = (entry.raw_file_position(), entry.size());
        let member = Member {
            name: Box::default(),
            modified: DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default(),
            size,
            span: start..start.saturating_add(size),
            packing: Packing::Plain,
        };
        index.add(name, member)?;
    }
    // Two blocks of zeros end a tar. Without them it may have been cut off between two members.
    let mut reader = archive.into_inner();
    let mut block = [0; BLOCK as usize];
    reader.seek(SeekFrom::Start(end)).map_err(damaged)?;
    index.has_no_end = reader.read_exact(&mut block).is_err();
    Ok(index.finish())
}
