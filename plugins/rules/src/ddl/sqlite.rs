//! The types of columns that are created in SQLite.

use super::literal::Holds;
use super::{Declaration, Origin, quote};
use crate::bindings::types::{Column, Generation, LogicalType};

/// The types that are written without quotes; every parser prints them as they are.
const PLAIN: &[&str] = &[
    "BIGINT",
    "BLOB",
    "BOOLEAN",
    "DATE",
    "DATETIME",
    "INT",
    "INTEGER",
    "NUMERIC",
    "REAL",
    "SMALLINT",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
];

/// Those of them that may have a length or a precision.
const WITH_LENGTH: &[&str] = &["CHAR", "NUMERIC", "DECIMAL", "NVARCHAR", "VARCHAR"];

/// Those that may have a precision and a scale.
const WITH_SCALE: &[&str] = &["DECIMAL", "NUMERIC"];

/// Returns the declaration of one column. `only_key`: the column is the whole primary key.
#[must_use]
pub fn declare(column: &Column, only_key: bool) -> Declaration {
    let mut declaration = match Origin::from(column) {
        Origin::Sqlite(name) => Declaration::new(&written(name), Holds::Same),
        _ => by_logical_type(&column.logical),
    };
    let identity = matches!(
        column.generation,
        Generation::IdentityAlways | Generation::IdentityDefault
    );
    if identity && only_key && column.logical == LogicalType::Integer {
        // With exactly this type the key is the rowid, which SQLite numbers.
        if !is_integer(&declaration.sql_type) {
            declaration = Declaration::new("INTEGER", Holds::Integer);
        }
        declaration.numbering = Some("");
    } else if only_key
        && matches!(Origin::from(column), Origin::Sqlite(_))
        && is_integer(&declaration.sql_type)
    {
        // INT has the same affinity and does not make the key the rowid, which holds only integers.
        declaration = Declaration::new("INT", Holds::Same)
            .without("its type \"INTEGER\", which would number the key".to_owned());
    }
    declaration
}

fn by_logical_type(logical: &LogicalType) -> Declaration {
    match logical {
        LogicalType::Boolean | LogicalType::Integer => Declaration::new("INTEGER", Holds::Integer),
        LogicalType::Float => Declaration::new("REAL", Holds::Number),
        LogicalType::Bytes => Declaration::new("BLOB", Holds::Other),
        LogicalType::Decimal => Declaration::new("TEXT", Holds::Digits),
        LogicalType::Timestamp | LogicalType::Timestamptz => {
            Declaration::new("TEXT", Holds::Moment)
        }
        LogicalType::Uuid => Declaration::new("TEXT", Holds::Other),
        LogicalType::Text
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timetz
        | LogicalType::Interval
        | LogicalType::Json
        | LogicalType::Any
        | LogicalType::Other(_) => Declaration::new("TEXT", Holds::Text),
    }
}

/// Returns a declared type so that SQLite keeps exactly this text: it takes a name in quotes as a type.
fn written(name: &str) -> String {
    if name.is_empty() || is_plain(name) {
        name.to_owned()
    } else {
        quote(name)
    }
}

/// Returns whether a written type is the one that makes a key the rowid.
fn is_integer(sql_type: &str) -> bool {
    sql_type.trim_matches('"').eq_ignore_ascii_case("INTEGER")
}

/// Returns whether a declared type needs no quotes.
fn is_plain(name: &str) -> bool {
    let (word, modifiers) = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((word, modifiers)) => (word, modifiers.split(',').collect()),
        None => (name, Vec::new()),
    };
    let known = match modifiers.len() {
        0 => PLAIN,
        1 => WITH_LENGTH,
        2 => WITH_SCALE,
        _ => return false,
    };
    let small = |text: &&str| {
        (1..=9).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (!text.starts_with('0') || text.len() == 1)
    };
    known.contains(&word) && modifiers.iter().all(small)
}

/// Returns the affinity of a declared type, as section 3.1 of "Datatypes In SQLite" defines it.
pub fn affinity(name: &str) -> &'static str {
    let name = name.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["INT"]) {
        "INTEGER"
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        "TEXT"
    } else if has(&["BLOB"]) {
        "BLOB"
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        "REAL"
    } else {
        "NUMERIC"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every type of the lists, and some that need quotes.
    pub(in crate::ddl) fn all_types() -> Vec<String> {
        let plain = PLAIN.iter().map(ToString::to_string);
        let with_length = WITH_LENGTH.iter().map(|name| format!("{name}(10)"));
        let with_scale = WITH_SCALE.iter().map(|name| format!("{name}(10,2)"));
        let others = OTHERS.iter().map(ToString::to_string);
        plain
            .chain(with_length)
            .chain(with_scale)
            .chain(others)
            .collect()
    }

    const OTHERS: [&str; 20] = [
        "Int",
        "boolean",
        "DECIMAL(10, 2)",
        "varchar (20)",
        "DOUBLE PRECISION",
        "UNSIGNED BIG INT",
        "INTEGER NON",
        "INTEGER   NON",
        "NATIVE CHARACTER(70)",
        "BLOB SUB_TYPE 0",
        "FLOAT(+1,-2)",
        "x); DROP TABLE y; --",
        "DECIMAL()",
        "größe",
        "[x]",
        "my \"own\" 'type'",
        "VARCHAR(/* c */ 10)",
        "PRIMARY",
        "NUMERIC(010)",
        "a\nb\\",
    ];

    #[test]
    fn only_usual_types_have_no_quotes() {
        assert_eq!(written(""), "");
        for name in all_types() {
            let other = OTHERS.contains(&name.as_str());
            assert_eq!(written(&name) == name, !other, "{name}");
        }
    }

    #[test]
    fn affinities_are_those_of_sqlite() {
        for (name, expected) in [
            ("UNSIGNED BIG INT", "INTEGER"),
            ("NATIVE CHARACTER(70)", "TEXT"),
            ("CHARINT(1,2)", "INTEGER"),
            ("BLOB SUB_TYPE 0", "BLOB"),
            ("REAL(10,2)", "REAL"),
            ("DATE(6)", "NUMERIC"),
        ] {
            assert_eq!(affinity(name), expected, "{name}");
        }
    }
}
