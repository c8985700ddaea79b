//! The type of a column in the database where it was created first.

use crate::bindings::types::Column;

/// The origin of a column, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A type of PostgreSQL, as the database prints it.
    Postgres(&'a str),
    /// A type of SQLite, as it was declared; may be empty.
    Sqlite(&'a str),
    /// A type of another database, with its prefix.
    Other(&'a str),
}

impl<'a> From<&'a Column> for Origin<'a> {
    fn from(column: &'a Column) -> Self {
        match column.origin.split_once(':') {
            Some(("pg", name)) => Self::Postgres(name),
            Some(("sqlite", name)) => Self::Sqlite(name),
            _ => Self::Other(&column.origin),
        }
    }
}
