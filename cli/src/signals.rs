//! Ctrl-C and SIGTERM: the first asks for a drain, the second ends the process.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::say;

/// Exit code of a process that a signal ended: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that the first signal cancels.
pub(crate) fn stop_token() -> Result<CancellationToken, Failure> {
    let failed = |error| Failure::part("the signal handler", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let mut wait = async || {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
            }
        };
        wait().await;
        say::line("stopping: answering what is under way; once more to stop at once");
        asked.cancel();
        wait().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(token)
}
