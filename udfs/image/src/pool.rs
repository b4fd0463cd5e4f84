//! The compute pool that every partition of every query shares.
//!
//! A query has as many partitions as cores, and each may ask for features at once. They all submit
//! their work here and wait, so the machine runs `featurize.threads` compute threads and not that
//! number squared.
//!
//! # Memory
//!
//! Micro-batches are admitted a few at a time ([`Load`] tells how many), in order of arrival: two, and
//! one more for every four threads beyond eight. What networks hold is therefore bounded, whatever the
//! number of partitions and images:
//!
//! | | VGG16 | MobileNetV2 |
//! |---|---|---|
//! | packed weights, once a process | 239 MB | 9 MB |
//! | feature maps, for each micro-batch admitted | 57 MB | 2 MB |
//! | scratch memory, for each thread | 10 MB | 3 MB |
//! | decoded images and features of a call, each | 0.7 MB | 0.85 MB |
//!
//! A call holds at most a micro-batch of decoded images: four for each thread, and at least eight. At
//! most four models stay packed at once. `cargo bench --bench inference` prints the first two rows.

use std::num::NonZero;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use featurize_kernels::ComputePool as Threads;
pub use featurize_kernels::Load;

use crate::cancel::{self, CancelToken};
use crate::error::{Error, Result};

/// Pools kept alive at once. Sessions rarely disagree on `featurize.threads`.
const MOST_POOLS: usize = 4;

/// Most threads of a pool: far above any machine's cores, far below what exhausts one.
const MOST_THREADS: usize = 1024;

static POOLS: LazyLock<Mutex<Vec<Arc<ComputePool>>>> = LazyLock::new(Mutex::default);

/// Threads for decoding and inference.
#[derive(Debug)]
pub struct ComputePool {
    threads: Source,
    /// Whether someone runs alone.
    taken: Mutex<bool>,
    freed: Condvar,
}

#[derive(Debug)]
enum Source {
    /// One thread per core: the pool on which the kernels also pack their weights.
    Global(&'static Threads),
    Own(Threads),
}

impl ComputePool {
    /// The shared pool of `threads` threads; 0 asks for one per core.
    ///
    /// # Errors
    ///
    /// A configuration error if there are too many threads or the operating system refuses to
    /// start them.
    pub fn shared(threads: usize) -> Result<Arc<Self>> {
        if threads > MOST_THREADS {
            return Err(Error::Configuration(format!(
                "featurize.threads must be at most {MOST_THREADS} (0 for one per core), found \
                 {threads}"
            )));
        }
        let cores = available_parallelism().map_or(1, NonZero::get);
        let threads = if threads == 0 { cores } else { threads };
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = pools.iter().position(|pool| pool.threads() == threads) {
            let pool = pools.remove(index);
            pools.push(Arc::clone(&pool));
            return Ok(pool);
        }
        let source = if threads == cores {
            Threads::global().map(Source::Global)
        } else {
            Threads::new(threads).map(Source::Own)
        };
        let source = source.map_err(|error| {
            Error::Configuration(format!("featurize.threads = {threads}: {error}"))
        })?;
        let pool = Arc::new(Self {
            threads: source,
            taken: Mutex::default(),
            freed: Condvar::new(),
        });
        if pools.len() == MOST_POOLS {
            pools.remove(0);
        }
        pools.push(Arc::clone(&pool));
        Ok(pool)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.kernels().threads()
    }

    /// Micro-batches admitted so far, being computed and waiting.
    pub fn load(&self) -> Load {
        self.kernels().load()
    }

    /// The pool as the kernels know it. It admits micro-batches in order of arrival and bounds
    /// how many are alive at once.
    pub(crate) fn kernels(&self) -> &Threads {
        match &self.threads {
            Source::Global(threads) => threads,
            Source::Own(threads) => threads,
        }
    }

    /// Runs `work` on the pool, where rayon's iterators use all its threads, and waits for it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.kernels().install(work)
    }

    fn taken(&self) -> MutexGuard<'_, bool> {
        // A flag: no panic leaves it half written.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pool, and the token that tells it to stop working for this caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers<'a> {
    pub(crate) pool: &'a ComputePool,
    pub(crate) cancel: &'a CancelToken,
}

impl Workers<'_> {
    /// # Errors
    ///
    /// [`Error::Cancelled`].
    pub(crate) fn check(&self) -> Result<()> {
        self.cancel.check().map_err(|_| Error::Cancelled)
    }

    /// Runs Candle's own operations on the pool, one caller at a time: each uses every thread by
    /// itself, and only one set of activations is alive however many partitions wait.
    ///
    /// # Errors
    ///
    /// If cancelled while waiting; `work` has to look at the token itself.
    pub(crate) fn run_alone<T: Send>(
        &self,
        work: impl FnOnce() -> T + Send,
    ) -> candle_core::Result<T> {
        /// Lets the next caller in, after a panic too.
        struct Turn<'a>(&'a ComputePool);

        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                *self.0.taken() = false;
                self.0.freed.notify_one();
            }
        }

        let pool = self.pool;
        let mut taken = pool.taken();
        while *taken {
            self.check().map_err(candle_core::Error::wrap)?;
            let woken = pool.freed.wait_timeout(taken, cancel::POLL);
            taken = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        drop(taken);
        let _turn = Turn(pool);
        Ok(pool.run(work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_runs_alone_and_waiting_can_be_cancelled() {
        let pool = ComputePool::shared(2).unwrap();
        let (never, cancelled) = (CancelToken::new(), CancelToken::new());
        cancelled.cancel();
        let workers = |cancel| Workers {
            pool: &pool,
            cancel,
        };
        let outcome = workers(&never).run_alone(|| {
            // From a thread of its own, as a second partition would.
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| workers(&cancelled).run_alone(|| ()).is_err());
                waiting.join().unwrap()
            })
        });
        assert!(outcome.unwrap());
        assert!(workers(&never).run_alone(|| ()).is_ok());
    }

    #[test]
    fn pools_are_shared_by_size() {
        let two = ComputePool::shared(2).unwrap();
        assert_eq!(two.threads(), 2);
        assert!(Arc::ptr_eq(&two, &ComputePool::shared(2).unwrap()));
        assert_eq!(ComputePool::shared(3).unwrap().threads(), 3);
        let error = ComputePool::shared(1025).unwrap_err().to_string();
        assert!(
            error.contains("featurize.threads must be at most 1024"),
            "{error}"
        );
        let all = ComputePool::shared(0).unwrap();
        assert!(Arc::ptr_eq(
            &all,
            &ComputePool::shared(all.threads()).unwrap()
        ));
    }
}
