//! The types of columns that are created in SQLite.

use super::literal::Holds;
use super::{Declaration, Origin};
use crate::bindings::types::{Column, Generation, LogicalType};

/// The words that cannot be a type: SQLite reserves them, or parsers expect something after them.
const RESERVED: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ARRAY",
    "AS",
    "AUTOINCREMENT",
    "BETWEEN",
    "CASE",
    "CHECK",
    "COLLATE",
    "COMMIT",
    "CONSTRAINT",
    "CREATE",
    "CROSS",
    "DATETIME64",
    "DEFAULT",
    "DEFERRABLE",
    "DELETE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "ENUM",
    "ENUM16",
    "ENUM8",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "FIXEDSTRING",
    "FOREIGN",
    "FROM",
    "FULL",
    "GENERATED",
    "GROUP",
    "HAVING",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "ISNULL",
    "JOIN",
    "LEFT",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NOTHING",
    "NOTNULL",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PRIMARY",
    "REFERENCES",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "TABLE",
    "THEN",
    "TO",
    "TRANSACTION",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
];

/// The types of more than one word that every parser reads as one type.
const PHRASES: &[&str] = &[
    "BIGINT UNSIGNED",
    "CHARACTER VARYING",
    "DOUBLE PRECISION",
    "INT UNSIGNED",
    "INTEGER UNSIGNED",
    "MEDIUMINT UNSIGNED",
    "SMALLINT UNSIGNED",
    "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP WITHOUT TIME ZONE",
    "TINYINT UNSIGNED",
];

/// The types that can have a length or precision.
const WITH_LENGTH: &[&str] = &[
    "BIGINT",
    "BINARY",
    "BIT",
    "BLOB",
    "CHAR",
    "CHARACTER",
    "CHARACTER VARYING",
    "CLOB",
    "DATETIME",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "INT",
    "INT2",
    "INT8",
    "INTEGER",
    "MEDIUMINT",
    "NCHAR",
    "NUMBER",
    "NUMERIC",
    "NVARCHAR",
    "NVARCHAR2",
    "SMALLINT",
    "STRING",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
    "VARBINARY",
    "VARCHAR",
    "VARCHAR2",
    "YEAR",
];

/// The types that can have a precision and a scale.
const WITH_SCALE: &[&str] = &["DECIMAL", "DOUBLE", "FLOAT", "NUMBER", "NUMERIC"];

/// Returns the declaration of one column. `only_key`: the column is the whole primary key.
#[must_use]
pub fn declare(column: &Column, only_key: bool) -> Declaration {
    let mut declaration = match Origin::from(column) {
        Origin::Sqlite(name) if is_simple(name) => Declaration::new(name.trim_ascii(), Holds::Same),
        Origin::Sqlite(name) => Declaration::new(affinity(name), Holds::Same)
            .without(format!("its type's name {name:?}")),
        _ => by_logical_type(&column.logical),
    };
    let identity = matches!(
        column.generation,
        Generation::IdentityAlways | Generation::IdentityDefault
    );
    if identity && only_key && column.logical == LogicalType::Integer {
        // With exactly this type the key is the rowid, which SQLite numbers.
        if !declaration.sql_type.eq_ignore_ascii_case("INTEGER") {
            declaration = Declaration::new("INTEGER", Holds::Integer);
        }
        declaration.numbering = Some("");
    } else if only_key
        && matches!(Origin::from(column), Origin::Sqlite(_))
        && declaration.sql_type.eq_ignore_ascii_case("INTEGER")
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

/// Returns whether a declared type can be written as it is: plain words, and a length where one is usual.
fn is_simple(name: &str) -> bool {
    let name = name.trim_ascii().to_ascii_uppercase();
    let (words, modifiers) = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((words, modifiers)) => (words, modifiers.split(',').map(str::trim_ascii).collect()),
        None => (name.as_str(), Vec::new()),
    };
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    let phrase = words.join(" ");
    let known = match modifiers.len() {
        0 => match words.as_slice() {
            [] => true,
            [word] => is_word(word),
            _ => PHRASES.contains(&phrase.as_str()),
        },
        1 => WITH_LENGTH.contains(&phrase.as_str()),
        2 => WITH_SCALE.contains(&phrase.as_str()),
        _ => false,
    };
    let small = |text: &&str| {
        (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    known && modifiers.iter().all(small)
}

fn is_word(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !word.starts_with(|first: char| first.is_ascii_digit())
        && !RESERVED.contains(&word)
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

    /// Every type of the lists, with lengths.
    pub(in crate::ddl) fn all_types() -> Vec<String> {
        let plain = PHRASES.iter().map(ToString::to_string);
        let with_length = WITH_LENGTH.iter().map(|name| format!("{name}(10)"));
        let with_scale = WITH_SCALE.iter().map(|name| format!("{name}(10,2)"));
        plain.chain(with_length).chain(with_scale).collect()
    }

    #[test]
    fn usual_types_are_kept() {
        for name in [
            "",
            "INTEGER",
            "Int",
            "NVARCHAR(160)",
            "DECIMAL(10, 2)",
            "varchar (20)",
            "DOUBLE PRECISION",
            "ANY",
            "my_type2",
        ] {
            assert!(is_simple(name), "{name}");
        }
        for name in all_types() {
            assert!(is_simple(&name), "{name}");
        }
    }

    #[test]
    fn other_types_become_their_affinity() {
        for (name, expected) in [
            ("UNSIGNED BIG INT", "INTEGER"),
            ("NATIVE CHARACTER(70)", "TEXT"),
            ("CHARINT(1,2)", "INTEGER"),
            ("BLOB SUB_TYPE 0", "BLOB"),
            ("REAL(10,2)", "REAL"),
            ("DOUBLE PRECISION(3)", "REAL"),
            ("INTEGER PRIMARY KEY", "INTEGER"),
            ("NOT", "NUMERIC"),
            ("primary", "NUMERIC"),
            ("DATE(6)", "NUMERIC"),
            ("x); DROP TABLE y; --", "NUMERIC"),
            ("DECIMAL(1,2,3)", "NUMERIC"),
            ("DECIMAL()", "NUMERIC"),
            ("DECIMAL(9999999999)", "NUMERIC"),
            ("2x", "NUMERIC"),
            ("größe", "NUMERIC"),
            ("[x]", "NUMERIC"),
        ] {
            assert!(!is_simple(name), "{name}");
            assert_eq!(affinity(name), expected, "{name}");
        }
    }
}
