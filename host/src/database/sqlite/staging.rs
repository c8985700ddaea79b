//! Rows on their way into a table: converted, numbered and kept in a temporary table.

use super::merge::Merge;
use super::raw::{RawConnection, Row};
use super::schema::Table;
use super::storage::{LocalColumn, Stored, StoredRef, to_cell, to_storage};
use crate::bindings::types::{Cell, TableSchema};
use crate::database::{DatabaseError, Decision, Misfit, StagedConflict};
use crate::rows::{BlockBuilder, CellRef, RowBlock, RowRef};

/// A page of conflicts ends when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The staging of one table.
#[derive(Debug)]
pub(super) struct Staging {
    incoming: TableSchema,
    /// In the order of the incoming columns.
    columns: Vec<LocalColumn>,
    stage: String,
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
    pub(super) fn create(
        connection: &RawConnection<'_>,
        merge: &Merge,
        incoming: TableSchema,
        local: &Table,
    ) -> Result<Self, DatabaseError> {
        Self::drop(connection)?;
        connection.execute(&merge.create_staging(), &[])?;
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
        Ok(Self {
            incoming,
            columns,
            stage: merge.stage(),
            key: merge.key_positions().collect(),
            arrived: 0,
            chunk: Chunk::after(0),
        })
    }

    pub(super) fn drop(connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        connection.execute("DROP TABLE IF EXISTS temp.tombolo_staging", &[])?;
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
    pub(super) fn last_key(&self) -> Option<&[u8]> {
        self.chunk.last_key.as_deref()
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
    pub(super) fn stage(
        &mut self,
        connection: &RawConnection<'_>,
        block: &RowBlock,
    ) -> Result<(), DatabaseError> {
        if block.column_count() != self.columns.len() {
            return Err(self.unsuitable("the rows have another number of cells than announced"));
        }
        let mut insert = connection.prepare(&self.stage)?;
        let mut values = Vec::with_capacity(self.columns.len());
        let mut last = None;
        for row in block.rows() {
            self.arrived += 1;
            self.convert_row(row, &mut values)?;
            let number = StoredRef::Integer(position(self.arrived));
            insert.run(std::iter::once(number).chain(values.iter().map(Stored::borrow)))?;
            last = Some(row);
        }
        if let Some(row) = last {
            self.chunk.last_key = self.primary_key(row);
        }
        Ok(())
    }

    /// Replaces `values` by those of a row.
    fn convert_row<'a>(
        &mut self,
        row: RowRef<'a>,
        values: &mut Vec<Stored<'a>>,
    ) -> Result<(), DatabaseError> {
        values.clear();
        for (index, cell) in row.enumerate() {
            values.push(self.convert(index, cell, self.arrived)?);
        }
        let key = match self.key.as_slice() {
            [index] => values.get(*index),
            _ => None,
        };
        self.chunk.rising = match (self.chunk.rising, key) {
            (Some(last), Some(Stored::Integer(key))) if *key > last => Some(*key),
            _ => None,
        };
        Ok(())
    }

    fn convert<'a>(
        &self,
        index: usize,
        cell: CellRef<'a>,
        row: u64,
    ) -> Result<Stored<'a>, DatabaseError> {
        let (Some(incoming), Some(column)) =
            (self.incoming.columns.get(index), self.columns.get(index))
        else {
            return Err(self.unsuitable("the rows have another number of cells than announced"));
        };
        to_storage(cell, &incoming.logical, column)
            .map_err(|reason| self.misfit(row, &column.name, reason))
    }

    fn primary_key(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        let key = &self.incoming.primary_key;
        let cells: Vec<_> = row.collect();
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
    pub(super) fn conflicts(
        &self,
        connection: &RawConnection<'_>,
        merge: &Merge,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        let mut statement = connection.prepare(&merge.conflicts())?;
        let values = [
            StoredRef::Integer(position(after)),
            StoredRef::Integer(limit.into()),
        ];
        let mut rows = statement.query(&values)?;
        let mut conflicts = Vec::new();
        let mut size = 0;
        while size < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let Ok(StoredRef::Integer(number)) = row.get(0) else {
                break;
            };
            let position = u64::try_from(number).unwrap_or_default();
            conflicts.push(StagedConflict {
                position,
                incoming: self.cells(row, 1, position, &mut size)?,
                local: self.cells(row, 1 + self.columns.len(), position, &mut size)?,
            });
        }
        Ok(conflicts)
    }

    /// The cells of a row from a column on, adding up their size.
    fn cells(
        &self,
        row: Row<'_>,
        first: usize,
        position: u64,
        size: &mut usize,
    ) -> Result<Vec<Cell>, DatabaseError> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for (index, column) in self.incoming.columns.iter().enumerate() {
            let misfit = |reason| self.misfit(position, &column.name, reason);
            let value = row
                .get(first + index)
                .map_err(|reason| misfit(reason.to_owned()))?;
            *size += value.size();
            let mut scratch = [0; 16];
            let cell = to_cell(value, &column.logical, &mut scratch).map_err(misfit)?;
            cells.push(cell.to_cell());
        }
        Ok(cells)
    }

    /// Settles one staged row.
    pub(super) fn settle(
        &mut self,
        connection: &RawConnection<'_>,
        merge: &Merge,
        row: u64,
        decision: &Decision,
    ) -> Result<(), DatabaseError> {
        let number = StoredRef::Integer(position(row));
        let changed = match decision {
            Decision::TakeIncoming => return Ok(()),
            Decision::KeepLocal => {
                self.chunk.kept_local += 1;
                connection.execute("DELETE FROM temp.tombolo_staging WHERE row = ?", &[number])?
            }
            Decision::Write(cells) => {
                if cells.len() != self.columns.len() {
                    return Err(
                        self.unsuitable("a row that is to be written has another number of cells")
                    );
                }
                let values = cells
                    .iter()
                    .enumerate()
                    .map(|(index, cell)| self.convert(index, cell.into(), row))
                    .collect::<Result<Vec<_>, _>>()?;
                self.keep_key(connection, merge, number, &values)?;
                let mut values: Vec<_> = values.iter().map(Stored::borrow).collect();
                values.push(number);
                connection.execute(&merge.restage(), &values)?
            }
        };
        match changed {
            1 => Ok(()),
            _ => Err(self.unsuitable("a row was decided that is not staged, or decided twice")),
        }
    }

    /// Refuses values whose key is not the staged one.
    fn keep_key(
        &self,
        connection: &RawConnection<'_>,
        merge: &Merge,
        number: StoredRef<'_>,
        values: &[Stored<'_>],
    ) -> Result<(), DatabaseError> {
        if self.key.is_empty() {
            return Err(self.unsuitable("rows can only be decided singly where they have a key"));
        }
        let mut statement = connection.prepare(&merge.staged_key())?;
        let parameters = [number];
        let mut rows = statement.query(&parameters)?;
        let staged = rows
            .next()?
            .ok_or_else(|| self.unsuitable("a row was decided that is not staged"))?;
        for (column, index) in self.key.iter().enumerate() {
            let same = values
                .get(*index)
                .zip(staged.get(column).ok())
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

/// No run has 2^63 rows.
fn position(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}
