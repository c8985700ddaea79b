//! A target: prepares a SQLite file, and begins its tables.

use async_trait::async_trait;
use futures::executor::block_on;
use sqlx::SqliteConnection;

use super::connection::{TargetConnection, transaction};
use super::meta::{ledger, rejects, tables};
use super::raw::RawConnection;
use super::write::table_state::TableState;
use super::write::table_writer::SqliteTableWriter;
use super::write::whole_tables;
use crate::database::{
    DatabaseError, LedgerEntry, Reject, TableWrite, TableWriter, Target, WholeTable, WholeTables,
};

/// A connection that writes, with the name of its database for messages.
pub(super) struct SqliteTarget {
    connection: TargetConnection,
    database: String,
}

impl SqliteTarget {
    pub(super) fn new(connection: SqliteConnection, database: String) -> Self {
        Self {
            connection: TargetConnection::new(connection),
            database,
        }
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        self.connection
            .begin_with(|connection| {
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
        self.connection
            .begin_with(move |connection| block_on(ledger::entry(connection, &run, &table)))
            .await
    }

    async fn kept_rejects(&mut self, table: &str) -> Result<Vec<Reject>, DatabaseError> {
        let table = table.to_owned();
        self.connection
            .begin_with(move |connection| block_on(rejects::of_table(connection, &table)))
            .await
    }

    async fn forget_rejects(
        &mut self,
        table: &str,
        rows: &[(String, u64)],
    ) -> Result<(), DatabaseError> {
        let (table, rows) = (table.to_owned(), rows.to_vec());
        self.connection
            .begin_with(move |connection| {
                transaction(connection, |connection| {
                    rejects::forget(&RawConnection::lock_blocking(connection)?, &table, &rows)
                })
            })
            .await
    }

    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError> {
        let (run, table) = (write.run.clone(), write.incoming.table.clone());
        let database = self.database.clone();
        let state = self
            .connection
            .begin_with(move |connection| TableState::begin(connection, &database, &write))
            .await?;
        Ok(Box::new(SqliteTableWriter::new(
            &mut self.connection,
            run,
            table,
            state,
        )))
    }

    async fn write_whole(&mut self, tables: &[WholeTable]) -> Result<WholeTables, DatabaseError> {
        let (database, tables) = (self.database.clone(), tables.to_vec());
        self.connection
            .begin_with(move |connection| whole_tables::write(connection, &database, &tables))
            .await
    }

    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        let (run, table) = (run.to_owned(), table.to_owned());
        self.connection
            .begin_with(move |connection| {
                ledger::mark_read_back(&RawConnection::lock_blocking(connection)?, &run, &table)
            })
            .await
    }
}
