//! Converts the rows of a peer to what PostgreSQL would give back of them.

use bytes::BytesMut;

use super::catalog::Description;
use super::catalog::zones::Zones;
use super::codec::decode;
use super::codec::fitting::{ColumnFit, Place, Policy};
use super::codec::types::{NumericLimit, PhysicalType};
use super::codec::wide_text::Scratch;
use crate::bindings::types::{Conversion, TableSchema};
use crate::database::{ConvertedBlock, Misfit, RowConverter};
use crate::rows::{BlockBuilder, CellRef, RowBlock, RowRef};

/// Converts the rows of one table.
pub(super) struct PostgresConverter {
    columns: Vec<Column>,
    held: TableSchema,
}

struct Column {
    name: String,
    fit: ColumnFit,
    physical: PhysicalType,
}

impl PostgresConverter {
    /// Creates a converter into a table that exists; none if every row is held as it is sent. Values that would be changed
    /// to the nearest one do not fit.
    pub fn new(
        incoming: &TableSchema,
        local: &Description,
        policies: &[(String, Conversion)],
        zones: &Zones,
    ) -> Option<Self> {
        let mut columns = Vec::with_capacity(incoming.columns.len());
        let mut held = incoming.clone();
        for (column, held) in incoming.columns.iter().zip(&mut held.columns) {
            let (own, kind) = local.column(&column.name)?;
            let mut named = policies.iter().filter(|(name, _)| *name == column.name);
            let policy = named.next().map(|(_, policy)| zones.policy(policy));
            let place = Place {
                policy: match policy {
                    Some(Policy::Lossy) => Policy::Parse(Default::default()),
                    Some(policy) => policy,
                    None => Policy::Exact,
                },
                is_key: incoming.primary_key.contains(&column.name),
                nullable: own.nullable,
                is_new: false,
            };
            if !matches!(kind.physical, PhysicalType::WideText(_)) {
                // Rows are compared in the column's own form, whatever it was made for.
                held.logical = kind.logical.clone();
                held.origin = kind.origin().to_string();
            }
            columns.push(Column {
                name: column.name.clone(),
                fit: ColumnFit::new(column, kind, place),
                physical: kind.physical,
            });
        }
        let converts = columns.iter().any(|column| column.fit.converts());
        converts.then_some(Self { columns, held })
    }

    /// Adds a row to a block.
    fn add(
        &self,
        position: u32,
        mut row: RowRef<'_>,
        block: &mut BlockBuilder,
        misfits: &mut Vec<Misfit>,
    ) {
        for column in &self.columns {
            let Some(cell) = row.next_encoded() else {
                break;
            };
            let mut field = BytesMut::new();
            let put = column.fit.put(cell, &mut field);
            let mut scratch = Scratch::default();
            match (&put, field.get(4..)) {
                (Err(reason), _) => {
                    misfits.push(Misfit {
                        row: position,
                        column: column.name.clone(),
                        reason: reason.clone(),
                    });
                    block.push(cell.decode().unwrap_or(CellRef::Null));
                }
                (Ok(_), Some(data)) if field.get(..4) != Some(&[0xff; 4]) => {
                    let held = decode::cell(column.physical, data, &mut scratch, 1);
                    match (column.physical, held) {
                        (PhysicalType::Numeric(Some(limit)), Ok(CellRef::Text(digits))) => {
                            block.push(CellRef::Text(&with_scale(digits, limit)));
                        }
                        (_, Ok(held)) => block.push(held),
                        (_, Err(_)) => block.push(cell.decode().unwrap_or(CellRef::Null)),
                    }
                }
                (Ok(_), _) => block.push(CellRef::Null),
            }
        }
        block.end_row();
    }
}

impl RowConverter for PostgresConverter {
    fn held(&self) -> &TableSchema {
        &self.held
    }

    fn convert(&self, block: &RowBlock) -> ConvertedBlock {
        let mut builder = BlockBuilder::new(self.columns.len());
        let mut misfits = Vec::new();
        for (position, row) in (0..).zip(block.rows()) {
            self.add(position, row, &mut builder, &mut misfits);
        }
        ConvertedBlock {
            rows: builder.take(),
            misfits,
        }
    }
}

/// Returns a number that fits with as many digits behind the point as its column prints.
fn with_scale(digits: &str, limit: NumericLimit) -> String {
    let scale = usize::try_from(limit.scale).unwrap_or_default();
    let is_number = digits.bytes().any(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    match (is_number, scale) {
        (false, _) => digits.to_owned(),
        (true, 0) => whole.to_owned(),
        // What lies beyond are zeros, or it would not fit.
        (true, _) => {
            let kept: String = fraction.chars().take(scale).collect();
            format!("{whole}.{kept:0<scale$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_with_the_scale_of_their_column() {
        let limit = |scale| NumericLimit {
            precision: 10,
            scale,
        };
        for (digits, scale, expected) in [
            ("1.5", 2, "1.50"),
            ("-7", 2, "-7.00"),
            ("1.500", 2, "1.50"),
            ("7.00", 0, "7"),
            ("1200", -2, "1200"),
            ("NaN", 2, "NaN"),
        ] {
            assert_eq!(with_scale(digits, limit(scale)), expected, "{digits}");
        }
    }
}
