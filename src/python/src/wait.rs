//! Waiting for Rust without holding Python's lock, and ending what is waited for by its signals.

use std::any::Any;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{LazyLock, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::common::Result;
use datafusion_featurize::image::cancel::{self, CancelToken};
use datafusion_featurize::sink::settled;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

use crate::errors::{ExecutionError, FeaturizeError, raised};
use crate::notices;

/// Between two looks at the signals.
const TICK: Duration = Duration::from_millis(100);

/// How long what was interrupted may take to clear away what it has begun; it goes on doing so after that.
const PATIENCE: Duration = Duration::from_millis(500);

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("featurize")
        .build()
});

/// The process whose threads are those of the runtime.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// Does the work on the threads of the runtime. `tick` is called ten times a second meanwhile, by this thread's own
/// clock: that of the runtime stands still while all of its threads compute.
///
/// An interrupt (Ctrl-C, the button of a notebook) drops the work, tells what is being computed to stop,
/// and raises `KeyboardInterrupt`.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    work: impl Future<Output = Result<T>> + Send + 'static,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    is_of_this_process()?;
    let runtime = RUNTIME.as_ref().map_err(|e| {
        FeaturizeError::new_err(format!(
            "the threads of the runtime could not be started: {e}"
        ))
    })?;
    let token = CancelToken::new();
    let (done, mut result) = channel();
    let work = Cancellable {
        token: token.clone(),
        work: Box::pin(work),
    };
    let task = runtime.spawn(async move {
        // Whoever was interrupted waits no more.
        let _ = done.send(work.await);
    });
    loop {
        let waited = py.detach(|| {
            let waited = result.recv_timeout(TICK);
            (waited, result)
        });
        result = waited.1;
        notices::pass_on(py);
        match waited.0 {
            Ok(result) => return result.map_err(|e| raised(&e)),
            Err(RecvTimeoutError::Disconnected) => {
                let ended = py.detach(|| runtime.block_on(task));
                return Err(fault(ended.err()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let go_on = py.check_signals().and_then(|()| tick(py));
        if let Err(e) = go_on {
            token.cancel();
            task.abort();
            let (done, cleared) = channel::<()>();
            runtime.spawn(async move {
                let _ = task.await;
                settled().await;
                drop(done);
            });
            let _ = py.detach(move || cleared.recv_timeout(PATIENCE));
            return Err(e);
        }
    }
}

/// Whether the threads of the runtime are of this process, as far as there are any yet.
///
/// # Errors
/// When the process was forked from one that has used this package: whatever it waited for would never come.
pub(crate) fn is_of_this_process() -> PyResult<()> {
    let process = std::process::id();
    if *PROCESS.get_or_init(|| process) == process {
        return Ok(());
    }
    Err(FeaturizeError::new_err(
        "this process was forked from one that uses datafusion_featurize, and has none of its threads: start \
         processes with multiprocessing.get_context('spawn'), or connect in the children only",
    ))
}

/// A panic, as an error that says what to do.
fn fault(error: Option<JoinError>) -> PyErr {
    let payload: Option<Box<dyn Any + Send>> = error.and_then(|error| error.try_into_panic().ok());
    let text = payload.and_then(|payload| match payload.downcast::<String>() {
        Ok(text) => Some(*text),
        Err(payload) => payload
            .downcast::<&str>()
            .ok()
            .map(|text| (*text).to_owned()),
    });
    let text = text.unwrap_or_else(|| "it was ended".to_owned());
    ExecutionError::new_err(format!(
        "the statement failed by a fault of datafusion_featurize, please report it: {text}"
    ))
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
