use crate::bindings::types::{Dialect, ValueSource};

/// Quotes a name as an identifier; both databases agree on the form.
///
/// A NUL cannot be part of any name: it is dropped here, so that the name is simply not found.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// The expression for a column's new value, from expressions for its local and its incoming one.
/// None: the local value stays, or the source is one this version does not know.
#[must_use]
pub fn value_expression(
    source: &ValueSource,
    dialect: &Dialect,
    local: &str,
    incoming: &str,
) -> Option<String> {
    let extreme = |postgres: &str, sqlite: &str| match dialect {
        Dialect::Postgres => format!("{postgres}({local}, {incoming})"),
        // SQLite's scalar max and min are NULL as soon as one argument is.
        _ => format!("coalesce({sqlite}({local}, {incoming}), {local}, {incoming})"),
    };
    match source {
        ValueSource::KeepLocal | ValueSource::Other(_) => None,
        ValueSource::TakeIncoming => Some(incoming.to_owned()),
        ValueSource::Coalesce => Some(format!("coalesce({incoming}, {local})")),
        ValueSource::Greatest => Some(extreme("greatest", "max")),
        ValueSource::Least => Some(extreme("least", "min")),
    }
}
