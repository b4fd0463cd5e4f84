//! What the image functions of this process have done so far.
//!
//! A scalar function has no place in its plan for metrics, so these are counted for the process;
//! the difference of two snapshots is what was done between them.

use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A snapshot of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Images decoded, and for a network resized.
    pub decoded: u64,
    /// Images that could not be decoded.
    pub undecodable: u64,
    /// Images that have gone through a network.
    pub inferred: u64,
    /// Time of calls spent decoding, and for a network resizing. Calls that run at the same time add up.
    pub decode_time: Duration,
    /// Time of calls spent in networks, waiting for the compute pool included.
    pub inference_time: Duration,
}

impl Counters {
    const NONE: Self = Self {
        decoded: 0,
        undecodable: 0,
        inferred: 0,
        decode_time: Duration::ZERO,
        inference_time: Duration::ZERO,
    };
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            decoded: self.decoded.saturating_sub(before.decoded),
            undecodable: self.undecodable.saturating_sub(before.undecodable),
            inferred: self.inferred.saturating_sub(before.inferred),
            decode_time: self.decode_time.saturating_sub(before.decode_time),
            inference_time: self.inference_time.saturating_sub(before.inference_time),
        }
    }
}

thread_local! {
    static OF_THIS_THREAD: Cell<Counters> = const { Cell::new(Counters::NONE) };
}

static LOADING: AtomicU64 = AtomicU64::new(0);
static DECODED: AtomicU64 = AtomicU64::new(0);
static UNDECODABLE: AtomicU64 = AtomicU64::new(0);
static INFERRED: AtomicU64 = AtomicU64::new(0);
static DECODE_NANOS: AtomicU64 = AtomicU64::new(0);
static INFERENCE_NANOS: AtomicU64 = AtomicU64::new(0);

/// The counters at this moment.
pub fn current() -> Counters {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Counters {
        decoded: value(&DECODED),
        undecodable: value(&UNDECODABLE),
        inferred: value(&INFERRED),
        decode_time: Duration::from_nanos(value(&DECODE_NANOS)),
        inference_time: Duration::from_nanos(value(&INFERENCE_NANOS)),
    }
}

/// Networks that are being loaded at this moment.
pub fn loading() -> u64 {
    LOADING.load(Ordering::Relaxed)
}

/// Counts a network that is being loaded until it is dropped.
pub(crate) struct Loading(());

impl Loading {
    pub(crate) fn begin() -> Self {
        LOADING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What calls on the calling thread have done: how an operator tells what its own functions did,
/// which are called on the thread that polls it.
pub fn of_this_thread() -> Counters {
    OF_THIS_THREAD.get()
}

pub(crate) fn add_decoded(decoded: usize, undecodable: usize, time: Duration) {
    DECODED.fetch_add(decoded as u64, Ordering::Relaxed);
    UNDECODABLE.fetch_add(undecodable as u64, Ordering::Relaxed);
    DECODE_NANOS.fetch_add(nanos(time), Ordering::Relaxed);
    let mut here = OF_THIS_THREAD.get();
    here.decoded += decoded as u64;
    here.undecodable += undecodable as u64;
    here.decode_time += time;
    OF_THIS_THREAD.set(here);
}

pub(crate) fn add_inferred(images: usize, time: Duration) {
    INFERRED.fetch_add(images as u64, Ordering::Relaxed);
    INFERENCE_NANOS.fetch_add(nanos(time), Ordering::Relaxed);
    let mut here = OF_THIS_THREAD.get();
    here.inferred += images as u64;
    here.inference_time += time;
    OF_THIS_THREAD.set(here);
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
