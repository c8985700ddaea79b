//! What a declared type means: to SQLite its affinity, to a peer its logical type.

use crate::bindings::types::LogicalType;

/// How SQLite treats values on their way into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing is converted.
    Blob,
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one; whole floating-point numbers become integers.
    Numeric,
    /// As [`Self::Numeric`].
    Integer,
    /// As [`Self::Numeric`], and integers become floating-point numbers.
    Real,
}

impl Affinity {
    /// The rules of <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
    pub fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        if strict && declared == "ANY" {
            Self::Blob
        } else if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Whether text that looks like a number becomes one.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Numeric | Self::Integer | Self::Real)
    }
}

/// How the cells of a column with this origin are to be read.
pub fn logical_of(origin: &str) -> LogicalType {
    match origin.split_once(':') {
        Some(("pg", name)) => postgres(name),
        Some(("sqlite", declared)) => declared_type(declared),
        _ => LogicalType::Other(origin.to_owned()),
    }
}

fn declared_type(declared: &str) -> LogicalType {
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
        // Its modifiers are words: `interval day to second(3)`.
        plain if plain.split(' ').next() == Some("interval") && !plain.ends_with("[]") => {
            LogicalType::Interval
        }
        _ => LogicalType::Other(name.to_owned()),
    }
}

/// `timestamp(3) without time zone` without its `(3)`.
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
    fn affinities_follow_the_documented_rules() {
        for (declared, affinity) in [
            ("INT", Affinity::Integer),
            ("point", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("NVARCHAR(160)", Affinity::Text),
            ("BLOBTEXT", Affinity::Text),
            ("", Affinity::Blob),
            ("BLOB", Affinity::Blob),
            ("DOUBLE PRECISION", Affinity::Real),
            ("BLOBREAL", Affinity::Blob),
            ("STRING", Affinity::Numeric),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ] {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Blob);
    }

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
