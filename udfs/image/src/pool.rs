//! The compute pool that every partition of every query shares.
//!
//! A query has as many partitions as cores, and each may ask for features at once. They all submit
//! their work here and wait, so the machine runs `featurize.threads` compute threads and not that
//! number squared.

use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

use featurize_kernels::ComputePool as Threads;

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
    turn: Mutex<()>,
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
            turn: Mutex::new(()),
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

    /// Like [`run`](Self::run) for Candle's own operations, one caller at a time: each uses every
    /// thread by itself, and only one set of activations is alive however many partitions wait.
    pub(crate) fn run_alone<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.run(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
