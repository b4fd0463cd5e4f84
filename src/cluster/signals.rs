//! What tells a process of a cluster to stop.

/// Returns when Ctrl-C is pressed, or when the system asks the process to end.
pub(super) async fn told_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // There is no such signal to wait for.
        std::future::pending::<()>().await;
    }
}
