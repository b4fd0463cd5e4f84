//! The runtime of everything that waits for a network or a disk.
//!
//! Inference keeps the threads that run a query busy for seconds at a time. Requests that were
//! driven by the same threads would stall, and time out, in the meantime.

use std::sync::LazyLock;

use datafusion::common::{Result, exec_datafusion_err};
use tokio::runtime::{Builder, Handle, Runtime};

/// Driving requests is cheap; two threads saturate a network card.
const THREADS: usize = 2;

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("featurize-io")
        .enable_all()
        .build()
});

/// A handle on the process's I/O runtime.
///
/// # Errors
/// When the system refuses the threads.
pub(crate) fn handle() -> Result<Handle> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(e) => Err(exec_datafusion_err!(
            "could not start the {THREADS} threads of the I/O runtime: {e}"
        )),
    }
}
