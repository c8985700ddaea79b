//! Reads the rows of one state of a SQLite file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

use super::catalog::{self, Table};
use super::codec::storage::{SqliteValue, read_cell, to_storage};
use super::collations::is_built_in;
use super::error::refused;
use super::file::access::Reader;
use super::raw::{self, RawConnection, Row};
use crate::bindings::types::{Cell, TableSchema};
use crate::database::{DatabaseError, Read, Snapshot, Unrepresentable, quote, without_computed};
use crate::rows::{BlockBuilder, FRAME_BYTES, MAX_ROW_BYTES, RowBlock};

/// A read transaction on a file in WAL mode, or a private copy of another file. One table is read at a time.
pub(super) struct SqliteSnapshot {
    /// A read that was cancelled keeps it until it ends.
    reader: Arc<Mutex<Reader>>,
    name: String,
    /// Tables that were described, by name; within the transaction they do not change.
    described: StdMutex<HashMap<String, Arc<Table>>>,
}

impl SqliteSnapshot {
    /// Begins a read transaction on the present state.
    pub(super) async fn begin(mut reader: Reader, name: String) -> Result<Self, DatabaseError> {
        // Only the first read of a transaction fixes its state.
        for sql in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            sqlx::query(sql)
                .execute(&mut reader.connection)
                .await
                .map_err(|error| refused(&error))?;
        }
        Ok(Self {
            reader: Arc::new(Mutex::new(reader)),
            name,
            described: StdMutex::default(),
        })
    }

    async fn table(&self, name: &str) -> Result<Arc<Table>, DatabaseError> {
        let known = self.described().get(name).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let mut reader = self.reader.lock().await;
        let found = catalog::table(&mut reader.connection, &self.name, name).await?;
        let found = Arc::new(found);
        self.described()
            .insert(found.schema.table.clone(), Arc::clone(&found));
        Ok(found)
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn described(&self) -> MutexGuard<'_, HashMap<String, Arc<Table>>> {
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError> {
        let table = self.table(table).await?;
        Ok(without_computed(table.schema.clone()))
    }

    async fn read(
        &self,
        read: Read<'_>,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError> {
        let table = read.table.clone();
        let found = self.table(&table.table).await?;
        let reader = Arc::clone(&self.reader).lock_owned().await;
        let sql = select(read, &found)?;
        let after = read.after.map(<[Cell]>::to_vec);
        let connection = OwnedMutexGuard::map(reader, |reader| &mut reader.connection);
        raw::work(connection, move |connection| {
            let key = match &after {
                Some(cells) => key_values(&table, &found, cells)?,
                None => Vec::new(),
            };
            send_rows(connection, &sql, &key, &table, &blocks)
        })
        .await
    }
}

/// Sends all rows of a query, or ends early when the receiver is gone.
fn send_rows(
    connection: &mut RawConnection<'_>,
    sql: &str,
    values: &[SqliteValue<'_>],
    table: &TableSchema,
    blocks: &mpsc::Sender<RowBlock>,
) -> Result<(), DatabaseError> {
    // This also ends a long sort.
    let receiver = blocks.clone();
    connection.interrupt_when(move || receiver.is_closed());
    let mut statement = connection.prepare(sql)?;
    let values: Vec<_> = values.iter().map(SqliteValue::borrow).collect();
    let mut rows = statement.query(&values)?;
    let mut builder = BlockBuilder::new(table.columns.len());
    let mut number = 0u64;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) if error.is_interrupt() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        number += 1;
        if let Some(block) = push(row, table, number, &mut builder)?
            && blocks.blocking_send(block).is_err()
        {
            return Ok(());
        }
        if builder.is_full() && blocks.blocking_send(builder.take()).is_err() {
            return Ok(());
        }
    }
    if !builder.is_empty() {
        // If the receiver is gone, it does not need the last block.
        let _ = blocks.blocking_send(builder.take());
    }
    Ok(())
}

/// Returns how many rows a table has, and the sum of their digests.
pub(super) fn digest(
    connection: &RawConnection<'_>,
    table: &TableSchema,
    found: &Table,
) -> Result<(u64, u128), DatabaseError> {
    let mut read = Read::all(table);
    read.ordered = false;
    let mut statement = connection.prepare(&select(read, found)?)?;
    let mut rows = statement.query(&[])?;
    let mut builder = BlockBuilder::new(table.columns.len());
    let (mut number, mut sum) = (0_u64, 0_u128);
    while let Some(row) = rows.next()? {
        number += 1;
        if let Some(block) = push(row, table, number, &mut builder)? {
            sum = sum.wrapping_add(block.digest());
        }
        if builder.is_full() {
            sum = sum.wrapping_add(builder.take().digest());
        }
    }
    if !builder.is_empty() {
        sum = sum.wrapping_add(builder.take().digest());
    }
    Ok((number, sum))
}

fn select(read: Read<'_>, found: &Table) -> Result<String, DatabaseError> {
    let table = read.table;
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
        key => key.iter().map(|name| ordered(name, found)).collect(),
    };
    let mut sql = format!(
        "SELECT {} FROM main.{} AS t",
        columns.join(", "),
        quote(&table.table)
    );
    if read.after.is_some() {
        let values = vec!["?"; order.len()].join(", ");
        sql.push_str(&format!(" WHERE ({}) > ({values})", order.join(", ")));
    }
    if read.ordered && !order.is_empty() {
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    if let Some(rows) = read.limit {
        sql.push_str(&format!(" LIMIT {rows}"));
    }
    Ok(sql)
}

/// Returns a column of the key in an order that does not depend on its application: an index in another order would be
/// searched in vain.
fn ordered(name: &String, found: &Table) -> String {
    let mut columns = found.keys.iter().flat_map(|key| &key.columns);
    let foreign = columns.any(|(column, collation)| {
        column == name && collation.as_deref().is_some_and(|one| !is_built_in(one))
    });
    match foreign {
        true => format!("t.{} COLLATE BINARY", quote(name)),
        false => format!("t.{}", quote(name)),
    }
}

/// Returns the key after which rows are read, as it is stored. Fails with `Unsuitable` if it cannot be one of the table.
fn key_values<'a>(
    table: &TableSchema,
    found: &Table,
    cells: &'a [Cell],
) -> Result<Vec<SqliteValue<'a>>, DatabaseError> {
    let value = |(name, cell): (&String, &'a Cell)| {
        let column = table.columns.iter().find(|column| column.name == *name)?;
        let storage = found.storage.iter().find(|column| column.name == *name)?;
        let value = to_storage(cell.into(), &column.logical, storage).ok()?;
        // No row is greater than NULL.
        (!matches!(value, SqliteValue::Null)).then_some(value)
    };
    let values: Option<Vec<_>> = table.primary_key.iter().zip(cells).map(value).collect();
    values
        .filter(|values| !values.is_empty() && values.len() == table.primary_key.len())
        .ok_or_else(|| DatabaseError::Unsuitable {
            table: table.table.clone(),
            reason: "its rows cannot be read on from this key".to_owned(),
        })
}

/// Adds a row. Returns the block before it if both together would be too large for a frame. Fails with `Unrepresentable` if
/// the row is too large or has a value that cannot be read.
fn push(
    row: Row<'_>,
    table: &TableSchema,
    number: u64,
    builder: &mut BlockBuilder,
) -> Result<Option<RowBlock>, DatabaseError> {
    let unrepresentable = |column: &str, reason: String| Unrepresentable {
        table: table.table.clone(),
        row: number.to_string(),
        column: column.to_owned(),
        reason,
    };
    let mut values = Vec::with_capacity(table.columns.len());
    let mut size = 0;
    for (index, column) in table.columns.iter().enumerate() {
        let value = row
            .get(index)
            .map_err(|reason| unrepresentable(&column.name, reason.to_owned()))?;
        size += value.size();
        if size > MAX_ROW_BYTES {
            let reason = format!("the row is larger than {} MiB", MAX_ROW_BYTES >> 20);
            return Err(unrepresentable(&column.name, reason).into());
        }
        values.push(value);
    }
    let full = builder.byte_count() + size > FRAME_BYTES && !builder.is_empty();
    let before = full.then(|| builder.take());
    for (value, column) in values.into_iter().zip(&table.columns) {
        let mut scratch = [0; 16];
        let cell = read_cell(value, column, &mut scratch)
            .map_err(|reason| unrepresentable(&column.name, reason))?;
        builder.push(cell);
    }
    builder.end_row();
    Ok(before)
}
