//! The part that all services share: the log, the signal to stop, and where Redis is.

use std::io::stderr;

/// The URL of the server: `REDIS_URL`, or the local server.
pub fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned())
}

/// Writes the log to the standard error, which leaves the standard output to results. `LOG` is the
/// level, `info` by default.
pub fn log() {
    let level = std::env::var("LOG").ok().and_then(|level| level.parse().ok());
    let log = tracing_subscriber::fmt().with_max_level(level.unwrap_or(tracing::Level::INFO));
    log.with_ansi(false).with_writer(stderr).init();
}

/// Returns when the process gets SIGTERM or SIGINT.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(error) => tracing::error!("SIGTERM is not handled: {error}"),
    }
    tracing::info!("stopping");
}
