//! Ctrl-C, and what `kill` sends.

use std::pin::pin;

use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion_featurize::image::cancel::{self, CancelToken};

/// Exit statuses of a program that a signal ended, as shells have them.
const INTERRUPTED: u8 = 130;
#[cfg(unix)]
const TERMINATED: u8 = 143;

/// Which signals end what is done.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Signals {
    /// Ctrl-C ends a statement.
    Interrupt,
    /// Either ends the program.
    InterruptAndTerminate,
}

/// Does the work unless `signal` ends it, of which the exit status is the error. What was in hand has been
/// dropped by then, and temporary files with it.
///
/// The signals are awaited on another thread: what is computed while a query is planned keeps the one of the
/// work, and learns by a token that it is to stop.
pub(crate) async fn interruptible<T>(
    signal: impl Future<Output = u8> + Send + 'static,
    work: impl Future<Output = Result<T>>,
) -> Result<Result<T>, u8> {
    let token = CancelToken::new();
    let _elsewhere = Elsewhere::set(&token);
    let stop = token.clone();
    let mut signalled = SpawnedTask::spawn(async move {
        let status = signal.await;
        stop.cancel();
        status
    });
    let mut work = pin!(work);
    let status = tokio::select! {
        biased;
        status = &mut signalled => status,
        result = &mut work => match result {
            Err(_) if token.is_cancelled() => signalled.await,
            result => return Ok(result),
        },
    };
    Err(status.unwrap_or(INTERRUPTED))
}

/// Lays a token under all threads, until it is dropped.
struct Elsewhere;

impl Elsewhere {
    fn set(token: &CancelToken) -> Self {
        cancel::set_elsewhere(Some(token.clone()));
        Self
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        cancel::set_elsewhere(None);
    }
}

/// Listens from now on, and gives the exit status of the first signal that comes.
#[cfg(unix)]
pub(crate) fn signal(signals: Signals) -> impl Future<Output = u8> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};

    let interrupt = signal(SignalKind::interrupt());
    // Whoever has listened once does not end by this signal any more.
    let terminate = (signals == Signals::InterruptAndTerminate)
        .then(|| signal(SignalKind::terminate()).ok())
        .flatten();
    let first = async |signal: Option<tokio::signal::unix::Signal>| match signal {
        Some(mut signal) => signal.recv().await,
        None => std::future::pending().await,
    };
    async move {
        tokio::select! {
            _ = first(interrupt.ok()) => INTERRUPTED,
            _ = first(terminate) => TERMINATED,
        }
    }
}

#[cfg(not(unix))]
pub(crate) async fn signal(_: Signals) -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPTED,
        // There is no such signal to wait for.
        Err(_) => std::future::pending().await,
    }
}
