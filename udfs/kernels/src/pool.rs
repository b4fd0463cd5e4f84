//! Threads: one pool for every caller, and a token to stop early.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use crate::error::{KernelError, Result};

/// How often a caller that waits for its turn looks at its [`CancelToken`].
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// A request to stop, shared between the one who asks and the one who computes.
///
/// It is looked at between the tiles of a layer, every few milliseconds.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every computation that holds a clone of this token to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`KernelError::Cancelled`] once [`Self::cancel`] was called.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(KernelError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// The threads that compute.
///
/// All arithmetic runs on these threads and none on the caller's, so any number of callers (one
/// per partition of a query) share them without oversubscribing the machine. A caller hands in
/// one micro-batch at a time. A few micro-batches are admitted at once, in order of arrival: one
/// fills the other's idle moments at the end of a layer, nobody overtakes, and the memory of
/// activations does not grow with the number of callers.
pub struct ComputePool {
    threads: rayon::ThreadPool,
    gate: Gate,
}

impl ComputePool {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// [`KernelError::Setting`] if `threads` is zero or the system refuses to start them.
    pub fn new(threads: usize) -> Result<Self> {
        let fail = |reason| KernelError::Setting {
            setting: "threads",
            reason,
        };
        if threads == 0 {
            return Err(fail("must be at least 1, found 0".to_owned()));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("featurize-compute-{index}"))
            .build()
            .map_err(|error| fail(format!("cannot start {threads} threads: {error}")))?;
        Ok(Self {
            threads: pool,
            gate: Gate::new(threads.div_ceil(4).max(2)),
        })
    }

    /// The pool of the process: as many threads as cores are available to it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn global() -> Result<&'static Self> {
        static POOL: OnceLock<Result<ComputePool>> = OnceLock::new();
        POOL.get_or_init(|| Self::new(available_parallelism().map_or(1, usize::from)))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Micro-batches admitted so far, being computed and waiting.
    pub fn load(&self) -> Load {
        let state = self.gate.state();
        let waiting = state.waiting.len();
        Load {
            admitted: state.admitted,
            running: self.gate.places - state.free,
            waiting,
        }
    }

    /// Runs `micro_batch` on the pool once it is the caller's turn, and waits for it.
    pub(crate) fn run<T: Send>(
        &self,
        cancel: &CancelToken,
        micro_batch: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let _turn = self.gate.enter(cancel)?;
        self.threads.install(micro_batch)
    }

    /// Runs `work` on the pool without waiting for a turn: for work that holds no activations, such
    /// as loading weights or decoding images. Rayon's iterators use this pool inside.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(work)
    }
}

impl fmt::Debug for ComputePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputePool")
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

/// What a [`ComputePool`] has to do, in micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Begun since the pool was made.
    pub admitted: u64,
    /// Being computed.
    pub running: usize,
    /// Not begun yet, each with a caller that waits for it.
    pub waiting: usize,
}

/// Admits a few callers at a time, first come, first served.
#[derive(Debug)]
struct Gate {
    places: usize,
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug)]
struct GateState {
    free: usize,
    admitted: u64,
    next_ticket: u64,
    waiting: VecDeque<u64>,
}

impl Gate {
    fn new(places: usize) -> Self {
        Self {
            places,
            state: Mutex::new(GateState {
                free: places,
                admitted: 0,
                next_ticket: 0,
                waiting: VecDeque::new(),
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        // Every update is complete before the lock is released: a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, cancel: &CancelToken) -> Result<Turn<'_>> {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        loop {
            let cancelled = cancel.is_cancelled();
            if cancelled || (state.free > 0 && state.waiting.front() == Some(&ticket)) {
                state.waiting.retain(|&waiting| waiting != ticket);
                if !cancelled {
                    state.free -= 1;
                    state.admitted += 1;
                }
                drop(state);
                self.changed.notify_all();
                cancel.check()?;
                return Ok(Turn(self));
            }
            state = self
                .changed
                .wait_timeout(state, CANCEL_POLL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A place inside the gate, given back when dropped.
struct Turn<'a>(&'a Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().free += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn admits_in_order_and_never_more_than_its_places() {
        let gate = Gate::new(2);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = gate.enter(&CancelToken::new()).unwrap();
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(gate.state().free, 2);
        assert_eq!(gate.state().admitted, 8 * 50);
        assert!(gate.state().waiting.is_empty());
    }

    #[test]
    fn a_cancelled_caller_stops_waiting() {
        let gate = Gate::new(1);
        let cancel = CancelToken::new();
        let turn = gate.enter(&cancel).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(&cancel).map(drop));
            while gate.state().waiting.is_empty() {
                std::thread::yield_now();
            }
            cancel.cancel();
            assert_eq!(waiting.join().unwrap(), Err(KernelError::Cancelled));
        });
        drop(turn);
        assert!(gate.enter(&CancelToken::new()).is_ok());
    }

    #[test]
    fn zero_threads_are_an_error() {
        let error = ComputePool::new(0).unwrap_err();
        assert_eq!(error.to_string(), "threads: must be at least 1, found 0");
    }
}
