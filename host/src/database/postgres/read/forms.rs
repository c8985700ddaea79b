//! Brings local rows into the form in which rows of another database have the same values.

use crate::bindings::types::LogicalType;
use crate::database::postgres::catalog::Description;
use crate::database::postgres::codec::local_cells;
use crate::database::postgres::codec::types::PhysicalType;
use crate::database::{Origin, Read};
use crate::rows::{BlockBuilder, RowBlock};

/// The columns of a table that arrives, and what the local ones have.
pub(in crate::database::postgres) struct Forms {
    columns: Vec<Form>,
}

struct Form {
    local: LogicalType,
    arriving: LogicalType,
    /// Whether numbers arrive in SQLite's storage classes.
    has_classes: bool,
}

impl Forms {
    /// Returns none if local rows have the form of those that arrive.
    pub fn of(local: &Description, read: Read<'_>) -> Option<Self> {
        if !read.as_arriving {
            return None;
        }
        let columns = read.table.columns.iter().map(|arriving| {
            let (_, kind) = local.column(&arriving.name)?;
            // Such a column has each value as it was sent.
            let is_wide = matches!(kind.physical, PhysicalType::WideText(_));
            let is_decimal = arriving.logical == LogicalType::Decimal;
            let from_sqlite = matches!(Origin::parse(&arriving.origin), Origin::Sqlite(_));
            Some(Form {
                local: match is_wide {
                    true => arriving.logical.clone(),
                    false => kind.logical.clone(),
                },
                arriving: arriving.logical.clone(),
                has_classes: is_decimal && from_sqlite && !is_wide,
            })
        });
        let columns: Vec<Form> = columns.collect::<Option<_>>()?;
        let differ = |form: &Form| form.has_classes || form.local != form.arriving;
        columns.iter().any(differ).then_some(Self { columns })
    }

    /// Returns the rows in the form of those that arrive.
    pub fn apply(&self, block: &RowBlock) -> RowBlock {
        let mut rows = BlockBuilder::new(self.columns.len());
        for row in block.rows() {
            for (form, cell) in self.columns.iter().zip(row) {
                let cell = match form.has_classes {
                    true => local_cells::in_sqlite_form(cell, &form.local),
                    false => local_cells::in_form_of(cell, &form.local, &form.arriving),
                };
                rows.push((&cell).into());
            }
            rows.end_row();
        }
        rows.take()
    }
}
