//! The signals that stop a command: Ctrl-C and SIGTERM.

use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

/// Receives the signals. From [`Signals::take`] on, they no longer end the process by themselves.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to receive signals. Fails with `internal` if the system does not allow it.
    pub fn take() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for a signal. Cancelling the wait loses none.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
        }
    }

    /// Does some work, and drops it at a signal. Fails with `cancelled` then.
    pub async fn or_signal<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            () = self.next() => Err(cancelled()),
        }
    }
}

/// The failure of a command that a signal ended before anything was written.
pub fn cancelled() -> Failure {
    failure(ErrorCode::Cancelled, "a signal ended the command", "")
}
