//! The logical types of columns, by their origins.

use super::Origin;
use crate::bindings::types::LogicalType;

/// What stands between the name of a domain and its base type, which is built in: no such type has it in its name.
pub const OVER: &str = " over ";

/// Returns how the cells of a column with this origin are read.
#[must_use]
pub fn logical_of(origin: &str) -> LogicalType {
    match Origin::parse(origin) {
        Origin::Postgres(name) => postgres(base_of(&name)),
        Origin::Sqlite(declared) => sqlite(&declared),
        Origin::Other(other) => LogicalType::Other(other),
    }
}

/// Returns the base type of a domain, and every other type as it is.
fn base_of(name: &str) -> &str {
    let parts = name.rsplit_once(OVER);
    // A name in quotes may have these words in it, and then ends with a quote.
    parts
        .map(|(_, base)| base)
        .filter(|base| !base.ends_with('"'))
        .unwrap_or(name)
}

/// Reads a declared type.
fn sqlite(declared: &str) -> LogicalType {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    if declared.is_empty() || declared == "ANY" {
        LogicalType::Any
    } else if has(&["INT"]) {
        LogicalType::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        LogicalType::Text
    } else if has(&["BLOB"]) {
        LogicalType::Bytes
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        LogicalType::Float
    } else if declared.starts_with("BOOL") {
        LogicalType::Boolean
    } else if declared.starts_with("NUMERIC") || declared.starts_with("DECIMAL") {
        LogicalType::Decimal
    } else {
        LogicalType::Text
    }
}

/// Reads what PostgreSQL's `format_type` prints.
fn postgres(name: &str) -> LogicalType {
    match without_modifier(name).as_str() {
        "boolean" => LogicalType::Boolean,
        "smallint" | "integer" | "bigint" => LogicalType::Integer,
        "real" | "double precision" => LogicalType::Float,
        "numeric" => LogicalType::Decimal,
        "text" | "character varying" | "character" | "bpchar" | "name" => LogicalType::Text,
        "bytea" => LogicalType::Bytes,
        "date" => LogicalType::Date,
        "time without time zone" => LogicalType::Time,
        "time with time zone" => LogicalType::Timetz,
        "timestamp without time zone" => LogicalType::Timestamp,
        "timestamp with time zone" => LogicalType::Timestamptz,
        "uuid" => LogicalType::Uuid,
        "json" | "jsonb" => LogicalType::Json,
        // Modifiers of intervals are words: `interval day to second(3)`.
        plain if plain.split(' ').next() == Some("interval") && !plain.ends_with("[]") => {
            LogicalType::Interval
        }
        _ => LogicalType::Other(name.to_owned()),
    }
}

/// Returns `timestamp(3) without time zone` without its `(3)`.
fn without_modifier(name: &str) -> String {
    match (name.find('('), name.find(')')) {
        (Some(open), Some(close)) if open < close => {
            let (before, rest) = name.split_at(open);
            let (_, after) = rest.split_at(close - open + 1);
            format!("{before}{after}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_say_how_cells_are_read() {
        for (declared, logical) in [
            ("INTEGER", LogicalType::Integer),
            ("bigint", LogicalType::Integer),
            ("NVARCHAR(160)", LogicalType::Text),
            ("BLOB", LogicalType::Bytes),
            ("FLOAT", LogicalType::Float),
            ("boolean", LogicalType::Boolean),
            ("NUMERIC(10,2)", LogicalType::Decimal),
            ("DECIMAL", LogicalType::Decimal),
            ("", LogicalType::Any),
            ("any", LogicalType::Any),
            ("DATETIME", LogicalType::Text),
            ("JSON", LogicalType::Text),
        ] {
            assert_eq!(logical_of(&format!("sqlite:{declared}")), logical);
        }
    }

    #[test]
    fn origins_in_postgresql_keep_their_meaning() {
        for (name, logical) in [
            ("boolean", LogicalType::Boolean),
            ("bigint", LogicalType::Integer),
            ("double precision", LogicalType::Float),
            ("numeric(12,2)", LogicalType::Decimal),
            ("character varying(20)", LogicalType::Text),
            ("character(5)", LogicalType::Text),
            ("bytea", LogicalType::Bytes),
            ("date", LogicalType::Date),
            ("time(3) without time zone", LogicalType::Time),
            ("time with time zone", LogicalType::Timetz),
            ("timestamp(6) without time zone", LogicalType::Timestamp),
            ("timestamp with time zone", LogicalType::Timestamptz),
            ("interval day to second(3)", LogicalType::Interval),
            ("uuid", LogicalType::Uuid),
            ("jsonb", LogicalType::Json),
            ("cents over numeric(12,2)", LogicalType::Decimal),
            ("\"a over b\" over boolean", LogicalType::Boolean),
            ("\"a over b\"", LogicalType::Other("\"a over b\"".into())),
            ("integer[]", LogicalType::Other("integer[]".into())),
            (
                "numeric(3,1)[]",
                LogicalType::Other("numeric(3,1)[]".into()),
            ),
            ("interval[]", LogicalType::Other("interval[]".into())),
            ("inet)(", LogicalType::Other("inet)(".into())),
        ] {
            assert_eq!(logical_of(&format!("pg:{name}")), logical, "{name}");
        }
    }
}
