//! Lets a database that implements [`OldTarget`] serve as a [`Target`], until it implements that itself.

use async_trait::async_trait;

use super::{
    CheckedPlan, CheckedStatement, ChunkCounts, DatabaseError, Evidence, LedgerEntry, LoadMode,
    Resolution, StagedConflict, Step, TableWrite, TableWriter, Target, WriteOutcome,
};
use crate::bindings::types::{ColumnChanges, Conversion, Stored, TableSchema};
use crate::rows::RowBlock;

pub(crate) type Decision = Resolution;

/// As [`TableWrite`].
#[derive(Clone, Debug)]
pub(crate) struct TableLoad {
    pub run: String,
    pub incoming: TableSchema,
    pub plan: CheckedPlan,
    pub create: Option<Vec<CheckedStatement>>,
    pub direct: bool,
    pub row_by_row: bool,
    pub reject_limit: u64,
    pub description: String,
    pub conversions: Vec<(String, Conversion)>,
    pub retry: bool,
}

impl TableLoad {
    /// What becomes of values that do not fit a column.
    pub(crate) fn conversion_of(&self, column: &str) -> Conversion {
        let mut named = self.conversions.iter();
        let own = named.find(|(name, _)| name == column);
        own.map_or(Conversion::Exact, |(_, policy)| policy.clone())
    }
}

impl From<TableWrite> for TableLoad {
    fn from(write: TableWrite) -> Self {
        Self {
            run: write.run,
            incoming: write.incoming,
            plan: write.plan,
            create: write.create,
            direct: write.mode == LoadMode::Direct,
            row_by_row: write.row_by_row,
            reject_limit: write.reject_limit,
            description: write.retry_context,
            conversions: write.conversions,
            retry: write.retry,
        }
    }
}

/// As [`WriteOutcome`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loaded {
    pub counts: ChunkCounts,
    pub snapshots: u32,
    pub stored: Stored,
    pub digest: Option<u128>,
    pub changed: Vec<ColumnChanges>,
}

impl From<Loaded> for WriteOutcome {
    fn from(loaded: Loaded) -> Self {
        Self {
            counts: loaded.counts,
            snapshots: loaded.snapshots,
            evidence: match loaded.digest {
                Some(digest) => Evidence::Direct {
                    digest: Some(digest),
                    readback: None,
                },
                None => Evidence::Known(loaded.stored),
            },
            changed: loaded.changed,
        }
    }
}

/// A connection that takes rows in: `prepare` once; for each table `ledger_entry`, `begin_table`, then for each chunk
/// `stage`, `conflicts` and `resolve` for row-by-row plans, `commit_chunk`; at the end `finish_table`.
#[async_trait]
pub(crate) trait OldTarget: Send {
    async fn prepare(&mut self) -> Result<(), DatabaseError>;
    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError>;
    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError>;
    fn read_from(&mut self, snapshot: &str);
    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError>;
    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError>;
    async fn resolve(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError>;
    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError>;
    async fn rollback(&mut self) -> Result<(), DatabaseError>;
    async fn finish_table(&mut self, after: &[CheckedStatement]) -> Result<Loaded, DatabaseError>;
    async fn read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError>;
}

/// An [`OldTarget`] as a [`Target`].
pub(crate) struct Adapted<T>(pub T);

struct AdaptedWriter<'a, T> {
    target: &'a mut T,
    run: String,
    table: String,
}

fn step<T>(result: Result<T, DatabaseError>) -> Result<Step<T>, DatabaseError> {
    match result {
        Ok(done) => Ok(Step::Done(done)),
        Err(DatabaseError::NeedsStaging { .. }) => Ok(Step::NeedsStaging),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl<T: OldTarget> Target for Adapted<T> {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        self.0.prepare().await
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        self.0.ledger_entry(run, table).await
    }

    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError> {
        self.0.rollback().await?;
        let (run, table) = (write.run.clone(), write.incoming.table.clone());
        self.0.begin_table(write.into()).await?;
        Ok(Box::new(AdaptedWriter {
            target: &mut self.0,
            run,
            table,
        }))
    }

    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        self.0.read_back(run, table).await
    }
}

#[async_trait]
impl<T: OldTarget> TableWriter for AdaptedWriter<'_, T> {
    fn read_from(&mut self, snapshot: &str) {
        self.target.read_from(snapshot);
    }

    async fn ledger_entry(&mut self) -> Result<Option<LedgerEntry>, DatabaseError> {
        self.target.ledger_entry(&self.run, &self.table).await
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<Step<()>, DatabaseError> {
        step(self.target.stage(block).await)
    }

    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError> {
        self.target.conflicts(limit).await
    }

    async fn resolve(&mut self, resolutions: Vec<(u64, Resolution)>) -> Result<(), DatabaseError> {
        self.target.resolve(resolutions).await
    }

    async fn commit(&mut self) -> Result<Step<ChunkCounts>, DatabaseError> {
        step(self.target.commit_chunk().await)
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.target.rollback().await
    }

    async fn finish(
        self: Box<Self>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, DatabaseError> {
        self.target.rollback().await?;
        Ok(self.target.finish_table(after).await?.into())
    }
}
