//! The compute pool that every partition of every query shares.
//!
//! A query has as many partitions as cores, and each may ask for features at once. They all submit
//! their work here and wait, so the machine runs `featurize.threads` compute threads and not that
//! number squared.

use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// Pools kept alive at once. Sessions rarely disagree on `featurize.threads`.
const MOST_POOLS: usize = 4;

static POOLS: LazyLock<Mutex<Vec<Arc<ComputePool>>>> = LazyLock::new(Mutex::default);

/// Threads for decoding and inference.
#[derive(Debug)]
pub struct ComputePool {
    threads: ThreadPool,
    network_turn: Mutex<()>,
}

impl ComputePool {
    /// The shared pool of `threads` threads; 0 asks for one per core.
    ///
    /// # Errors
    ///
    /// A configuration error if the operating system refuses to start the threads.
    pub fn shared(threads: usize) -> Result<Arc<Self>> {
        let threads = match threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = pools.iter().position(|pool| pool.len() == threads) {
            let pool = pools.remove(index);
            pools.push(Arc::clone(&pool));
            return Ok(pool);
        }
        let pool = Arc::new(Self::try_new(threads)?);
        if pools.len() == MOST_POOLS {
            pools.remove(0);
        }
        pools.push(Arc::clone(&pool));
        Ok(pool)
    }

    fn try_new(threads: usize) -> Result<Self> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("featurize-{index}"))
            .build()
            .map_err(|error| {
                Error::Configuration(format!(
                    "cannot start a compute pool of featurize.threads = {threads} threads: {error}"
                ))
            })?;
        Ok(Self {
            threads,
            network_turn: Mutex::new(()),
        })
    }

    /// Number of threads.
    #[expect(clippy::len_without_is_empty, reason = "a pool is never empty")]
    pub fn len(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Runs `work` on the pool, where rayon's iterators use all its threads, and waits for it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(work)
    }

    /// Like [`run`](Self::run), one caller at a time: a micro-batch uses every thread by itself,
    /// and only one set of activations is alive however many partitions are waiting.
    pub(crate) fn run_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let _turn = self
            .network_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.run(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_shared_by_size() {
        let two = ComputePool::shared(2).unwrap();
        assert_eq!(two.len(), 2);
        assert!(Arc::ptr_eq(&two, &ComputePool::shared(2).unwrap()));
        assert_eq!(ComputePool::shared(3).unwrap().len(), 3);
        assert!(ComputePool::shared(0).unwrap().len() >= 1);
    }
}
