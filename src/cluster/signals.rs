//! What tells a process of a cluster to stop.

/// What is returned ends when Ctrl-C is pressed, or the system asks the process to end; it listens from now on.
#[cfg(unix)]
pub(super) fn told_to_stop() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    let signals = [SignalKind::interrupt(), SignalKind::terminate()];
    let [interrupt, terminate] = signals.map(|kind| signal(kind).ok());
    let first = async |signal: Option<Signal>| match signal {
        Some(mut signal) => signal.recv().await,
        // There is no such signal to wait for.
        None => std::future::pending().await,
    };
    async move {
        tokio::select! {
            _ = first(interrupt) => {}
            _ = first(terminate) => {}
        }
    }
}

/// Ends when Ctrl-C is pressed.
#[cfg(not(unix))]
pub(super) async fn told_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        // There is no such signal to wait for.
        std::future::pending::<()>().await;
    }
}
