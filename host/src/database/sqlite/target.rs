//! A connection that writes to a SQLite file.

use std::sync::Arc;

use async_trait::async_trait;
use futures::executor::block_on;
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use super::meta::{ledger, tables};
use super::raw::{self, RawConnection};
use super::write::table_state::TableState;
use super::write::table_writer::SqliteTableWriter;
use crate::database::{
    CheckedStatement, DatabaseError, LedgerEntry, TableWrite, TableWriter, Target,
};

/// A connection that writes.
///
/// Each call runs to its end on a thread that may block, even if its caller drops it; the next call waits for it.
pub(super) struct SqliteTarget {
    connection: Arc<Mutex<SqliteConnection>>,
    database: String,
}

impl SqliteTarget {
    pub(super) fn new(connection: SqliteConnection, database: String) -> Self {
        Self {
            connection: Arc::new(Mutex::new(connection)),
            database,
        }
    }

    /// Works with the connection, inside of the transaction that is open, if there is one.
    pub(super) async fn continue_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        raw::on_thread(connection, work).await
    }

    /// Works with the connection after it rolled back what a writer left under way.
    pub(super) async fn begin_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.continue_with(|connection| {
            let locked = RawConnection::lock_blocking(connection)?;
            // SQLite itself ends a transaction after some errors.
            if locked.in_transaction() {
                locked.execute("ROLLBACK", &[])?;
            }
            drop(locked);
            work(connection)
        })
        .await
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        self.begin_with(|connection| {
            transaction(connection, |connection| {
                block_on(tables::create(connection))
            })
        })
        .await
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        let (run, table) = (run.to_owned(), table.to_owned());
        self.begin_with(move |connection| block_on(ledger::entry(connection, &run, &table)))
            .await
    }

    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError> {
        let (run, table) = (write.run.clone(), write.incoming.table.clone());
        let database = self.database.clone();
        let state = self
            .begin_with(move |connection| TableState::begin(connection, &database, &write))
            .await?;
        Ok(Box::new(SqliteTableWriter::new(self, run, table, state)))
    }

    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        let (run, table) = (run.to_owned(), table.to_owned());
        self.begin_with(move |connection| {
            ledger::mark_read_back(&RawConnection::lock_blocking(connection)?, &run, &table)
        })
        .await
    }
}

/// Runs work in a transaction that writes, on a thread that may block. An error rolls it back.
pub(super) fn transaction<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    RawConnection::lock_blocking(connection)?.execute("BEGIN IMMEDIATE", &[])?;
    let done = work(connection);
    let locked = RawConnection::lock_blocking(connection)?;
    let done = done.and_then(|value| {
        locked.execute("COMMIT", &[])?;
        Ok(value)
    });
    if done.is_err() && locked.in_transaction() {
        // The first error says more than this one would.
        let _ = locked.execute("ROLLBACK", &[]);
    }
    done
}

/// Runs statements, on a thread that may block.
pub(super) fn run_all(
    connection: &mut SqliteConnection,
    statements: &[CheckedStatement],
) -> Result<(), DatabaseError> {
    for statement in statements {
        block_on(tables::execute(connection, statement.sql().to_owned()))?;
    }
    Ok(())
}
