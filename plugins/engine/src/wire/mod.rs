//! The documents that peers exchange, and the limits on what a peer may say.

mod enums;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::bindings::types::{ColumnChanges, Failure, Scope, TableReport, TableSchema};
use crate::error::{ErrorCode, VERSIONS, failure, printable};

/// The version of the routes and documents.
pub const PROTOCOL: u32 = 1;

/// The version of the row format that the host speaks.
pub const ROW_FORMAT: u32 = 1;

/// The most tables of a peer.
pub const MAX_TABLES: u32 = 10_000;

/// The most columns of a table.
const MAX_COLUMNS: usize = 2_000;

/// The most unique keys, and the most foreign keys, of a table.
const MAX_KEYS: usize = 1_000;

/// The longest name, in bytes.
const MAX_NAME: usize = 1_024;

/// The longest words in which a claimer introduces itself, in characters.
pub const MAX_CLAIMER: usize = 200;

/// `POST claim`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim {
    pub code: String,
    pub claimer_secret: String,
    pub claimer: String,
    pub protocol: u32,
    pub row_format: u32,
}

/// The answer to a claim.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed {
    pub token: String,
    pub scope: Scope,
    /// A random name of the shared database, the same for every session.
    pub source: String,
    pub protocol: u32,
    pub row_format: u32,
}

/// One shared table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedTable {
    pub table: String,
    /// `table`, `view` or something else that cannot be transferred.
    pub kind: String,
    #[serde(default)]
    pub rows: u64,
    #[serde(default)]
    pub exact: bool,
    pub schema: Option<TableSchema>,
}

/// A page of shared tables.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedTables {
    pub tables: Vec<SharedTable>,
    /// The name after which the next page begins; none on the last.
    pub next: Option<String>,
}

/// `POST done`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub tables: Vec<TableReport>,
}

/// What stands in the body of every error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: Failure,
}

/// Checks a table that a peer described.
pub fn check(shared: &SharedTable) -> Result<(), Failure> {
    let broken = |what: &str| {
        failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site described a table that cannot be: {what}"),
            VERSIONS,
        )
    };
    if !is_name(&shared.table) {
        return Err(broken("its name"));
    }
    let Some(schema) = &shared.schema else {
        return Ok(());
    };
    if schema.table != shared.table {
        return Err(broken("it has two names"));
    }
    if schema.columns.is_empty() || schema.columns.len() > MAX_COLUMNS {
        return Err(broken("the number of its columns"));
    }
    let mut names = BTreeSet::new();
    for column in &schema.columns {
        if !is_name(&column.name) {
            return Err(broken("a column's name"));
        }
        if column.origin.len() > MAX_NAME || !names.insert(column.name.as_str()) {
            return Err(broken("a column's type, or a column twice"));
        }
    }
    if schema.unique_keys.len() > MAX_KEYS || schema.foreign_keys.len() > MAX_KEYS {
        return Err(broken("the number of its keys"));
    }
    let is_key = |key: &[String]| {
        let distinct: BTreeSet<&String> = key.iter().collect();
        distinct.len() == key.len() && key.iter().all(|name| names.contains(name.as_str()))
    };
    let mut keys = [&schema.primary_key].into_iter().chain(&schema.unique_keys);
    if !keys.all(|key| is_key(key)) {
        return Err(broken("a key of unknown columns"));
    }
    for key in &schema.foreign_keys {
        let there = &key.referenced_columns;
        let fits = there.is_empty() || there.len() == key.columns.len();
        if key.columns.is_empty()
            || !is_key(&key.columns)
            || !fits
            || !is_name(&key.referenced_table)
            || !there.iter().all(|name| is_name(name))
        {
            return Err(broken("a foreign key"));
        }
    }
    enums::check(&schema.enums).map_err(broken)
}

/// Checks the reports with which a peer ends a run, and makes their names harmless.
pub fn check_reports(reports: Vec<TableReport>) -> Result<Vec<TableReport>, Failure> {
    let known = usize::try_from(MAX_TABLES).unwrap_or(usize::MAX);
    if reports.len() > known || !reports.iter().all(|report| is_name(&report.table)) {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "the reports are about more than {MAX_TABLES} tables, or about none that can be"
            ),
            VERSIONS,
        ));
    }
    let in_column = |changes: ColumnChanges| ColumnChanges {
        column: printable(&changes.column),
        ..changes
    };
    let harmless = |report: TableReport| TableReport {
        table: printable(&report.table),
        changed: report.changed.into_iter().map(in_column).collect(),
        ..report
    };
    Ok(reports.into_iter().map(harmless).collect())
}

/// Whether a name can be a table's or a column's.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0')
}

/// Whether a run can be called so: 1 to 64 letters, digits and hyphens.
pub fn is_run(run: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&run.len()) && run.bytes().all(letter)
}

/// Why JSON cannot be read, without any of its values: one of them may be a secret, all of them may be hostile.
pub fn why(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "a field is missing or is of another type",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// Whether a source can be called so: 8 to 64 hexadecimal digits.
pub fn is_source(source: &str) -> bool {
    (8..=64).contains(&source.len()) && source.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Hexadecimal digits as bytes.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, EnumType, ForeignKey, Generation, LogicalType};

    fn shared() -> SharedTable {
        let column = |name: &str| Column {
            name: name.to_owned(),
            logical: LogicalType::Integer,
            origin: "sqlite:INTEGER".to_owned(),
            nullable: false,
            default: None,
            generation: Generation::None,
        };
        SharedTable {
            table: "t".to_owned(),
            kind: "table".to_owned(),
            rows: 0,
            exact: true,
            schema: Some(TableSchema {
                table: "t".to_owned(),
                columns: vec![column("id"), column("parent")],
                primary_key: vec!["id".to_owned()],
                unique_keys: Vec::new(),
                foreign_keys: vec![ForeignKey {
                    columns: vec!["parent".to_owned()],
                    referenced_table: "t".to_owned(),
                    referenced_columns: Vec::new(),
                }],
                enums: Vec::new(),
            }),
        }
    }

    #[test]
    fn names_travel_in_paths() {
        assert_eq!(segment("order items/ü"), "order%20items%2F%C3%BC");
    }

    #[test]
    fn possible_tables_pass() {
        check(&shared()).unwrap();
        let bare = SharedTable {
            schema: None,
            ..shared()
        };
        check(&bare).unwrap();
    }

    #[test]
    fn impossible_names_are_refused() {
        for name in ["", "a\0b", "another", &"x".repeat(MAX_NAME + 1)] {
            let renamed = SharedTable {
                table: name.to_owned(),
                ..shared()
            };
            assert!(check(&renamed).is_err(), "{name:?}");
        }
    }

    #[test]
    fn impossible_schemas_are_refused() {
        type Breaking = fn(&mut TableSchema);
        let all: [(&str, Breaking); 10] = [
            ("no column", |schema| schema.columns.clear()),
            ("too many columns", |schema| {
                let column = schema.columns.first().unwrap().clone();
                schema.columns = vec![column; MAX_COLUMNS + 1];
            }),
            ("a column twice", |schema| {
                let column = schema.columns.first().unwrap().clone();
                schema.columns.push(column);
            }),
            ("an unknown key", |schema| {
                schema.primary_key = vec!["x".to_owned()];
            }),
            ("a column twice in a key", |schema| {
                schema.unique_keys = vec![vec!["id".to_owned(), "id".to_owned()]];
            }),
            ("too many keys", |schema| {
                schema.unique_keys = vec![vec!["id".to_owned()]; MAX_KEYS + 1];
            }),
            ("a foreign key to nothing", |schema| {
                for key in &mut schema.foreign_keys {
                    key.referenced_table.clear();
                }
            }),
            ("a foreign key of unknown columns", |schema| {
                for key in &mut schema.foreign_keys {
                    key.columns = vec!["x".to_owned()];
                }
            }),
            ("a nameless enum", |schema| {
                schema.enums = vec![EnumType {
                    name: String::new(),
                    labels: Vec::new(),
                }];
            }),
            ("a foreign key to more columns than it has", |schema| {
                for key in &mut schema.foreign_keys {
                    key.referenced_columns = vec!["id".to_owned(), "parent".to_owned()];
                }
            }),
        ];
        for (what, breaking) in all {
            let mut broken = shared();
            breaking(broken.schema.as_mut().unwrap());
            let failure = check(&broken).unwrap_err();
            assert_eq!(failure.code, "incompatible-peer", "{what}");
        }
    }

    #[test]
    fn runs_have_short_plain_names() {
        for run in ["a", "0f-9A", &"r".repeat(64)] {
            assert!(is_run(run), "{run:?}");
        }
        for run in ["", "a/b", "a b", "ü", &"r".repeat(65)] {
            assert!(!is_run(run), "{run:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        for json in [
            r#"{"token":{"secret":1}}"#,
            r#"{"token":"secret","scope":"secret"}"#,
            "secret",
            "[",
        ] {
            let error = serde_json::from_str::<Claimed>(json).unwrap_err();
            assert!(!why(&error).contains("secret"), "{}", why(&error));
        }
    }
}
