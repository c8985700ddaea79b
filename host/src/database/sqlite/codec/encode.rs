//! Converts rows to the values that a table stores, and back.

use super::storage::{LocalColumn, SqliteValue, SqliteValueRef, read_cell, to_storage};
use crate::bindings::types::{Cell, LogicalType, TableSchema};
use crate::database::DatabaseError;
use crate::database::sqlite::catalog::Table;
use crate::database::sqlite::raw::Row;
use crate::rows::{BlockBuilder, CellRef, RowBlock, RowRef, format_primary_key};

/// The incoming columns, and the columns of the table that they go to.
#[derive(Debug)]
pub struct RowLayout {
    incoming: TableSchema,
    /// In the order of the incoming columns.
    columns: Vec<LocalColumn>,
}

impl RowLayout {
    /// Matches the columns by name; the table has all incoming ones.
    pub fn new(incoming: TableSchema, local: &Table) -> Self {
        let column_of = |name: &str| {
            local
                .storage
                .iter()
                .find(|local| local.name == name)
                .cloned()
        };
        let columns = incoming
            .columns
            .iter()
            .filter_map(|column| column_of(&column.name))
            .collect();
        Self { incoming, columns }
    }

    /// Returns the table's name.
    pub fn table(&self) -> &str {
        &self.incoming.table
    }

    /// Returns the error that says why rows cannot be written to the table.
    pub fn unsuitable(&self, reason: &str) -> DatabaseError {
        DatabaseError::Unsuitable {
            table: self.table().to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Returns the number of cells of a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Replaces `values` by the values that the table stores for a row. Returns false if reading them gives some cells in
    /// another form of the same value. The error names the column that cannot hold its cell, and why, without the value.
    pub fn store<'a>(
        &self,
        row: impl Iterator<Item = CellRef<'a>>,
        values: &mut Vec<SqliteValue<'a>>,
    ) -> Result<bool, String> {
        values.clear();
        let mut exact = true;
        for ((cell, incoming), column) in row.zip(&self.incoming.columns).zip(&self.columns) {
            let value = to_storage(cell, &incoming.logical, column)
                .map_err(|reason| format!("column {:?}: {reason}", column.name))?;
            // Only decimals have several forms.
            exact &= incoming.logical != LogicalType::Decimal || is_exact(cell, value.borrow());
            values.push(value);
        }
        match values.len() == self.columns.len() {
            true => Ok(exact),
            false => Err("it has another number of cells than announced".to_owned()),
        }
    }

    /// Returns the cells of a stored row, from a column of the result on. Errors are as for [`Self::store`].
    pub fn read(&self, row: Row<'_>, first: usize) -> Result<Vec<Cell>, String> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for (index, column) in self.incoming.columns.iter().enumerate() {
            let unreadable = |reason: &str| format!("column {:?}: {reason}", column.name);
            let value = row.get(first + index).map_err(unreadable)?;
            let mut scratch = [0; 16];
            let cell =
                read_cell(value, column, &mut scratch).map_err(|reason| unreadable(&reason))?;
            cells.push(cell.to_cell());
        }
        Ok(cells)
    }

    /// Returns a row's primary key as one encoded row; none without a primary key.
    pub fn primary_key(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        let cells: Vec<_> = row.collect();
        let mut builder = BlockBuilder::new(self.incoming.primary_key.len());
        for index in self.key_positions() {
            builder.push(*cells.get(index?)?);
        }
        builder.end_row();
        (!self.incoming.primary_key.is_empty()).then(|| builder.take().data().to_vec())
    }

    /// Returns a row's primary key for messages, shortened; empty without a primary key.
    pub fn shown_key(&self, row: &[u8]) -> String {
        let cells = RowBlock::parse_row(row).unwrap_or_default();
        format_primary_key(&self.incoming, &cells)
    }

    fn key_positions(&self) -> impl Iterator<Item = Option<usize>> {
        self.incoming.primary_key.iter().map(|name| {
            self.incoming
                .columns
                .iter()
                .position(|column| column.name == *name)
        })
    }
}

/// Returns true if a value has the same bits as its cell.
fn is_exact(cell: CellRef<'_>, value: SqliteValueRef<'_>) -> bool {
    match (cell, value) {
        (CellRef::Real(cell), SqliteValueRef::Real(value)) => cell.to_bits() == value.to_bits(),
        (CellRef::Null, SqliteValueRef::Null) => true,
        (CellRef::Integer(cell), SqliteValueRef::Integer(value)) => cell == value,
        (CellRef::Text(cell), SqliteValueRef::Text(value)) => cell == value,
        (CellRef::Bytes(cell), SqliteValueRef::Blob(value)) => cell == value,
        _ => false,
    }
}
