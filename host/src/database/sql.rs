//! Pieces of SQL that both databases write alike.

use super::NewValue;
use crate::bindings::types::Dialect;

/// Quotes a name as an identifier; both databases agree on the form.
///
/// A NUL cannot be part of any name: it is dropped, so that the name is not found.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// Returns the expression for a column's new value, from expressions for its local and its incoming one.
#[must_use]
pub fn value_expression(value: NewValue, dialect: &Dialect, local: &str, incoming: &str) -> String {
    let extreme = |postgres: &str, sqlite: &str| match dialect {
        Dialect::Postgres => format!("{postgres}({local}, {incoming})"),
        // SQLite's scalar max and min are NULL as soon as one argument is.
        _ => format!("coalesce({sqlite}({local}, {incoming}), {local}, {incoming})"),
    };
    match value {
        NewValue::TakeIncoming => incoming.to_owned(),
        NewValue::Coalesce => format!("coalesce({incoming}, {local})"),
        NewValue::Greatest => extreme("greatest", "max"),
        NewValue::Least => extreme("least", "min"),
    }
}
