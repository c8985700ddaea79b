//! The columns of a table whose values are sent.

use crate::bindings::types::{Column, Generation, TableSchema};

/// Returns the columns whose values are sent: all but those that the source's database computes.
pub fn sent_columns(table: &TableSchema) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    columns.filter(|column| column.generation != Generation::Computed)
}

/// Returns whether the values of the column with this name are sent.
pub fn is_sent(name: &str, table: &TableSchema) -> bool {
    sent_columns(table).any(|column| column.name == name)
}
