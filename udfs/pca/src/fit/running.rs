//! How many fits are running, for whoever shows what a query is doing.

use std::sync::atomic::{AtomicU64, Ordering};

static RUNNING: AtomicU64 = AtomicU64::new(0);

/// Fits of this process whose rows are there and whose components are being computed.
#[must_use]
pub fn fits_running() -> u64 {
    RUNNING.load(Ordering::Relaxed)
}

/// A fit, until it is dropped.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}
