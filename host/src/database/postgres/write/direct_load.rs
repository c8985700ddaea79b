//! Loads rows into the table itself: it is the run's own, and takes them as they are.

use std::sync::Arc;

use bytes::BytesMut;

use super::plan::TablePlan;
use super::readback::ReadbackTask;
use crate::database::postgres::server::Server;
use crate::database::{ChunkCounts, DatabaseError, Readback, Step};
use crate::rows::{BucketDigest, RowBlock};

/// Rows on their way into the table itself.
pub(super) struct DirectLoad {
    server: Arc<Server>,
    copy: String,
    /// The rows that this attempt sent and committed.
    sent: BucketDigest,
    /// The rows of the chunk under way.
    chunk: BucketDigest,
    /// Reads the rows that are committed.
    readback: Option<ReadbackTask>,
}

impl DirectLoad {
    /// Creates the load; nothing is sent yet.
    pub fn new(server: Arc<Server>, plan: &TablePlan) -> Self {
        Self {
            server,
            copy: plan.merge.copy_direct(),
            sent: BucketDigest::default(),
            chunk: BucketDigest::default(),
            readback: None,
        }
    }

    /// Returns the statement that copies rows.
    pub fn copy_statement(&self) -> &str {
        &self.copy
    }

    /// Encodes a block, and counts it to the chunk under way.
    pub fn encode(
        &mut self,
        plan: &TablePlan,
        block: &RowBlock,
    ) -> Result<Step<BytesMut>, DatabaseError> {
        match plan.encoder.encode_direct(block)? {
            Step::Done(encoded) => {
                self.chunk.add(encoded.digest);
                Ok(Step::Done(encoded.rows))
            }
            Step::NeedsStaging => Ok(Step::NeedsStaging),
        }
    }

    /// Returns what becomes of the chunk's rows: all of them are new.
    pub fn counts(&self) -> ChunkCounts {
        ChunkCounts {
            created: self.chunk.rows,
            ..ChunkCounts::default()
        }
    }

    /// Takes over the chunk that is committed; `received` rows of the run are in the table now.
    pub fn committed(&mut self, plan: &TablePlan, received: u64) {
        self.sent.add(std::mem::take(&mut self.chunk));
        // The digests of rows that an earlier attempt sent are not known.
        if self.sent.rows != received {
            return;
        }
        match &self.readback {
            Some(readback) => readback.go_on(),
            None => self.readback = Some(ReadbackTask::start(Arc::clone(&self.server), plan)),
        }
    }

    /// Forgets the chunk under way.
    pub fn rolled_back(&mut self) {
        self.chunk = BucketDigest::default();
    }

    /// Waits until all rows are read. Returns them as they were sent and found; none if they cannot be compared.
    pub async fn finish(self) -> Option<Readback> {
        let found = self.readback?.finish().await.ok()?;
        Some(Readback {
            sent: self.sent,
            found,
        })
    }
}
