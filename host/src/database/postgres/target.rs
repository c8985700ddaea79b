//! A connection that writes tables, one at a time.

use std::sync::Arc;

use async_trait::async_trait;

use super::connection::Server;
use super::meta::{ledger, tables};
use super::write::table_writer::PostgresTableWriter;
use super::write::transaction::WriteConnection;
use crate::database::{DatabaseError, LedgerEntry, TableWrite, TableWriter, Target};

/// A connection that writes.
pub(super) struct PostgresTarget {
    server: Arc<Server>,
    connection: WriteConnection,
}

impl PostgresTarget {
    /// Connects.
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let connection = WriteConnection::new(server.connect().await?);
        Ok(Self { server, connection })
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
        let row = ledger::find(self.connection.outside_chunk().await?, run, table).await?;
        Ok(row.map(LedgerEntry::from))
    }

    async fn begin_table<'a>(
        &'a mut self,
        write: TableWrite,
    ) -> Result<Box<dyn TableWriter + 'a>, DatabaseError> {
        let connection = &mut self.connection;
        let writer = PostgresTableWriter::begin(&self.server, connection, write).await?;
        Ok(Box::new(writer))
    }

    async fn mark_read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        ledger::mark_read_back(self.connection.outside_chunk().await?, run, table).await
    }
}
