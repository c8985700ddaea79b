//! A connection that writes tables, one at a time.

use std::sync::Arc;

use async_trait::async_trait;

use super::meta::{ledger, rejects, tables, trust};
use super::server::{Purpose, Server};
use super::write::table_writer::PostgresTableWriter;
use super::write::transaction::WriteConnection;
use super::write::whole_tables;
use crate::database::{
    DatabaseError, LedgerEntry, Reject, TableWrite, TableWriter, Target, WholeTable, WholeTables,
};

/// A connection that writes.
pub(super) struct PostgresTarget {
    server: Arc<Server>,
    connection: WriteConnection,
    /// The path for functions that run when rows are written.
    functions: String,
}

impl PostgresTarget {
    /// Connects.
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let mut session = server.connect(Purpose::Write).await?;
        let functions = trust::path_of_functions(&mut session).await?;
        Ok(Self {
            server,
            connection: WriteConnection::new(session),
            functions,
        })
    }
}

#[async_trait]
impl Target for PostgresTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        tables::prepare(self.connection.outside_chunk().await?).await
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let found = async {
            trust::lock_to_write(session).await?;
            ledger::find(session, run, table).await
        };
        let found = found.await;
        let row = session.end_transaction(found).await?;
        Ok(row.map(LedgerEntry::from))
    }

    async fn kept_rejects(&mut self, table: &str) -> Result<Vec<Reject>, DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let found = async {
            trust::lock_to_write(session).await?;
            rejects::of_table(session, table).await
        };
        let found = found.await;
        session.end_transaction(found).await
    }

    async fn forget_rejects(
        &mut self,
        table: &str,
        rows: &[(String, u64)],
    ) -> Result<(), DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let forgotten = async {
            trust::lock_to_write(session).await?;
            rejects::forget(session, table, rows).await
        };
        let forgotten = forgotten.await;
        session.end_transaction(forgotten).await
    }

    async fn ledger_entries(
        &mut self,
        run: &str,
        tables: &[&str],
    ) -> Result<Vec<Option<LedgerEntry>>, DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let found = async {
            trust::lock_to_write(session).await?;
            ledger::find_all(session, run, tables).await
        };
        let found = found.await;
        let mut rows = session.end_transaction(found).await?;
        let entries = tables.iter().map(|table| rows.remove(*table));
        Ok(entries.map(|row| row.map(LedgerEntry::from)).collect())
    }

    async fn write_whole(&mut self, tables: &[WholeTable]) -> Result<WholeTables, DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        whole_tables::write(session, self.server.place(), tables).await
    }

    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError> {
        let Self {
            server,
            connection,
            functions,
        } = self;
        let writer = PostgresTableWriter::begin(server, connection, functions, write).await?;
        Ok(Box::new(writer))
    }

    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        let session = self.connection.outside_chunk().await?;
        session.run("BEGIN").await?;
        let marked = async {
            trust::lock_to_write(session).await?;
            ledger::mark_read_back(session, run, table).await
        };
        let marked = marked.await;
        session.end_transaction(marked).await
    }
}
