//! Waiting for Rust without holding Python's lock, and ending what is waited for by its signals.

use std::pin::Pin;
use std::sync::{LazyLock, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::common::{DataFusionError, Result};
use datafusion_featurize::image::cancel::{self, CancelToken};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::errors::{ExecutionError, FeaturizeError, raised};

/// Between two looks at the signals.
const TICK: Duration = Duration::from_millis(100);

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("featurize")
        .build()
});

/// The process whose threads are those of the runtime.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// Does the work on the threads of the runtime. `tick` is called ten times a second meanwhile.
///
/// An interrupt (Ctrl-C, the button of a notebook) drops the work, tells what is being computed to stop,
/// and raises `KeyboardInterrupt`.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    work: impl Future<Output = Result<T>> + Send + 'static,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let runtime = runtime()?;
    let token = CancelToken::new();
    let mut task = runtime.spawn(Cancellable {
        token: token.clone(),
        work: Box::pin(work),
    });
    loop {
        let (waited, running) = py.detach(|| {
            let waited = runtime.block_on(async { timeout(TICK, &mut task).await });
            (waited, task)
        });
        task = running;
        match waited {
            Ok(Ok(result)) => return result.map_err(|e: DataFusionError| raised(&e)),
            Ok(Err(e)) => return Err(ExecutionError::new_err(format!("the statement has ended: {e}"))),
            Err(_) => {}
        }
        let go_on = py.check_signals().and_then(|()| tick(py));
        if let Err(e) = go_on {
            token.cancel();
            task.abort();
            return Err(e);
        }
    }
}

fn runtime() -> PyResult<&'static Runtime> {
    let process = std::process::id();
    if *PROCESS.get_or_init(|| process) != process {
        return Err(FeaturizeError::new_err(
            "this process was forked from one that uses datafusion_featurize, whose threads it has not got: \
             start processes with multiprocessing.get_context('spawn'), or connect in the child only",
        ));
    }
    RUNTIME.as_ref().map_err(|e| {
        FeaturizeError::new_err(format!("the threads of the runtime could not be started: {e}"))
    })
}

/// Lays a token under every thread that polls the work: functions of constants are computed while a
/// statement is planned, and see neither the task nor its end.
struct Cancellable<F> {
    token: CancelToken,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Cancellable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let token = self.token.clone();
        cancel::scope(&token, || self.work.as_mut().poll(context))
    }
}
