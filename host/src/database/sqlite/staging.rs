//! Rows on their way into a table: converted, numbered and kept in a temporary table.

use std::sync::Arc;

use futures::TryStreamExt as _;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::merge::Merge;
use super::schema::Table;
use super::snapshot::stored;
use super::storage::{LocalColumn, Stored, read_cell, to_storage};
use crate::bindings::types::{Cell, TableSchema};
use crate::database::{DatabaseError, Decision, Misfit, StagedConflict};
use crate::rows::{BlockBuilder, CellRef, RowBlock};

/// A page of conflicts ends when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The staging of one table.
#[derive(Debug)]
pub(super) struct Staging {
    incoming: TableSchema,
    /// In the order of the incoming columns.
    columns: Vec<LocalColumn>,
    stage: Arc<str>,
    rows_per_statement: usize,
    key: Vec<usize>,
    /// Rows that arrived, from the first one of the table on; the number of the last one.
    arrived: u64,
    chunk: Chunk,
}

/// What is known of the rows of the chunk under way.
#[derive(Debug)]
struct Chunk {
    /// The number of the last row before it.
    before: u64,
    /// Rows that were settled in favour of the local ones.
    kept_local: u64,
    last_key: Option<Vec<u8>>,
    /// The last key, while all of them are single integers and rise: then none can be there twice.
    rising: Option<i64>,
}

impl Chunk {
    fn after(before: u64) -> Self {
        Self {
            before,
            kept_local: 0,
            last_key: None,
            rising: Some(i64::MIN),
        }
    }
}

impl Staging {
    /// Makes the empty staging of a table that `merge` found suitable.
    pub(super) async fn create(
        connection: &mut SqliteConnection,
        merge: &Merge,
        incoming: TableSchema,
        local: &Table,
    ) -> Result<Self, DatabaseError> {
        Self::drop(connection).await?;
        execute(connection, merge.create_staging()).await?;
        let columns = incoming
            .columns
            .iter()
            .filter_map(|column| {
                local
                    .storage
                    .iter()
                    .find(|here| here.name == column.name)
                    .cloned()
            })
            .collect();
        let rows_per_statement = merge.rows_per_statement();
        Ok(Self {
            incoming,
            columns,
            stage: merge.stage(rows_per_statement).into(),
            rows_per_statement,
            key: merge.key_positions().collect(),
            arrived: 0,
            chunk: Chunk::after(0),
        })
    }

    pub(super) async fn drop(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        execute(
            connection,
            "DROP TABLE IF EXISTS temp.tombolo_staging".to_owned(),
        )
        .await?;
        Ok(())
    }

    /// Rows of the chunk under way that arrived.
    pub(super) fn staged(&self) -> u64 {
        self.arrived - self.chunk.before
    }

    /// Rows of the chunk under way that were settled in favour of the local ones.
    pub(super) fn kept_local(&self) -> u64 {
        self.chunk.kept_local
    }

    /// The primary key of the last row that arrived, as one encoded row; none without a primary key.
    pub(super) fn last_key(&self) -> Option<Vec<u8>> {
        self.chunk.last_key.clone()
    }

    /// Whether a key may have arrived twice in the chunk under way.
    pub(super) fn may_repeat(&self) -> bool {
        self.chunk.rising.is_none()
    }

    /// The chunk is applied: its rows are gone.
    pub(super) fn next_chunk(&mut self) {
        self.chunk = Chunk::after(self.arrived);
    }

    /// The chunk is given up: its rows will arrive again.
    pub(super) fn forget_chunk(&mut self) {
        self.arrived = self.chunk.before;
        self.chunk = Chunk::after(self.arrived);
    }

    /// Stages the rows of a block.
    pub(super) async fn stage(
        &mut self,
        connection: &mut SqliteConnection,
        merge: &Merge,
        block: &RowBlock,
    ) -> Result<(), DatabaseError> {
        if block.column_count() != self.columns.len() {
            return Err(self.unsuitable("the rows have another number of cells than announced"));
        }
        let mut left = block.row_count() as usize;
        let mut rows = block.rows();
        while left > 0 {
            let count = left.min(self.rows_per_statement);
            let mut arguments = SqliteArguments::default();
            arguments.reserve(count * (self.columns.len() + 1), 0);
            for row in rows.by_ref().take(count) {
                self.arrived += 1;
                self.convert_row(row, &mut arguments)?;
                if left == 1 {
                    self.chunk.last_key = self.primary_key(row);
                }
                left -= 1;
            }
            let sql = match count == self.rows_per_statement {
                true => self.stage.clone(),
                false => merge.stage(count).into(),
            };
            sqlx::query_with(AssertSqlSafe(sql), arguments)
                .execute(&mut *connection)
                .await
                .map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    fn convert_row<'a>(
        &mut self,
        cells: impl Iterator<Item = CellRef<'a>>,
        arguments: &mut SqliteArguments,
    ) -> Result<(), DatabaseError> {
        let number = self.arrived;
        add(arguments, Stored::Integer(position(number)))?;
        let single_key = match self.key.as_slice() {
            [index] => Some(*index),
            _ => None,
        };
        let mut key = None;
        for (index, cell) in cells.enumerate() {
            let value = self.convert(index, cell, number)?;
            if single_key == Some(index)
                && let Stored::Integer(value) = value
            {
                key = Some(value);
            }
            add(arguments, value)?;
        }
        self.chunk.rising = match (self.chunk.rising, key) {
            (Some(last), Some(key)) if key > last => Some(key),
            _ => None,
        };
        Ok(())
    }

    fn convert(&self, index: usize, cell: CellRef<'_>, row: u64) -> Result<Stored, DatabaseError> {
        let (Some(incoming), Some(column)) =
            (self.incoming.columns.get(index), self.columns.get(index))
        else {
            return Err(self.unsuitable("the rows have another number of cells than announced"));
        };
        to_storage(cell, &incoming.logical, column)
            .map_err(|reason| self.misfit(row, &column.name, reason))
    }

    fn primary_key<'a>(&self, cells: impl Iterator<Item = CellRef<'a>>) -> Option<Vec<u8>> {
        let key = &self.incoming.primary_key;
        let cells: Vec<_> = cells.collect();
        let mut builder = BlockBuilder::new(key.len());
        for name in key {
            let index = self
                .incoming
                .columns
                .iter()
                .position(|column| column.name == *name)?;
            builder.push(*cells.get(index)?);
        }
        builder.end_row();
        (!key.is_empty()).then(|| builder.take().data().to_vec())
    }

    /// Staged rows behind a position that exist with another image.
    pub(super) async fn conflicts(
        &self,
        connection: &mut SqliteConnection,
        merge: &Merge,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        let mut rows = sqlx::query(AssertSqlSafe(merge.conflicts()))
            .bind(position(after))
            .bind(i64::from(limit))
            .fetch(connection);
        let mut conflicts = Vec::new();
        let mut size = 0;
        while size < PAGE_BYTES
            && let Some(row) = rows.try_next().await.map_err(|error| refused(&error))?
        {
            let number: i64 = row.try_get(0).map_err(|error| refused(&error))?;
            let position = u64::try_from(number).unwrap_or_default();
            let mut read = |first: usize| -> Result<Vec<Cell>, DatabaseError> {
                let mut cells = Vec::with_capacity(self.columns.len());
                for (index, column) in self.incoming.columns.iter().enumerate() {
                    let misfit = |reason| self.misfit(position, &column.name, reason);
                    let value = stored(&row, first + index)?.map_err(misfit)?;
                    size += value.size();
                    let mut scratch = [0; 16];
                    cells.push(
                        read_cell(value, column, &mut scratch)
                            .map_err(misfit)?
                            .to_cell(),
                    );
                }
                Ok(cells)
            };
            conflicts.push(StagedConflict {
                position,
                incoming: read(1)?,
                local: read(1 + self.columns.len())?,
            });
        }
        Ok(conflicts)
    }

    /// Settles one staged row.
    pub(super) async fn settle(
        &mut self,
        connection: &mut SqliteConnection,
        merge: &Merge,
        row: u64,
        decision: Decision,
    ) -> Result<(), DatabaseError> {
        let changed = match decision {
            Decision::TakeIncoming => return Ok(()),
            Decision::KeepLocal => {
                self.chunk.kept_local += 1;
                sqlx::query("DELETE FROM temp.tombolo_staging WHERE row = ?")
                    .bind(position(row))
                    .execute(connection)
                    .await
            }
            Decision::Write(cells) => {
                let mut values = Vec::with_capacity(cells.len());
                if cells.len() != self.columns.len() {
                    return Err(
                        self.unsuitable("a row that is to be written has another number of cells")
                    );
                }
                for (index, cell) in cells.iter().enumerate() {
                    values.push(self.convert(index, cell.into(), row)?);
                }
                self.keep_key(connection, merge, row, &values).await?;
                let mut arguments = SqliteArguments::default();
                for value in values {
                    add(&mut arguments, value)?;
                }
                add(&mut arguments, Stored::Integer(position(row)))?;
                sqlx::query_with(AssertSqlSafe(merge.restage()), arguments)
                    .execute(connection)
                    .await
            }
        };
        match changed.map_err(|error| refused(&error))?.rows_affected() {
            1 => Ok(()),
            _ => Err(self.unsuitable("a row was decided that is not staged, or decided twice")),
        }
    }

    /// Refuses values whose key is not the staged one.
    async fn keep_key(
        &self,
        connection: &mut SqliteConnection,
        merge: &Merge,
        row: u64,
        values: &[Stored],
    ) -> Result<(), DatabaseError> {
        if self.key.is_empty() {
            return Err(self.unsuitable("rows can only be decided singly where they have a key"));
        }
        let staged = sqlx::query(AssertSqlSafe(merge.staged_key()))
            .bind(position(row))
            .fetch_optional(connection)
            .await
            .map_err(|error| refused(&error))?
            .ok_or_else(|| self.unsuitable("a row was decided that is not staged"))?;
        for (column, index) in self.key.iter().enumerate() {
            let same = values
                .get(*index)
                .zip(stored(&staged, column)?.ok())
                .is_some_and(|(value, staged)| value.borrow() == staged);
            if !same {
                return Err(self.unsuitable(
                    "a row that is to be written has another key than the incoming one",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn unsuitable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unsuitable {
            table: self.incoming.table.clone(),
            reason: reason.to_owned(),
        }
    }

    fn misfit(&self, row: u64, column: &str, reason: String) -> DatabaseError {
        Misfit {
            table: self.incoming.table.clone(),
            row: row.to_string(),
            column: column.to_owned(),
            reason,
        }
        .into()
    }
}

/// Runs a statement and gives the number of rows it changed itself, without those that its triggers changed.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    sql: String,
) -> Result<u64, DatabaseError> {
    let done = sqlx::query(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
    Ok(done.rows_affected())
}

/// No run has 2^63 rows.
fn position(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

fn add(arguments: &mut SqliteArguments, value: Stored) -> Result<(), DatabaseError> {
    match value {
        Stored::Null => arguments.add(None::<i64>),
        Stored::Integer(value) => arguments.add(value),
        Stored::Real(value) => arguments.add(value),
        Stored::Text(value) => arguments.add(value),
        Stored::Blob(value) => arguments.add(value),
    }
    .map_err(|error| refused(&sqlx::Error::Encode(error)))
}
