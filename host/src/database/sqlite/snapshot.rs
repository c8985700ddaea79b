//! One state of a SQLite file, read row by row.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{AssertSqlSafe, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use tokio::sync::mpsc;

use super::error::refused;
use super::schema::{self, Table};
use super::source::Reader;
use super::storage::{StoredRef, read_cell};
use crate::bindings::types::{Generation, TableSchema};
use crate::database::{DatabaseError, Misfit, Snapshot, quote};
use crate::rows::{BlockBuilder, FRAME_BYTES, MAX_ROW_BYTES, RowBlock};

/// A read transaction in a file in WAL mode, or a private copy of another.
pub(super) struct SqliteSnapshot {
    reader: Reader,
    name: String,
}

impl SqliteSnapshot {
    /// Holds on to what the reader sees now.
    pub(super) async fn begin(mut reader: Reader, name: String) -> Result<Self, DatabaseError> {
        // BEGIN alone reads nothing and so pins nothing.
        for sql in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            sqlx::query(sql)
                .execute(&mut reader.connection)
                .await
                .map_err(|error| refused(&error))?;
        }
        Ok(Self { reader, name })
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn describe(&mut self, table: &str) -> Result<TableSchema, DatabaseError> {
        let table = schema::table(&mut self.reader.connection, &self.name, table).await?;
        Ok(without_computed(table.schema))
    }

    async fn read(
        &mut self,
        table: &TableSchema,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError> {
        let found = schema::table(&mut self.reader.connection, &self.name, &table.table).await?;
        let sql = select(table, &found)?;
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut self.reader.connection);
        let mut builder = BlockBuilder::new(table.columns.len());
        let mut number = 0u64;
        while let Some(row) = rows.try_next().await.map_err(|error| refused(&error))? {
            number += 1;
            if let Some(block) = push(&row, table, number, &mut builder)?
                && blocks.send(block).await.is_err()
            {
                return Ok(());
            }
            if builder.is_full() && blocks.send(builder.take()).await.is_err() {
                return Ok(());
            }
        }
        if !builder.is_empty() {
            // A receiver that is gone needs no rest.
            let _ = blocks.send(builder.take()).await;
        }
        Ok(())
    }
}

/// A schema of what is sent: no computed columns, and no keys that need them.
fn without_computed(mut table: TableSchema) -> TableSchema {
    table
        .columns
        .retain(|column| column.generation != Generation::Computed);
    let columns = &table.columns;
    let sent = |names: &Vec<String>| {
        names
            .iter()
            .all(|name| columns.iter().any(|column| column.name == *name))
    };
    table.unique_keys.retain(sent);
    table.foreign_keys.retain(|key| sent(&key.columns));
    table
}

fn select(table: &TableSchema, found: &Table) -> Result<String, DatabaseError> {
    let known = |name: &String| {
        found
            .schema
            .columns
            .iter()
            .any(|column| column.name == *name)
    };
    let unknown = table
        .columns
        .iter()
        .map(|column| &column.name)
        .chain(&table.primary_key)
        .find(|name| !known(name));
    if let Some(name) = unknown {
        return Err(DatabaseError::Unsuitable {
            table: table.table.clone(),
            reason: format!("it has no column {name:?}"),
        });
    }
    if table.columns.is_empty() {
        return Err(DatabaseError::Unsuitable {
            table: table.table.clone(),
            reason: "none of its columns can be sent".to_owned(),
        });
    }
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("t.{}", quote(&column.name)))
        .collect();
    let order: Vec<_> = match table.primary_key.as_slice() {
        [] => found
            .rowid()
            .map(|rowid| format!("t.{rowid}"))
            .into_iter()
            .collect(),
        key => key
            .iter()
            .map(|name| format!("t.{}", quote(name)))
            .collect(),
    };
    let mut sql = format!(
        "SELECT {} FROM main.{} AS t",
        columns.join(", "),
        quote(&table.table)
    );
    if !order.is_empty() {
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    Ok(sql)
}

/// Adds a row; the block before it is given back where both together would be too large for a frame.
fn push(
    row: &SqliteRow,
    table: &TableSchema,
    number: u64,
    builder: &mut BlockBuilder,
) -> Result<Option<RowBlock>, DatabaseError> {
    let misfit = |column: &str, reason: String| Misfit {
        table: table.table.clone(),
        row: number.to_string(),
        column: column.to_owned(),
        reason,
    };
    let mut values = Vec::with_capacity(table.columns.len());
    let mut size = 0;
    for (index, column) in table.columns.iter().enumerate() {
        let value = stored(row, index)?.map_err(|reason| misfit(&column.name, reason))?;
        size += value.size();
        if size > MAX_ROW_BYTES {
            let reason = format!("the row is larger than {} MiB", MAX_ROW_BYTES >> 20);
            return Err(misfit(&column.name, reason).into());
        }
        values.push(value);
    }
    let full = builder.byte_count() + size > FRAME_BYTES && !builder.is_empty();
    let before = full.then(|| builder.take());
    for (value, column) in values.into_iter().zip(&table.columns) {
        let mut scratch = [0; 16];
        let cell = read_cell(value, column, &mut scratch)
            .map_err(|reason| misfit(&column.name, reason))?;
        builder.push(cell);
    }
    builder.end_row();
    Ok(before)
}

/// One value of a row; the inner error says why it cannot be a cell.
pub(super) fn stored(
    row: &SqliteRow,
    index: usize,
) -> Result<Result<StoredRef<'_>, String>, DatabaseError> {
    let value = row.try_get_raw(index).map_err(|error| refused(&error))?;
    if value.is_null() {
        return Ok(Ok(StoredRef::Null));
    }
    let class = value.type_info().into_owned();
    Ok(match class.name() {
        "INTEGER" => Ok(StoredRef::Integer(decode(value)?)),
        "REAL" => Ok(StoredRef::Real(decode(value)?)),
        "TEXT" => <&str as Decode<Sqlite>>::decode(value)
            .map(StoredRef::Text)
            .map_err(|_| "the text is not valid UTF-8".to_owned()),
        _ => Ok(StoredRef::Blob(decode(value)?)),
    })
}

fn decode<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, DatabaseError> {
    T::decode(value).map_err(|error| refused(&sqlx::Error::Decode(error)))
}
