//! Encodes incoming rows as rows of a COPY stream: exactly, changed to fit where that is allowed, or not at all.

use bytes::{BufMut, Bytes, BytesMut};

use super::chunk_rows::RefusedRow;
use super::key_order::KeyOrder;
use super::merge_sql::Merge;
use super::readback::digest_of;
use super::staging::{Packed, PackedArray};
use crate::bindings::types::{ChangeKind, LogicalType};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::catalog::zones::Zones;
use crate::database::postgres::codec::fitting::{ColumnFit, Place};
use crate::database::postgres::codec::local_cells::CellForm;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::{DatabaseError, Step, TableWrite, Unrepresentable};
use crate::rows::{BucketDigest, CellRef, RowBlock, RowRef};

/// The bytes of a binary array before its elements.
const ARRAY_HEADER: i32 = 20;

/// One incoming column, and the column that it goes to.
#[derive(Clone, Debug)]
pub(super) struct EncodedColumn {
    pub name: String,
    /// The form that local cells have for the incoming column.
    pub form: Option<CellForm>,
    pub kind: ColumnType,
    fit: ColumnFit,
    /// Whether its documents have to be compared with what the type prints.
    keeps_document: bool,
    /// Where its staged value is, if not in a column of its own.
    packed: Option<Packed>,
}

impl EncodedColumn {
    /// Returns where its staged value is written: in the elements of its array, or in the row.
    fn sink<'a>(&self, packed: &'a mut [BytesMut], row: &'a mut BytesMut) -> &'a mut BytesMut {
        match self.packed.and_then(|place| packed.get_mut(place.array)) {
            Some(elements) => elements,
            None => row,
        }
    }

    /// Returns the logical type of the cells that arrive.
    pub fn incoming(&self) -> &LogicalType {
        self.fit.incoming()
    }

    /// Returns true if the column has the logical type of its cells, and no function of the type reads them.
    fn takes_cells(&self) -> bool {
        match self.kind.physical {
            PhysicalType::WideText(_) => true,
            PhysicalType::ByText => false,
            _ => {
                !self.keeps_document
                    && (self.fit.is_by_class() || *self.incoming() == self.kind.logical)
            }
        }
    }

    /// Returns true if a value has one canonical cell. SQLite has numbers and texts for a decimal, and PostgreSQL gives
    /// all of them back as texts.
    fn has_one_form(&self) -> bool {
        let is_decimal = *self.incoming() == LogicalType::Decimal;
        match self.kind.physical {
            PhysicalType::WideText(_) => true,
            _ if self.fit.is_by_class() => *self.incoming() == self.kind.logical && !is_decimal,
            _ => !is_decimal || self.fit.is_from_postgres(),
        }
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
    /// The staging's arrays.
    arrays: Vec<PackedArray>,
}

impl RowEncoder {
    /// Creates the encoder for incoming rows that are merged so.
    pub fn new(write: &TableWrite, local: &Description, merge: &Merge, zones: &Zones) -> Self {
        let columns = write.incoming.columns.iter().zip(&merge.columns);
        let columns = columns.map(|(incoming, staged)| {
            let name = &incoming.name;
            let local = local.column(name);
            let place = Place {
                policy: zones.policy(&write.conversion_of(name)),
                is_key: write.incoming.primary_key.contains(name) || write.plan.is_key(name),
                nullable: local.is_some_and(|(column, _)| column.nullable),
                is_new: write.create.is_some(),
            };
            EncodedColumn {
                name: name.clone(),
                kind: staged.kind.clone(),
                form: CellForm::of(&staged.kind, incoming),
                fit: ColumnFit::new(incoming, &staged.kind, place).staged_as(staged.encoded_as()),
                keeps_document: staged.keeps_document,
                packed: staged.packed,
            }
        });
        Self {
            table: write.incoming.table.clone(),
            columns: columns.collect(),
            arrays: merge.arrays.clone(),
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
            rows.put_i16(self.field_count());
            for column in &self.columns {
                let Some(cell) = row.next_encoded() else {
                    break;
                };
                if column.fit.put_exact(cell, &mut rows).is_err() {
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

    /// Appends a row for the staging that was encoded before; nothing if it has no place in the table.
    pub fn encode_again(&self, number: u64, row: RowRef<'_>, out: &mut BytesMut) {
        let start = out.len();
        if self.encode_row(number, row, out).is_err() {
            out.truncate(start);
        }
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
        let mut packed = vec![BytesMut::new(); self.arrays.len()];
        for (at, column) in self.columns.iter().enumerate() {
            let Some(cell) = row.next_encoded() else {
                break;
            };
            match column.fit.put(cell, column.sink(&mut packed, out)) {
                Ok(true) => changed.push(at),
                Ok(false) => {}
                Err(reason) => return Err(format!("column {:?}: {reason}", column.name)),
            }
        }
        self.put_arrays(&packed, out);
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
        let mut packed = vec![BytesMut::new(); self.arrays.len()];
        for (column, cell) in self.columns.iter().zip(cells) {
            let fits = column.fit.encode(cell, column.sink(&mut packed, out));
            fits.map_err(|reason| Unrepresentable {
                table: self.table.clone(),
                row: number.to_string(),
                column: column.name.clone(),
                reason,
            })?;
        }
        self.put_arrays(&packed, out);
        Ok(())
    }

    /// Appends the staging's arrays, whose elements have the form of fields.
    fn put_arrays(&self, packed: &[BytesMut], out: &mut BytesMut) {
        for (array, fields) in self.arrays.iter().zip(packed) {
            let length = i32::try_from(fields.len()).unwrap_or(i32::MAX);
            out.put_i32(length.saturating_add(ARRAY_HEADER));
            // One dimension, which may have NULLs and starts at 1.
            out.put_i32(1);
            out.put_i32(1);
            out.put_u32(array.oid);
            out.put_i32(i32::try_from(array.length).unwrap_or(i32::MAX));
            out.put_i32(1);
            out.put_slice(fields);
        }
    }

    /// Returns the names of the columns in which a staged row was changed to fit.
    pub fn changed_columns(&self, row: &[u8]) -> Vec<&str> {
        let Some(block) = self.only(row) else {
            return Vec::new();
        };
        let changed = self.encode_row(0, block.first_row(), &mut BytesMut::new());
        // A row that does not fit never was staged.
        let changed = changed.unwrap_or_default().into_iter();
        changed
            .filter_map(|at| self.columns.get(at))
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Returns what to add to the reason why PostgreSQL refused a row: the option that would have taken a value.
    pub fn advice(&self, row: &[u8]) -> Option<String> {
        let block = self.only(row)?;
        let mut row = block.first_row();
        self.columns.iter().find_map(|column| {
            let cell = row.next_encoded()?.decode()?;
            column.fit.advice(cell)
        })
    }

    /// Returns how the values of a column were changed.
    pub fn change_kind(&self, column: &str) -> ChangeKind {
        let mut columns = self.columns.iter();
        match columns.find(|own| own.name == column) {
            Some(own) if own.fit.keeps_meaning() => ChangeKind::Parsed,
            _ => ChangeKind::Nearest,
        }
    }

    fn only(&self, row: &[u8]) -> Option<RowBlock> {
        RowBlock::parse(Bytes::copy_from_slice(row), 1, self.columns.len()).ok()
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
        let packed = self.arrays.iter().map(|array| array.length).sum::<usize>();
        let own = self.columns.len().saturating_sub(packed);
        out.put_i16(i16::try_from(own + self.arrays.len() + 1).unwrap_or(i16::MAX));
        out.put_i32(8);
        out.put_i64(number);
    }

    fn field_count(&self) -> i16 {
        // PostgreSQL has at most 1 600 columns.
        i16::try_from(self.columns.len()).unwrap_or(i16::MAX)
    }
}
