//! The requested end of the process.

use std::future::{Future, pending};
use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that SIGTERM and SIGINT cancel, and the task that does so, which lasts as long as the process. Must be called within
/// a tokio runtime.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn on_signal() -> io::Result<(CancellationToken, impl Future<Output = ()> + Send + 'static)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let task = async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!("{name}: stopping");
        cancelled.cancel();
        pending().await
    };
    Ok((token, task))
}
