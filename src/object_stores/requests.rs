//! Counting the requests that an operation makes.
//!
//! `object_store` sends a failed request again without a word. What it sends is counted where it
//! is sent, in a variable of the task that waits for it, because stores pass nothing else through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

tokio::task_local! {
    static REQUESTS: Arc<Requests>;
}

/// What was sent for one operation on a store; zero if the store was not made here.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sent: AtomicUsize,
    failed: AtomicUsize,
}

impl Requests {
    /// Runs `operation` and counts what it sends through a store that was made here.
    pub(crate) async fn of<F: Future>(self: &Arc<Self>, operation: F) -> F::Output {
        REQUESTS.scope(Arc::clone(self), operation).await
    }

    /// Requests that were sent.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests that failed in a way that is worth another try.
    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Notes a request of the current task, if its operation counts them.
#[cfg(any(feature = "aws", feature = "gcp", feature = "http"))]
pub(super) fn count_sent() {
    // Requests of other tasks, such as those of a Parquet scan, are nobody's.
    let _ = REQUESTS.try_with(|requests| requests.sent.fetch_add(1, Ordering::Relaxed));
}

/// Notes that a request of the current task failed and is worth another try.
#[cfg(any(feature = "aws", feature = "gcp", feature = "http"))]
pub(super) fn count_failed() {
    let _ = REQUESTS.try_with(|requests| requests.failed.fetch_add(1, Ordering::Relaxed));
}
