//! Counting the requests that an operation makes, and what they leave out.
//!
//! `object_store` sends a failed request again without a word. What it sends is counted where it
//! is sent, in a variable of the task that waits for it, because stores pass nothing else through.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    static REQUESTS: Arc<Requests>;
}

/// What was sent for one operation on a store; zero if the store was not made here.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    sent: AtomicUsize,
    failed: AtomicUsize,
    left_out: Mutex<BTreeSet<String>>,
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

    /// Warns of the names that the listing of `place` has left out, if there are any.
    pub(crate) fn warn_of_left_out(&self, place: &dyn Display) {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        warn(place, left_out.len(), left_out.first());
    }
}

/// Notes names that a listing leaves out because no query could read them, to be told where the
/// operation ends, or else at once.
pub(crate) fn leave_out(place: &dyn Display, names: &[String]) {
    let noted = REQUESTS.try_with(|requests| {
        let left_out = requests.left_out.lock();
        let mut left_out = left_out.unwrap_or_else(PoisonError::into_inner);
        left_out.extend(names.iter().cloned());
    });
    if noted.is_err() && is_news(place, names) {
        warn(place, names.len(), names.first());
    }
}

/// The most listings that are remembered to have been told of.
const MOST_TOLD: usize = 1000;

static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether this has not been told before: DataFusion lists a folder several times for one statement.
fn is_news(place: &dyn Display, names: &[String]) -> bool {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() >= MOST_TOLD {
        told.clear();
    }
    told.insert(format!("{place} {names:?}"))
}

/// Runs an operation that asks only whether there is anything: its requests are counted, but what it
/// leaves out is not told. Returns its result, and whether it left something out.
pub(crate) async fn apart<F: Future>(operation: F) -> (F::Output, bool) {
    let apart = Arc::<Requests>::default();
    let output = apart.of(operation).await;
    let _ = REQUESTS.try_with(|requests| {
        requests.sent.fetch_add(apart.sent(), Ordering::Relaxed);
        requests.failed.fetch_add(apart.failed(), Ordering::Relaxed);
    });
    let left_out = apart.left_out.lock();
    let left_out = !left_out.unwrap_or_else(PoisonError::into_inner).is_empty();
    (output, left_out)
}

fn warn(place: &dyn Display, count: usize, first: Option<&String>) {
    if let Some(first) = first {
        log::warn!(
            "{place}: {count} left out that cannot be read by name, the first is {first:?}; rename \
             what should be read"
        );
    }
}

/// Notes a request of the current task, if its operation counts them.
#[cfg(feature = "remote")]
pub(super) fn count_sent() {
    // Requests of other tasks, such as those of a Parquet scan, are nobody's.
    let _ = REQUESTS.try_with(|requests| requests.sent.fetch_add(1, Ordering::Relaxed));
}

/// Notes that a request of the current task failed and is worth another try.
#[cfg(feature = "remote")]
pub(super) fn count_failed() {
    let _ = REQUESTS.try_with(|requests| requests.failed.fetch_add(1, Ordering::Relaxed));
}
