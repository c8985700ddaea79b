//! Rows as they arrived into rows of a COPY stream: exactly, changed to fit where that was asked for, or not at all.

use bytes::{BufMut, BytesMut};

use super::readback::digest_of;
use super::table_writer::Loading;
use crate::bindings::types::LogicalType;
use crate::database::postgres::codec::encode::ColumnEncoding;
use crate::database::postgres::codec::lossy;
use crate::database::postgres::codec::types::ColumnType;
use crate::database::{DatabaseError, Unrepresentable};
use crate::rows::{CellRef, RowBlock, RowRef};

/// One column on its way in.
pub(in crate::database::postgres) struct Column {
    pub name: String,
    pub incoming: LogicalType,
    pub kind: ColumnType,
    pub encoding: ColumnEncoding,
    /// Whether the nearest value takes the place of one that does not fit.
    pub lossy: bool,
    pub nullable: bool,
}

impl Column {
    /// Puts the nearest value that the column can hold; false: there is none, not even NULL.
    fn put_nearest(&self, cell: CellRef<'_>, out: &mut BytesMut) -> bool {
        let before = out.len();
        if let Some((incoming, cell)) = lossy::nearest(cell, &self.incoming, self.kind.physical) {
            let encoding = ColumnEncoding {
                incoming,
                ..self.encoding.clone()
            };
            if encoding.encode((&cell).into(), out).is_ok() {
                return true;
            }
            out.truncate(before);
        }
        if self.nullable {
            out.put_i32(-1);
        }
        self.nullable
    }
}

impl Loading {
    /// A block as rows of a COPY stream.
    /// Rows that do not fit are left out; the chunk rejects them.
    pub fn encode(&mut self, block: &RowBlock) -> Result<BytesMut, DatabaseError> {
        if block.column_count() != self.columns.len() {
            return Err(self.unsuitable(format!(
                "its rows have {} cells instead of the announced {}",
                block.column_count(),
                self.columns.len()
            )));
        }
        let mut out = BytesMut::with_capacity(block.data().len() + block.data().len() / 4);
        let mut position = self.received + self.chunk.rows;
        let mut changed = vec![0; self.columns.len()];
        for row in block.rows() {
            position += 1;
            if !self.is_direct() {
                self.key_order.follow(row);
            }
            let before = out.len();
            match self.pass_row(position, row, &mut out) {
                Ok(_) if self.is_direct() => {
                    let row = out.get(before..).unwrap_or_default();
                    self.chunk.sent.add(digest_of(row));
                }
                Ok(fitted) => {
                    for at in fitted {
                        if let Some(values) = changed.get_mut(at) {
                            *values += 1;
                        }
                    }
                }
                Err(DatabaseError::Unrepresentable(unrepresentable)) => {
                    out.truncate(before);
                    let reason = format!(
                        "column {:?}: {}",
                        unrepresentable.column, unrepresentable.reason
                    );
                    if self.chunk.unfit.len() as u64 >= self.rejects.left() {
                        return Err(self.rejects.too_many(&reason));
                    }
                    self.chunk.unfit.push((position, reason));
                }
                Err(error) => return Err(error),
            }
        }
        for (column, values) in self.columns.iter().zip(changed) {
            if values > 0 {
                *self.chunk.changed.entry(column.name.clone()).or_default() += values;
            }
        }
        Ok(out)
    }

    /// The columns of a row that was staged in which the value was changed to fit.
    fn changed_in(&self, row: &[u8]) -> Vec<String> {
        let cells = RowBlock::parse_row(row).unwrap_or_default();
        let mut changed = Vec::new();
        for (column, cell) in self.columns.iter().zip(&cells) {
            let mut field = BytesMut::new();
            if column.encoding.encode(cell.into(), &mut field).is_ok() {
                continue;
            }
            if !column.lossy || !column.put_nearest(cell.into(), &mut field) {
                // It never was staged.
                return Vec::new();
            }
            changed.push(column.name.clone());
        }
        changed
    }

    /// Counts what was changed in a staged row no more: the row is rejected.
    pub fn not_changed(&mut self, row: &[u8]) {
        if self.chunk.changed.is_empty() {
            return;
        }
        for column in self.changed_in(row) {
            if let Some(values) = self.chunk.changed.get_mut(&column) {
                *values = values.saturating_sub(1);
            }
        }
    }

    /// A row that arrived. Gives the positions of the cells that were changed to fit.
    fn pass_row(
        &self,
        position: u64,
        mut row: RowRef<'_>,
        out: &mut BytesMut,
    ) -> Result<Vec<usize>, DatabaseError> {
        self.begin_row(i64::try_from(position).unwrap_or(i64::MAX), out);
        let mut changed = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let Some(cell) = row.next_encoded() else {
                break;
            };
            let before = out.len();
            let Err(reason) = column.encoding.pass(cell, out) else {
                continue;
            };
            if self.is_direct() {
                return Err(self.needs_staging());
            }
            out.truncate(before);
            match cell.decode() {
                Some(cell) if column.lossy && column.put_nearest(cell, out) => changed.push(at),
                _ => return Err(self.unrepresentable(position, &column.name, reason)),
            }
        }
        Ok(changed)
    }

    /// A row that was rewritten, staged at the negated position, next to the row that it replaces.
    pub fn encode_rewritten<'a>(
        &self,
        position: u64,
        cells: impl Iterator<Item = CellRef<'a>>,
        out: &mut BytesMut,
    ) -> Result<(), DatabaseError> {
        self.begin_row(-i64::try_from(position).unwrap_or(i64::MAX), out);
        for (column, cell) in self.columns.iter().zip(cells) {
            let fits = column.encoding.encode(cell, out);
            fits.map_err(|reason| self.unrepresentable(position, &column.name, reason))?;
        }
        Ok(())
    }

    fn begin_row(&self, number: i64, out: &mut BytesMut) {
        // PostgreSQL has at most 1 600 columns; the staging has one more.
        let fields = self.columns.len() + usize::from(!self.is_direct());
        out.put_i16(i16::try_from(fields).unwrap_or(i16::MAX));
        if !self.is_direct() {
            out.put_i32(8);
            out.put_i64(number);
        }
    }

    fn unrepresentable(&self, position: u64, column: &str, reason: String) -> DatabaseError {
        DatabaseError::from(Unrepresentable {
            table: self.local.relation.table.clone(),
            row: position.to_string(),
            column: column.to_owned(),
            reason,
        })
    }
}
