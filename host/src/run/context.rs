//! What a run works with.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::observer::RunObserver;
use super::peer::{IncomingRows, PeerError, PeerRows, Wanted};
use super::quota::Quota;
use super::touched::TouchedTables;
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
    /// How much the run may receive.
    pub quota: &'a Arc<Quota>,
    /// The components of the role `conflicts`, in the order in which they are asked.
    pub strategies: &'a [ConflictStrategies],
    /// Who follows the run.
    pub events: &'a dyn RunObserver,
    /// What the triggers of its tables did to other tables.
    pub touched: &'a TouchedTables,
    /// Becomes true when the run is cancelled.
    pub cancelled: &'a watch::Receiver<bool>,
}

impl RunContext<'_> {
    /// Opens a stream of rows that counts to what the run may receive.
    pub(super) async fn rows(
        &self,
        table: &str,
        wanted: Wanted<'_>,
    ) -> Result<IncomingRows, PeerError> {
        Ok(self.peer.rows(table, wanted).await?.within(self.quota))
    }

    /// Returns digests as [`PeerRows::digest`] does, and counts their bytes to what the run may receive.
    pub(super) async fn digest(
        &self,
        table: &str,
        buckets: u32,
    ) -> Result<(Bytes, u64), PeerError> {
        let (digests, bytes) = self.peer.digest(table, buckets).await?;
        self.quota.take(0, bytes).map_err(PeerError::Exceeded)?;
        Ok((digests, bytes))
    }

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
