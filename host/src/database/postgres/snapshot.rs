//! One consistent view of a database.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::connection::{Server, Session, column, query};
use super::decode::{CopyReader, DecodeError};
use super::schema::{self, Description};
use super::types::ColumnType;
use super::{error, reading};
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Read, Snapshot};
use crate::rows::{BlockBuilder, RowBlock};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction that keeps the view, and others that look through it.
///
/// A COPY that is left early can only be ended by closing its connection; the view outlives that.
pub(super) struct PostgresSnapshot {
    server: Arc<Server>,
    keeper: AsyncMutex<Session>,
    token: String,
    /// Connections that nobody reads through now.
    idle: Mutex<Vec<Session>>,
}

impl PostgresSnapshot {
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let mut keeper = server.connect().await?;
        keeper.run(BEGIN).await?;
        let row = keeper
            .row(query("SELECT pg_catalog.pg_export_snapshot()"))
            .await?;
        let token = match row {
            Some(row) => column(&row, 0)?,
            None => String::new(),
        };
        Ok(Self {
            server,
            keeper: AsyncMutex::new(keeper),
            token,
            idle: Mutex::default(),
        })
    }

    async fn reader(&self) -> Result<Session, DatabaseError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(reader) = idle {
            return Ok(reader);
        }
        let mut reader = self.server.connect().await?;
        let token = self.token.replace('\'', "''");
        reader
            .run(format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{token}'"))
            .await?;
        Ok(reader)
    }

    async fn description(&self, table: &str) -> Result<Description, DatabaseError> {
        let mut keeper = self.keeper.lock().await;
        schema::describe(&mut keeper, self.server.place(), table).await
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError> {
        let described = self.description(table).await?;
        Ok(schema::without_computed(described.schema))
    }

    async fn read(
        &self,
        read: Read<'_>,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError> {
        let described = self.description(&read.table.table).await?;
        let (statement, types) = reading::copy_statement(&described, read)?;
        // Owned here, so that it is closed unless the stream is read to its end.
        let mut reader = self.reader().await?;
        if send_rows(&mut reader, &statement, &types, read.table, blocks).await? {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(reader);
        }
        Ok(())
    }
}

/// Whether the stream was read to its end; false: nobody wants the rest.
async fn send_rows(
    reader: &mut Session,
    statement: &str,
    types: &[&ColumnType],
    table: &TableSchema,
    blocks: mpsc::Sender<RowBlock>,
) -> Result<bool, DatabaseError> {
    let malformed = |error: DecodeError| DatabaseError::Unsuitable {
        table: table.table.clone(),
        reason: error.to_string(),
    };
    let mut copy = CopyReader::new(types.iter().map(|kind| kind.carrier).collect());
    let mut rows = BlockBuilder::new(types.len());
    let mut pieces = reader
        .raw()
        .copy_out_raw(statement)
        .await
        .map_err(|error| error::at_work(&error))?;
    loop {
        // A sort can take long before its first row.
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = blocks.closed() => return Ok(false),
        };
        let Some(piece) = piece else { break };
        copy.push(&piece.map_err(|error| error::at_work(&error))?);
        while copy.next_row(&mut rows).map_err(malformed)? {
            if rows.is_full() && blocks.send(rows.take()).await.is_err() {
                return Ok(false);
            }
        }
    }
    if !copy.is_complete() {
        return Err(malformed(DecodeError::Format));
    }
    if !rows.is_empty() {
        // The stream is at its end, whether anybody listens or not.
        let _ = blocks.send(rows.take()).await;
    }
    Ok(true)
}
