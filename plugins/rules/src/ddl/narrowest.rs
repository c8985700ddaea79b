//! The narrowest type of PostgreSQL that holds what a column of SQLite really holds.

use super::literal::Holds;
use super::sqlite::affinity;
use super::{Declaration, Origin, postgres};
use crate::bindings::types::{Column, CreateOptions, LogicalType, ValueKind};

/// How a column is created.
pub enum Narrowest {
    /// By its declared type.
    Declared,
    /// By another type than the declared one.
    Type(Declaration),
    /// As `text` in the form that holds every value.
    Wide,
}

/// Decides how a column is created.
pub fn of(column: &Column, options: &CreateOptions) -> Narrowest {
    let Origin::Sqlite(declared) = Origin::from(column) else {
        return Narrowest::Declared;
    };
    if !postgres::can_be_wider(column) || options.keep.contains(&column.name) {
        return Narrowest::Declared;
    }
    if options.widen.contains(&column.name) {
        return Narrowest::Wide;
    }
    let mut known = options.facts.values.iter();
    match known.find(|values| values.column == column.name) {
        Some(values) if !values.kinds.is_empty() => {
            by_kinds(&column.logical, declared, &values.kinds)
        }
        _ => Narrowest::Declared,
    }
}

fn by_kinds(logical: &LogicalType, declared: &str, kinds: &[ValueKind]) -> Narrowest {
    use ValueKind as K;
    let only = |allowed: &[K]| kinds.iter().all(|kind| allowed.contains(kind));
    let new = |sql_type: &str, holds| Narrowest::Type(Declaration::new(sql_type, holds));
    // In a column of another affinity, an integer and a real can be the same number.
    let tells_reals = matches!(affinity(declared), "INTEGER" | "NUMERIC") && !declared.is_empty();
    match logical {
        LogicalType::Boolean if only(&[K::Truth]) => Narrowest::Declared,
        LogicalType::Decimal if tells_reals && only(&[K::Truth, K::Integer, K::Real]) => {
            Narrowest::Declared
        }
        _ if only(&[K::Truth, K::Integer]) => new("bigint", Holds::Integer),
        _ if only(&[K::Real, K::Infinity]) => new("double precision", Holds::Number),
        _ if tells_reals && only(&[K::Truth, K::Integer, K::Real]) => new("numeric", Holds::Number),
        _ if only(&[K::Text]) => new("text", Holds::Text),
        _ if only(&[K::Bytes]) => new("bytea", Holds::Other),
        _ => Narrowest::Wide,
    }
}
