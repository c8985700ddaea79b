//! Encodes incoming rows as rows of a COPY stream: exactly, changed to fit where that is allowed, or not at all.

use bytes::{BufMut, BytesMut};

use super::chunk_rows::RefusedRow;
use super::key_order::KeyOrder;
use super::readback::digest_of;
use super::staging::StagedColumn;
use crate::bindings::types::{Conversion, LogicalType};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::codec::encode::ColumnEncoding;
use crate::database::postgres::codec::local_cells::CellForm;
use crate::database::postgres::codec::lossy;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::{DatabaseError, Origin, Step, TableWrite, Unrepresentable};
use crate::rows::{BucketDigest, CellRef, RowBlock, RowRef};

/// One incoming column, and the column that it goes to.
#[derive(Clone, Debug)]
pub(super) struct EncodedColumn {
    pub name: String,
    /// The logical type of its cells.
    pub incoming: LogicalType,
    /// The form that local cells have for the incoming column.
    pub form: Option<CellForm>,
    pub kind: ColumnType,
    encoding: ColumnEncoding,
    /// Whether it comes from PostgreSQL.
    from_postgres: bool,
    /// Whether the nearest value takes the place of one that does not fit.
    lossy: bool,
    nullable: bool,
}

impl EncodedColumn {
    /// Returns true if the column has the logical type of its cells, and no function of the type reads them.
    fn takes_cells(&self) -> bool {
        match self.kind.physical {
            PhysicalType::WideText(_) => true,
            PhysicalType::ByText => false,
            _ => self.encoding.by_class || self.incoming == self.kind.logical,
        }
    }

    /// Returns true if a value has one canonical cell. SQLite has numbers and texts for a decimal, and PostgreSQL gives
    /// all of them back as texts.
    fn has_one_form(&self) -> bool {
        match self.kind.physical {
            PhysicalType::WideText(_) => true,
            _ if self.encoding.by_class => {
                self.incoming == self.kind.logical && self.incoming != LogicalType::Decimal
            }
            _ => self.incoming != LogicalType::Decimal || self.from_postgres,
        }
    }

    /// Appends the nearest value that the column can hold; false if there is none, not even NULL.
    fn put_nearest(&self, cell: CellRef<'_>, out: &mut BytesMut) -> bool {
        let before = out.len();
        if let Some((incoming, cell)) = lossy::nearest(cell, &self.incoming, self.kind.physical) {
            let encoding = ColumnEncoding {
                incoming,
                by_class: false,
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

/// Rows for the staging.
pub(super) struct StagedBlock {
    /// Rows of a COPY stream.
    pub rows: BytesMut,
    /// Rows that no column can hold: they are left out.
    pub unfit: Vec<RefusedRow>,
    /// How many values were changed to fit, for each column.
    pub changed: Vec<u64>,
}

/// Rows for the table itself.
pub(super) struct DirectBlock {
    /// Rows of a COPY stream.
    pub rows: BytesMut,
    /// Their digest, as [`digest_of`] has it.
    pub digest: BucketDigest,
}

/// Encodes the rows of one table.
#[derive(Clone, Debug)]
pub(super) struct RowEncoder {
    table: String,
    columns: Vec<EncodedColumn>,
}

impl RowEncoder {
    /// Creates the encoder for incoming rows; `staged` are their columns in order.
    pub fn new(write: &TableWrite, local: &Description, staged: &[StagedColumn]) -> Self {
        // Another key would be that of another row.
        let may_change = |name: &String| {
            write.conversion_of(name) == Conversion::Lossy
                && !write.incoming.primary_key.contains(name)
                && !write.plan.is_key(name)
        };
        let columns = write.incoming.columns.iter().zip(staged);
        let columns = columns.map(|(incoming, staged)| {
            let from_postgres = Origin::parse(&incoming.origin).is_postgres();
            let local = local.column(&incoming.name);
            EncodedColumn {
                lossy: may_change(&incoming.name),
                nullable: local.is_some_and(|(column, _)| column.nullable),
                name: incoming.name.clone(),
                kind: staged.kind.clone(),
                encoding: ColumnEncoding {
                    incoming: incoming.logical.clone(),
                    local: staged.kind.logical.clone(),
                    physical: staged.kind.physical,
                    by_class: Origin::parse(&incoming.origin).is_sqlite(),
                    check_documents: !from_postgres,
                },
                from_postgres,
                form: CellForm::of(&staged.kind, incoming),
                incoming: incoming.logical.clone(),
            }
        });
        Self {
            table: write.incoming.table.clone(),
            columns: columns.collect(),
        }
    }

    /// Returns the incoming columns in order.
    pub fn columns(&self) -> &[EncodedColumn] {
        &self.columns
    }

    /// Returns true if every column can take its cells as they arrive.
    pub fn takes_cells(&self) -> bool {
        self.columns.iter().all(EncodedColumn::takes_cells)
    }

    /// Returns true if every value has one canonical cell.
    pub fn has_one_form(&self) -> bool {
        self.columns.iter().all(EncodedColumn::has_one_form)
    }

    /// Encodes a block for the table itself. It needs a staging if a value does not fit.
    pub fn encode_direct(&self, block: &RowBlock) -> Result<Step<DirectBlock>, DatabaseError> {
        let mut rows = self.buffer(block)?;
        let mut digest = BucketDigest::default();
        for mut row in block.rows() {
            let before = rows.len();
            rows.put_i16(self.field_count(0));
            for column in &self.columns {
                let Some(cell) = row.next_encoded() else {
                    break;
                };
                if column.encoding.copy_cell(cell, &mut rows).is_err() {
                    return Ok(Step::NeedsStaging);
                }
            }
            digest.add(digest_of(rows.get(before..).unwrap_or_default()));
        }
        Ok(Step::Done(DirectBlock { rows, digest }))
    }

    /// Encodes a block for the staging; its rows are numbered from the one after `before`. `key_order` follows all of
    /// them.
    pub fn encode_staged(
        &self,
        block: &RowBlock,
        before: u64,
        key_order: &mut KeyOrder,
    ) -> Result<StagedBlock, DatabaseError> {
        let mut staged = StagedBlock {
            rows: self.buffer(block)?,
            unfit: Vec::new(),
            changed: vec![0; self.columns.len()],
        };
        let mut number = before;
        for row in block.rows() {
            number += 1;
            key_order.follow(row);
            let start = staged.rows.len();
            match self.encode_row(number, row, &mut staged.rows) {
                Ok(changed) => {
                    for at in changed {
                        if let Some(values) = staged.changed.get_mut(at) {
                            *values += 1;
                        }
                    }
                }
                Err(reason) => {
                    staged.rows.truncate(start);
                    let row = number;
                    staged.unfit.push(RefusedRow { row, reason });
                }
            }
        }
        Ok(staged)
    }

    /// Appends a row for the staging. Returns the positions of the cells that were changed to fit, or why the row has
    /// no place in the table.
    fn encode_row(
        &self,
        number: u64,
        mut row: RowRef<'_>,
        out: &mut BytesMut,
    ) -> Result<Vec<usize>, String> {
        self.begin_staged_row(i64::try_from(number).unwrap_or(i64::MAX), out);
        let mut changed = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let Some(cell) = row.next_encoded() else {
                break;
            };
            let before = out.len();
            let Err(reason) = column.encoding.copy_cell(cell, out) else {
                continue;
            };
            out.truncate(before);
            match cell.decode() {
                Some(cell) if column.lossy && column.put_nearest(cell, out) => changed.push(at),
                _ => return Err(format!("column {:?}: {reason}", column.name)),
            }
        }
        Ok(changed)
    }

    /// Appends a row that takes the place of a staged one; it is staged next to it, at the negated number. Fails with
    /// [`DatabaseError::Unrepresentable`] if a value does not fit.
    pub fn encode_rewritten<'a>(
        &self,
        number: u64,
        cells: impl Iterator<Item = CellRef<'a>>,
        out: &mut BytesMut,
    ) -> Result<(), DatabaseError> {
        self.begin_staged_row(-i64::try_from(number).unwrap_or(i64::MAX), out);
        for (column, cell) in self.columns.iter().zip(cells) {
            let fits = column.encoding.encode(cell, out);
            fits.map_err(|reason| Unrepresentable {
                table: self.table.clone(),
                row: number.to_string(),
                column: column.name.clone(),
                reason,
            })?;
        }
        Ok(())
    }

    /// Returns the names of the columns in which a staged row was changed to fit.
    pub fn changed_columns(&self, row: &[u8]) -> Vec<&str> {
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
            changed.push(column.name.as_str());
        }
        changed
    }

    /// Returns a buffer for a block, if its rows have the announced width.
    fn buffer(&self, block: &RowBlock) -> Result<BytesMut, DatabaseError> {
        if block.column_count() == self.columns.len() {
            let bytes = block.data().len();
            return Ok(BytesMut::with_capacity(bytes + bytes / 4));
        }
        Err(DatabaseError::Unsuitable {
            table: self.table.clone(),
            reason: format!(
                "its rows have {} cells instead of the announced {}",
                block.column_count(),
                self.columns.len()
            ),
        })
    }

    fn begin_staged_row(&self, number: i64, out: &mut BytesMut) {
        out.put_i16(self.field_count(1));
        out.put_i32(8);
        out.put_i64(number);
    }

    fn field_count(&self, more: usize) -> i16 {
        // PostgreSQL has at most 1 600 columns; the staging has one more.
        i16::try_from(self.columns.len() + more).unwrap_or(i16::MAX)
    }
}
