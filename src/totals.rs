//! What all queries of this process together have read and written.

use std::sync::atomic::{AtomicU64, Ordering};

static FILES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static RETRIES: AtomicU64 = AtomicU64::new(0);
static ROWS_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A snapshot.
#[cfg(feature = "cluster")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Objects that were read.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Requests that were repeated.
    pub(crate) retries: u64,
    /// Rows in files that were written.
    pub(crate) rows_written: u64,
}

#[cfg(feature = "cluster")]
impl Totals {
    pub(crate) fn current() -> Self {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            files: of(&FILES),
            bytes: of(&BYTES),
            retries: of(&RETRIES),
            rows_written: of(&ROWS_WRITTEN),
        }
    }
}

pub(crate) fn count_fetched(files: usize, bytes: usize, retries: usize) {
    FILES.fetch_add(files as u64, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    RETRIES.fetch_add(retries as u64, Ordering::Relaxed);
}

pub(crate) fn count_written(rows: u64) {
    ROWS_WRITTEN.fetch_add(rows, Ordering::Relaxed);
}
