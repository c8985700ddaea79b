//! One consistent view of a database.

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::connection::{Server, Session, column, query};
use super::decode::{CopyReader, DecodeError};
use super::error;
use super::schema::{self, Description};
use super::types::ColumnType;
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Snapshot, quote};
use crate::rows::{BlockBuilder, RowBlock};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction that keeps the view, and a second one that looks through it.
///
/// A COPY that is left early can only be ended by closing its connection; the view outlives that.
pub(super) struct PostgresSnapshot {
    server: std::sync::Arc<Server>,
    keeper: Session,
    token: String,
    reader: Option<Session>,
}

impl PostgresSnapshot {
    pub(super) async fn open(server: std::sync::Arc<Server>) -> Result<Self, DatabaseError> {
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
            keeper,
            token,
            reader: None,
        })
    }

    async fn open_reader(&self) -> Result<Session, DatabaseError> {
        let mut reader = self.server.connect().await?;
        let token = self.token.replace('\'', "''");
        reader
            .run(format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{token}'"))
            .await?;
        Ok(reader)
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn describe(&mut self, table: &str) -> Result<TableSchema, DatabaseError> {
        let described = schema::describe(&mut self.keeper, self.server.place(), table).await?;
        Ok(schema::without_computed(described.schema))
    }

    async fn read(
        &mut self,
        table: &TableSchema,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError> {
        let place = self.server.place();
        let described = schema::describe(&mut self.keeper, place, &table.table).await?;
        let (statement, types) = copy_statement(&described, table)?;
        // Taken out, so that it is closed unless the stream is read to its end.
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.open_reader().await?,
        };
        if send_rows(&mut reader, &statement, &types, table, blocks).await? {
            self.reader = Some(reader);
        }
        Ok(())
    }
}

fn copy_statement<'a>(
    described: &'a Description,
    table: &TableSchema,
) -> Result<(String, Vec<&'a ColumnType>), DatabaseError> {
    let unsuitable = |reason: String| DatabaseError::Unsuitable {
        table: table.table.clone(),
        reason,
    };
    if table.columns.is_empty() {
        return Err(unsuitable("it has no column that can be read".to_owned()));
    }
    let mut expressions = Vec::with_capacity(table.columns.len());
    let mut types = Vec::with_capacity(table.columns.len());
    for wanted in &table.columns {
        let (column, kind) = described
            .column(&wanted.name)
            .ok_or_else(|| unsuitable(format!("its column {:?} is gone", wanted.name)))?;
        expressions.push(kind.read_expression(&quote(&column.name)));
        types.push(kind);
    }
    let order = match table.primary_key.as_slice() {
        [] => String::new(),
        key => {
            let columns: Vec<_> = key.iter().map(|column| quote(column)).collect();
            format!(" ORDER BY {}", columns.join(", "))
        }
    };
    let statement = format!(
        "COPY (SELECT {} FROM {}{order}) TO STDOUT (FORMAT binary)",
        expressions.join(", "),
        described.relation.only()
    );
    Ok((statement, types))
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
