//! What a run works with.

use tokio::sync::watch;

use super::observer::RunObserver;
use super::peer::PeerRows;
use crate::bindings::types::Failure;
use crate::database::Database;
use crate::failure::{ErrorCode, failure};
use crate::sandbox::ConflictStrategies;

/// What a run works with; all tables of the run share it.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// The database that rows are written to or compared with.
    pub target: &'a dyn Database,
    /// The other site.
    pub peer: &'a dyn PeerRows,
    /// The components of the role `conflicts`, in the order in which they are asked.
    pub strategies: &'a [ConflictStrategies],
    /// Who follows the run.
    pub events: &'a dyn RunObserver,
    /// Becomes true when the run is cancelled.
    pub cancelled: &'a watch::Receiver<bool>,
}

impl RunContext<'_> {
    /// Fails with `cancelled` if the run is cancelled.
    pub(super) fn check_cancelled(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(failure(
                ErrorCode::Cancelled,
                "the pull was cancelled",
                "what is committed is complete; pull again for the rest",
            ));
        }
        Ok(())
    }

    /// Waits until the run is cancelled; for ever if nobody can cancel it any more.
    pub(super) async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending().await
        }
    }
}
