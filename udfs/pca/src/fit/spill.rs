//! Rows on disk.
//!
//! A segment is a temporary file of whole rows, written once. DataFusion's [`DiskManager`] makes it,
//! so that the folders and the quota of the session apply, and removes it with the last reference:
//! when the aggregate is done, has failed, or was cancelled.
//!
//! Partial aggregates of one process pass segments on without reading them. What travels in the
//! state is a ticket: a random number that this process knows the segments by for as long as the
//! Arrow buffer that holds it lives.

use crate::error::{PcaError, Result};
use crate::value::Value;
use arrow::buffer::{Buffer, MutableBuffer};
use bytes::Bytes;
use datafusion_common::DataFusionError;
use datafusion_execution::SpillFile;
use datafusion_execution::disk_manager::{DiskManager, DiskManagerBuilder};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Where rows go that do not fit in memory: the temporary files of a session, or the system's.
#[derive(Clone)]
pub(crate) struct Disk(Option<Arc<DiskManager>>);

impl Disk {
    pub(crate) fn new(manager: Arc<DiskManager>) -> Self {
        Self(Some(manager))
    }

    /// Writes buffers of whole rows, `rows` in all, to a file.
    pub(crate) fn write(&self, buffers: Vec<Buffer>, rows: usize) -> Result<Segment> {
        let Some(manager) = &self.0 else {
            return Err(PcaError::Spill("there is no temporary folder".to_string()));
        };
        let file = manager.create_tmp_file("spilling the rows of pca_fit")?;
        let mut writer = file.open_writer()?;
        for buffer in buffers {
            writer.write_all(buffer.as_slice())?;
        }
        writer.flush()?;
        writer.finish()?;
        Ok(Segment { file, rows })
    }
}

impl Default for Disk {
    fn default() -> Self {
        static SYSTEM: LazyLock<Option<Arc<DiskManager>>> =
            LazyLock::new(|| DiskManagerBuilder::default().build().ok().map(Arc::new));
        Self(SYSTEM.clone())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// A file of whole rows.
pub(crate) struct Segment {
    file: Arc<dyn SpillFile>,
    rows: usize,
}

impl Segment {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Calls `f` with all rows, of `width` values each, at most `most` at a time.
    pub(crate) fn for_each_block<T: Value>(
        &self,
        width: usize,
        most: usize,
        f: &mut dyn FnMut(&[T]) -> Result<()>,
    ) -> Result<()> {
        let path = self.file.path().ok_or_else(|| {
            PcaError::Spill("the disk manager of this session keeps no local files".to_string())
        })?;
        let mut file = File::open(path)?;
        let row_bytes = width * size_of::<T>();
        let mut buffer = MutableBuffer::from_len_zeroed(most.min(self.rows) * row_bytes);
        let mut left = self.rows;
        while left > 0 {
            let rows = left.min(most.max(1));
            buffer.resize(rows * row_bytes, 0);
            file.read_exact(buffer.as_slice_mut())?;
            f(buffer.typed_data())?;
            left -= rows;
        }
        Ok(())
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl From<std::io::Error> for PcaError {
    fn from(error: std::io::Error) -> Self {
        Self::Spill(error.to_string())
    }
}

impl From<DataFusionError> for PcaError {
    fn from(error: DataFusionError) -> Self {
        Self::Spill(error.strip_backtrace())
    }
}

/// Bytes of a ticket. Longer than Arrow stores in a view, so that it has a buffer of its own.
const TICKET_BYTES: usize = 32;

type Number = [u8; TICKET_BYTES];
type Segments = [Arc<Segment>];

/// Tickets that have been issued and whose buffers are alive.
static ISSUED: LazyLock<Mutex<HashMap<Number, Weak<Segments>>>> = LazyLock::new(Mutex::default);

/// The memory of a ticket; dropping it drops the segments.
struct Ticket {
    number: Number,
    _segments: Arc<Segments>,
}

impl AsRef<[u8]> for Ticket {
    fn as_ref(&self) -> &[u8] {
        &self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut issued = ISSUED.lock().unwrap_or_else(PoisonError::into_inner);
        issued.remove(&self.number);
    }
}

/// Lets go of segments in exchange for a ticket, which keeps them as long as its memory lives.
pub(crate) fn issue_ticket(segments: Vec<Arc<Segment>>) -> Buffer {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut number = [0; TICKET_BYTES];
    for chunk in number.chunks_exact_mut(8) {
        // A hasher's random seed: no two processes share numbers.
        let random = RandomState::new().hash_one(count);
        chunk.copy_from_slice(&random.to_le_bytes());
    }
    let segments: Arc<Segments> = segments.into();
    let mut issued = ISSUED.lock().unwrap_or_else(PoisonError::into_inner);
    issued.insert(number, Arc::downgrade(&segments));
    drop(issued);
    Buffer::from(Bytes::from_owner(Ticket {
        number,
        _segments: segments,
    }))
}

/// The segments of a ticket that this process has issued.
pub(crate) fn redeem_ticket(ticket: &[u8]) -> Result<Vec<Arc<Segment>>> {
    let number: Number = ticket
        .try_into()
        .map_err(|_| PcaError::State(format!("a ticket of {} bytes", ticket.len())))?;
    let issued = ISSUED.lock().unwrap_or_else(PoisonError::into_inner);
    match issued.get(&number).and_then(Weak::upgrade) {
        Some(segments) => Ok(segments.to_vec()),
        None => Err(PcaError::SpilledElsewhere),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(values: &[f64], rows: usize) -> Segment {
        let buffers = vec![Buffer::from_slice_ref(values)];
        Disk::default().write(buffers, rows).unwrap()
    }

    #[test]
    fn rows_come_back_in_blocks() {
        let segment = segment(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        let mut blocks = vec![];
        segment
            .for_each_block::<f64>(2, 2, &mut |block| {
                blocks.push(block.to_vec());
                Ok(())
            })
            .unwrap();
        assert_eq!(blocks, [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0]]);
        assert_eq!(segment.rows(), 3);
    }

    #[test]
    fn a_ticket_keeps_the_file_and_dropping_it_removes_the_file() {
        let segment = Arc::new(segment(&[1.0, 2.0], 1));
        let path = segment.file.path().unwrap().to_path_buf();
        let ticket = issue_ticket(vec![segment]);
        assert!(path.exists());
        let copy = ticket.to_vec();
        let redeemed = redeem_ticket(&copy).unwrap();
        drop(ticket);
        assert!(path.exists());
        assert!(matches!(
            redeem_ticket(&copy),
            Err(PcaError::SpilledElsewhere)
        ));
        drop(redeemed);
        assert!(!path.exists());
    }

    #[test]
    fn a_quota_is_kept() {
        let manager = DiskManagerBuilder::default()
            .with_max_temp_directory_size(10)
            .build()
            .unwrap();
        let manager = Arc::new(manager);
        let buffers = vec![Buffer::from_slice_ref([1.0_f64, 2.0])];
        let error = Disk::new(Arc::clone(&manager))
            .write(buffers, 1)
            .unwrap_err();
        assert!(
            error.to_string().contains("max_temp_directory_size"),
            "{error}"
        );
        assert_eq!(manager.used_disk_space(), 0);
    }
}
