//! Databases behind traits: [`Database`] describes, [`Snapshot`] reads, [`Target`] and [`TableWriter`] write.

mod bookkeeping;
mod digests;
mod error;
mod location;
mod logical;
mod model;
mod origin;
mod plan;
pub mod postgres;
mod rejected_parents;
mod sql;
pub mod sqlite;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

pub(crate) use bookkeeping::{
    Bookkeeping, Changed, DirectFacts, LedgerRow, RejectedRow, RowFacts, Verification, is_direct,
};
pub use digests::buckets_of;
pub use error::{DatabaseError, Unrepresentable};
pub use location::{FileMode, Location, LocationError};
pub(crate) use logical::OVER;
pub use logical::logical_of;
pub use model::{
    CheckedStatement, ChunkCounts, Evidence, LedgerEntry, LoadMode, LoginView, Omission,
    OmissionReason, Read, Readback, Reject, Resolution, StagedConflict, Step, TableWrite,
    WholeTable, WholeTables, WriteOutcome, without_computed,
};
pub use origin::Origin;
pub use plan::{CheckedPlan, CheckedUpdate, NewValue, PlanAction, PlanColumn, PlanError};
pub use rejected_parents::{ParentKey, RejectedParents, Relative, descendants};
pub use sql::{quote, value_expression};

use crate::bindings::database::{RowCount, TableSummary};
use crate::bindings::types::{Dialect, TableFacts, TableSchema};
use crate::rows::RowBlock;

/// How long the facts of several tables are looked at.
const FACTS_TIME: Duration = Duration::from_millis(800);

/// A database that a tenant may use.
///
/// System tables and Tombolo's own tables are never listed; describing one fails with [`DatabaseError::NotFound`].
#[async_trait]
pub trait Database: Send + Sync {
    /// Returns its dialect of SQL.
    fn dialect(&self) -> Dialect;

    /// Returns a digest of its address: equal for the same database, and telling nothing about it.
    fn identity(&self) -> String;

    /// Returns a digest of what it is, whatever its address: equal for the same file, and for the same schema of the same
    /// running server.
    async fn fingerprint(&self) -> Result<String, DatabaseError>;

    /// Returns all tables and views that may be read, sorted by name.
    async fn tables(&self) -> Result<Vec<TableSummary>, DatabaseError>;

    /// Returns the tables that [`Self::tables`] leaves out, and those of which rows are left out, sorted by name.
    async fn omissions(&self) -> Result<Vec<Omission>, DatabaseError>;

    /// Returns the schemas whose tables [`Database::tables`] does not list, with their numbers of tables, sorted by name.
    async fn tables_elsewhere(&self) -> Result<Vec<(String, u64)>, DatabaseError> {
        Ok(Vec::new())
    }

    /// Describes one table. Fails with [`DatabaseError::View`] for a view.
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError>;

    /// Describes tables as [`Self::describe`] does, each name once, in the same order. Fails as a whole only where no table
    /// can be described.
    async fn describe_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<TableSchema, DatabaseError>>, DatabaseError> {
        let mut described = Vec::with_capacity(tables.len());
        for table in tables {
            described.push(self.describe(table).await);
        }
        Ok(described)
    }

    /// Counts the rows of tables as [`Self::count`] does, each name once, in the same order.
    async fn count_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<RowCount, DatabaseError>>, DatabaseError> {
        let mut counted = Vec::with_capacity(tables.len());
        for table in tables {
            counted.push(self.count(table).await);
        }
        Ok(counted)
    }

    /// Returns what is known of a table beside its schema; none while a large table is still being looked at. Takes about
    /// 1 s at most.
    async fn facts(&self, table: &str) -> Result<Option<TableFacts>, DatabaseError>;

    /// Returns [`Self::facts`] of the first tables, at least one; ends when about 1 s is over.
    async fn facts_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<Option<TableFacts>, DatabaseError>>, DatabaseError> {
        let until = Instant::now() + FACTS_TIME;
        let mut facts = Vec::with_capacity(tables.len());
        for table in tables {
            facts.push(self.facts(table).await);
            if Instant::now() >= until {
                break;
            }
        }
        Ok(facts)
    }

    /// Returns those of `types`, named as the database prints them, that are user-defined in this database.
    async fn known_types(&self, _types: &[String]) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }

    /// Checks that rows can be written into a table that exists. Fails with [`DatabaseError::Unsuitable`] if only the
    /// application of the database can write it.
    async fn check_target(&self, _table: &str) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Returns the columns of a table that a run created wide enough for every value of their source.
    async fn widened(&self, _table: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }

    /// Returns the number of rows of a table: exact if counting takes less than 200 ms, else estimated.
    async fn count(&self, table: &str) -> Result<RowCount, DatabaseError>;

    /// Opens one consistent view of all tables. Nothing is written in the database.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError>;

    /// Returns how many connections may write at a time.
    fn writers(&self) -> usize;

    /// Opens a connection that writes.
    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError>;

    /// Returns rejected rows, oldest first, at most `limit`. Nothing is written; a database that never was a target has
    /// none.
    async fn rejects(&self, limit: u32) -> Result<Vec<Reject>, DatabaseError>;

    /// Drops Tombolo's own tables and returns their names. Unfinished runs cannot be resumed then, and rejected rows are
    /// lost.
    async fn clean(&self) -> Result<Vec<String>, DatabaseError>;
}

/// One consistent, read-only view of a database, which ends when it is dropped.
///
/// Several tables may be read at a time; where the database cannot do that, reads wait for each other. A read that is
/// dropped before its end leaves the view as it is.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// Describes one table as it is in this view, without its computed columns.
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError>;

    /// Sends rows of a table that [`Self::describe`] returned, in canonical cells. Waits while the receiver is slow, and
    /// returns early without an error when the receiver is dropped.
    async fn read(
        &self,
        read: Read<'_>,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError>;
}

/// A connection that writes; it writes one table at a time.
#[async_trait]
pub trait Target: Send {
    /// Creates Tombolo's own tables where they are missing: the ledger, the rejects and the origins of columns.
    async fn prepare(&mut self) -> Result<(), DatabaseError>;

    /// Returns how far a run is with a table; none if it never began the table.
    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError>;

    /// Returns the kept rejects of a table, of all runs.
    async fn kept_rejects(&mut self, table: &str) -> Result<Vec<Reject>, DatabaseError>;

    /// Removes kept rejects of a table, each by its run and its number there.
    async fn forget_rejects(
        &mut self,
        table: &str,
        rows: &[(String, u64)],
    ) -> Result<(), DatabaseError>;

    /// Begins a table, or goes on with it: creates it where the run does, enters it in the ledger (both in one
    /// transaction, so that a run never finds a table of its own that it does not know), and creates its staging.
    /// A chunk that an earlier writer left under way is rolled back.
    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError>;

    /// Returns how far a run is with some tables, in the same order.
    async fn ledger_entries(
        &mut self,
        run: &str,
        tables: &[&str],
    ) -> Result<Vec<Option<LedgerEntry>>, DatabaseError> {
        let mut entries = Vec::with_capacity(tables.len());
        for table in tables {
            entries.push(self.ledger_entry(run, table).await?);
        }
        Ok(entries)
    }

    /// Creates and fills small tables, parents first, in one transaction. Rows are checked as they are stored. After an error
    /// nothing is written.
    async fn write_whole(&mut self, tables: &[WholeTable]) -> Result<WholeTables, DatabaseError> {
        Ok(WholeTables::OneByOne((0..tables.len()).collect()))
    }

    /// Notes in the ledger that a complete table was read and holds what was sent, so that a resumed run need not read it
    /// again.
    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError>;
}

/// One table between its begin and its finish. Its rows come chunk by chunk; each chunk is one transaction.
///
/// After an error or [`Step::NeedsStaging`], only [`Self::rollback`] is useful.
#[async_trait]
pub trait TableWriter: Send {
    /// Says which of the sender's snapshots the rows come from that are staged from now on.
    fn read_from(&mut self, snapshot: &str);

    /// Returns how far the run is with the table.
    async fn ledger_entry(&mut self) -> Result<Option<LedgerEntry>, DatabaseError>;

    /// Adds a block to the chunk under way; the first block begins the chunk. A row that no column can hold is a reject
    /// from here on.
    async fn stage(&mut self, block: &RowBlock) -> Result<Step<()>, DatabaseError>;

    /// Returns the next page, at most `limit`, of the chunk's rows that exist in the table with another image. A page ends
    /// early at 1 MiB of cells; an empty page is the last one, and the only one without a chunk. Each row is returned
    /// once. Nothing may be staged after the first page.
    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError>;

    /// Resolves rows that [`Self::conflicts`] returned, each once, by their positions: those that keep the local image
    /// leave the chunk and count as skipped. The next page may have been asked for meanwhile. Fails with
    /// [`DatabaseError::Unsuitable`] if a resolution cannot be carried out.
    async fn resolve(&mut self, resolutions: Vec<(u64, Resolution)>) -> Result<(), DatabaseError>;

    /// Applies the staged rows, checks how they are stored, keeps the rejects, advances the ledger, and commits all of it
    /// together. Returns zero counts without a chunk.
    async fn commit(&mut self) -> Result<Step<ChunkCounts>, DatabaseError>;

    /// Gives up the chunk under way; harmless without one.
    async fn rollback(&mut self) -> Result<(), DatabaseError>;

    /// Keeps some of the rows for which a chunk with too many rejects was rolled back, for people. Their numbers are greater
    /// than that of the last row that is committed.
    async fn keep_sample(&mut self) -> Result<(), DatabaseError>;

    /// Drops the table if the run made it and committed no row, as if the run had never begun it: another pull may make it with
    /// other columns. Does nothing else.
    async fn discard_new_table(self: Box<Self>) -> Result<(), DatabaseError>;

    /// Runs the statements that follow the data, moves the numbering past the greatest key, and marks the table as
    /// complete in the ledger. Gives up a chunk that is under way.
    async fn finish(
        self: Box<Self>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, DatabaseError>;
}

/// Opens the database at a location. With `create`, it is opened to be written, and a missing SQLite file is created; a
/// PostgreSQL database never is.
pub async fn open(location: &Location, create: bool) -> Result<Box<dyn Database>, DatabaseError> {
    open_view(location, create, LoginView::Whole).await
}

/// Opens the database as [`open`] does, and says what of tables with policies is read.
pub async fn open_view(
    location: &Location,
    create: bool,
    view: LoginView,
) -> Result<Box<dyn Database>, DatabaseError> {
    Ok(match location {
        Location::Sqlite(path) => Box::new(sqlite::SqliteDatabase::open(path, create).await?),
        Location::SqliteUrl(path, FileMode::Existing) => {
            // Whether it is there is found out first, so that it is not created.
            let create = create && path.exists();
            Box::new(sqlite::SqliteDatabase::open(path, create).await?)
        }
        Location::SqliteUrl(path, FileMode::ReadOnly) => {
            let database = sqlite::SqliteDatabase::open(path, false).await?;
            Box::new(database.read_only(create)?)
        }
        Location::Postgres(url) => {
            Box::new(postgres::PostgresDatabase::open_view(url, view).await?)
        }
    })
}
