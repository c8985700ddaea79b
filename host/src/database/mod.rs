//! What differs between the databases, behind three traits: [`Database`] describes, [`Snapshot`] reads,
//! [`Target`] writes.

mod error;
mod location;
pub mod postgres;
mod sql;
pub mod sqlite;
mod types;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use error::{DatabaseError, Misfit};
pub use location::{Location, LocationError};
pub use sql::{quote, value_expression};
pub use types::{CheckedStatement, ChunkCounts, Decision, StagedConflict, TableLoad};

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

    /// How many rows a table has: exact where that takes less than 200 ms, else estimated.
    async fn count(&self, table: &str) -> Result<RowCount, DatabaseError>;

    /// One consistent view of all tables. Nothing is written anywhere in the source.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError>;

    /// A connection that writes.
    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError>;
}

/// One consistent, read-only view of a database; dropped, it lets go of the database.
#[async_trait]
pub trait Snapshot: Send {
    /// One table as it is in this view, without its computed columns.
    async fn describe(&mut self, table: &str) -> Result<TableSchema, DatabaseError>;

    /// Sends all rows of a table that [`Self::describe`] gave, in key order where it has one, in canonical cells.
    /// Waits while the receiver is slow, and ends early without an error when it is gone.
    async fn read(
        &mut self,
        table: &TableSchema,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError>;
}

/// A connection that takes rows in, chunk by chunk, each chunk one transaction.
///
/// The order of calls: `prepare` once; for each table `create` where it is missing, `begin_table`, then for each chunk
/// `stage` (often), `conflicts` and `settle` for row-by-row plans, `commit_chunk`; at the end `finish_table`.
/// After any error the chunk under way has to be given up with `rollback`.
#[async_trait]
pub trait Target: Send {
    /// Makes what Tombolo keeps in a target: the ledger and the origins of columns.
    async fn prepare(&mut self) -> Result<(), DatabaseError>;

    /// Runs statements in one transaction and keeps the origins of the table's columns with it.
    async fn create(
        &mut self,
        statements: &[CheckedStatement],
        table: &TableSchema,
    ) -> Result<(), DatabaseError>;

    /// Makes ready for one table: its staging, its row in the ledger, its numbering.
    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError>;

    /// Adds a block to the chunk under way; the first block begins its transaction.
    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError>;

    /// Up to `limit` staged rows behind the position `after` that exist in the table with another image, in staging
    /// order, stopping early at 1 MiB of cells.
    async fn conflicts(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError>;

    /// Settles staged rows one by one: rows that keep the local image leave the chunk and count as skipped.
    async fn settle(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError>;

    /// Applies the staged rows, advances the ledger, and commits both together.
    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError>;

    /// Gives up the chunk under way; harmless without one.
    async fn rollback(&mut self) -> Result<(), DatabaseError>;

    /// Marks the table as complete in the ledger and sets its numbering behind the greatest key.
    async fn finish_table(&mut self) -> Result<(), DatabaseError>;
}

/// Opens what a location names. `create`: a missing SQLite file is made; a PostgreSQL database never is.
pub async fn open(location: &Location, create: bool) -> Result<Box<dyn Database>, DatabaseError> {
    match location {
        Location::Sqlite(path) => Ok(Box::new(sqlite::SqliteDatabase::open(path, create).await?)),
        Location::Postgres(url) => Ok(Box::new(postgres::PostgresDatabase::open(url).await?)),
    }
}
