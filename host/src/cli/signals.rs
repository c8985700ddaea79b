//! Ctrl-C and SIGTERM.

use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

/// The signals that ask the process to end. From its making on, they no longer end it by themselves.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to take them.
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

    /// Waits for one. Cancelling the wait loses nothing.
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

    /// Does some work, and gives it up at a signal.
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

/// What is said where a signal ended the work before anything was written.
pub fn cancelled() -> Failure {
    failure(ErrorCode::Cancelled, "ended by a signal", "")
}
