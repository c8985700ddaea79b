//! One table between its begin and its finish.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::executor::block_on;

use super::table_state::TableState;
use crate::database::sqlite::connection::{TargetConnection, transaction};
use crate::database::sqlite::meta::ledger;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, LedgerEntry, Resolution, StagedConflict, Step,
    TableWriter, WriteOutcome,
};
use crate::rows::RowBlock;

/// Writes one table.
///
/// Each call runs to its end on a thread that may block, even if its caller drops it. The result of a dropped call is
/// lost: the chunk has to be rolled back, as after an error.
pub struct SqliteTableWriter<'t> {
    connection: &'t mut TargetConnection,
    run: String,
    table: String,
    state: SharedState,
    /// The snapshot that the next block comes from, where that is new.
    snapshot: Option<String>,
    /// Whether a call failed or was dropped since the chunk began.
    broken: bool,
}

/// The table's state, which a dropped call keeps until it ends. Only one call at a time has the connection, and with it the
/// state.
#[derive(Clone)]
struct SharedState(Arc<Mutex<TableState>>);

impl SharedState {
    /// A call that panicked leaves a broken chunk, as one that failed does.
    fn lock(&self) -> MutexGuard<'_, TableState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'t> SqliteTableWriter<'t> {
    /// Writes a table that was begun.
    pub fn new(
        connection: &'t mut TargetConnection,
        run: String,
        table: String,
        state: TableState,
    ) -> Self {
        Self {
            connection,
            run,
            table,
            state: SharedState(Arc::new(Mutex::new(state))),
            snapshot: None,
            broken: false,
        }
    }

    /// Works on the chunk under way. Fails with `Unsuitable` if it has to be rolled back first.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&RawConnection<'_>, &mut TableState) -> Result<T, DatabaseError>
        + Send
        + 'static,
    ) -> Result<T, DatabaseError> {
        // It stays true if the caller drops this call.
        if mem::replace(&mut self.broken, true) {
            return Err(DatabaseError::Unsuitable {
                table: self.table.clone(),
                reason: "the chunk under way is incomplete, because a call failed or was dropped; roll it back".to_owned(),
            });
        }
        let state = self.state.clone();
        let done = self
            .connection
            .continue_with(move |connection| {
                let connection = RawConnection::lock_blocking(connection)?;
                work(&connection, &mut state.lock())
            })
            .await;
        self.broken = done.is_err();
        done
    }

    /// Works on the chunk under way, which has to be rolled back if the table does not take all rows directly.
    async fn step<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&RawConnection<'_>, &mut TableState) -> Result<Step<T>, DatabaseError>
        + Send
        + 'static,
    ) -> Result<Step<T>, DatabaseError> {
        let step = self.work(work).await?;
        self.broken = matches!(step, Step::NeedsStaging);
        Ok(step)
    }
}

#[async_trait]
impl TableWriter for SqliteTableWriter<'_> {
    fn read_from(&mut self, snapshot: &str) {
        self.snapshot = Some(snapshot.to_owned());
    }

    async fn ledger_entry(&mut self) -> Result<Option<LedgerEntry>, DatabaseError> {
        let (run, table) = (self.run.clone(), self.table.clone());
        self.connection
            .continue_with(move |connection| block_on(ledger::entry(connection, &run, &table)))
            .await
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<Step<()>, DatabaseError> {
        let (block, snapshot) = (block.clone(), self.snapshot.clone());
        let step = self
            .step(move |connection, state| {
                if let Some(snapshot) = snapshot {
                    state.read_from(&snapshot);
                }
                state.stage(connection, &block)
            })
            .await?;
        self.snapshot = None;
        Ok(step)
    }

    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError> {
        self.work(move |connection, state| state.conflicts(connection, limit))
            .await
    }

    async fn resolve(&mut self, resolutions: Vec<(u64, Resolution)>) -> Result<(), DatabaseError> {
        self.work(move |connection, state| state.resolve(connection, &resolutions))
            .await
    }

    async fn commit(&mut self) -> Result<Step<ChunkCounts>, DatabaseError> {
        self.step(|connection, state| state.commit(connection))
            .await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        let state = self.state.clone();
        self.connection
            .begin_with(move |_| {
                state.lock().forget_chunk();
                Ok(())
            })
            .await?;
        self.broken = false;
        Ok(())
    }

    async fn keep_sample(&mut self) -> Result<(), DatabaseError> {
        let state = self.state.clone();
        self.connection
            .begin_with(move |connection| {
                transaction(connection, |connection| {
                    state
                        .lock()
                        .keep_sample(&RawConnection::lock_blocking(connection)?)
                })
            })
            .await
    }

    async fn discard_new_table(self: Box<Self>) -> Result<(), DatabaseError> {
        let state = self.state.clone();
        self.connection
            .begin_with(move |connection| {
                transaction(connection, |connection| {
                    state
                        .lock()
                        .discard_new_table(&RawConnection::lock_blocking(connection)?)
                })
            })
            .await
    }

    async fn finish(
        self: Box<Self>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, DatabaseError> {
        let (state, after) = (self.state.clone(), after.to_vec());
        self.connection
            .begin_with(move |connection| {
                let mut state = state.lock();
                state.forget_chunk();
                state.finish(connection, &after)
            })
            .await
    }
}
