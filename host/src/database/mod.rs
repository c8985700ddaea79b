//! What differs between the databases, behind three traits: [`Database`] describes, [`Snapshot`] reads,
//! [`Target`] writes.

mod digests;
mod error;
mod location;
pub mod postgres;
mod sql;
pub mod sqlite;
mod types;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use digests::buckets_of;
pub use error::{DatabaseError, Unrepresentable};
pub use location::{Location, LocationError};
pub use sql::{quote, value_expression};
pub use types::{
    CheckedStatement, ChunkCounts, Decision, LedgerEntry, Loaded, Read, Reject, StagedConflict,
    TableLoad,
};

use crate::bindings::database::{RowCount, TableSummary};
use crate::bindings::types::{Dialect, TableSchema};
use crate::rows::RowBlock;

/// A database that a tenant may use.
///
/// Names of system tables and of Tombolo's own never appear, and asking for them is [`DatabaseError::NotFound`].
#[async_trait]
pub trait Database: Send + Sync {
    /// Its language.
    fn dialect(&self) -> Dialect;

    /// A digest of where it is: equal for the same database, telling nothing about it.
    fn identity(&self) -> String;

    /// All tables and views, sorted by name.
    async fn tables(&self) -> Result<Vec<TableSummary>, DatabaseError>;

    /// One table; [`DatabaseError::View`] for a view.
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError>;

    /// Which of these types, named as the database prints them, somebody made here and columns can have.
    async fn known_types(&self, _types: &[String]) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }

    /// The columns of a table that a run made wide enough for every value of their source.
    async fn widened(&self, _table: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(Vec::new())
    }

    /// How many rows a table has: exact where that takes less than 200 ms, else estimated.
    async fn count(&self, table: &str) -> Result<RowCount, DatabaseError>;

    /// One consistent view of all tables. Nothing is written anywhere in the source.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError>;

    /// A connection that writes.
    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError>;

    /// Rows that runs rejected here, oldest first, at most `limit`. Nothing is written; a database that never was a
    /// target has none.
    async fn rejects(&self, limit: u32) -> Result<Vec<Reject>, DatabaseError>;

    /// Removes all that Tombolo keeps in a target, and says what that was. Unfinished runs cannot be continued then, and
    /// rejected rows are lost.
    async fn clean(&self) -> Result<Vec<String>, DatabaseError>;
}

/// One consistent, read-only view of a database; dropped, it lets go of the database.
///
/// Several tables may be read at a time; where the database cannot do that, one waits for the other. A read that is
/// dropped before its end leaves the view as it is.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// One table as it is in this view, without its computed columns.
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError>;

    /// Sends rows of a table that [`Self::describe`] gave, in canonical cells. Waits while the receiver is slow, and ends
    /// early without an error when it is gone.
    async fn read(
        &self,
        read: Read<'_>,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError>;
}

/// A connection that takes rows in, chunk by chunk, each chunk one transaction.
///
/// The order of calls: `prepare` once; for each table `ledger_entry`, `begin_table`, then for each chunk
/// `stage` (often), `conflicts` and `settle` for row-by-row plans, `commit_chunk`; at the end `finish_table`.
/// After any error the chunk under way has to be given up with `rollback`.
#[async_trait]
pub trait Target: Send {
    /// Makes what Tombolo keeps in a target: the ledger, the rejects and the origins of columns.
    async fn prepare(&mut self) -> Result<(), DatabaseError>;

    /// How far a run is with a table; none: it never began.
    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError>;

    /// Makes ready for one table: the table itself where the run makes it, its row in the ledger (both in one
    /// transaction, so that a run never finds a table of its own that it does not know), its staging, its numbering.
    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError>;

    /// Says which of the sender's snapshots the rows come from that are staged from now on.
    fn read_from(&mut self, snapshot: &str);

    /// Adds a block to the chunk under way; the first block begins its transaction. A row that no column can hold is a
    /// reject from here on. [`DatabaseError::NeedsStaging`]: what is under way has to be loaded again, without
    /// [`TableLoad::directly`].
    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError>;

    /// The next page, at most `limit`, of the chunk's rows that exist in the table with another image, ended early at 1 MiB
    /// of cells; an empty page is the last one. Each row is shown once, and none may be staged behind the first page.
    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError>;

    /// Settles rows that [`Self::conflicts`] showed, each once: those that keep the local image leave the chunk and count as
    /// skipped. Rows of the page behind may have been asked for meanwhile.
    async fn resolve(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError>;

    /// Applies the staged rows, looks whether they are stored as they should be, keeps the rejects, advances the ledger,
    /// and commits all of that together.
    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError>;

    /// Gives up the chunk under way; harmless without one.
    async fn rollback(&mut self) -> Result<(), DatabaseError>;

    /// Runs the statements behind the data, sets the numbering behind the greatest key, and marks the table as complete in
    /// the ledger.
    async fn finish_table(&mut self, after: &[CheckedStatement]) -> Result<Loaded, DatabaseError>;

    /// Keeps in the ledger that the rows of a complete table were read back as they were sent, so that a run that goes on
    /// need not do it again.
    async fn read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError>;
}

/// Opens what a location names. `create`: a missing SQLite file is made; a PostgreSQL database never is.
pub async fn open(location: &Location, create: bool) -> Result<Box<dyn Database>, DatabaseError> {
    match location {
        Location::Sqlite(path) => Ok(Box::new(sqlite::SqliteDatabase::open(path, create).await?)),
        Location::Postgres(url) => Ok(Box::new(postgres::PostgresDatabase::open(url).await?)),
    }
}
