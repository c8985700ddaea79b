//! The documents that peers exchange, and the limits on what a peer may say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::component::tombolo::sync::types::{Failure, Scope, TableReport, TableSchema};
use crate::failure::failure;

/// The version of the routes and documents.
pub const PROTOCOL: u32 = 1;

/// The version of the row format that the host speaks.
pub const ROW_FORMAT: u32 = 1;

/// The most tables of a peer.
pub const MAX_TABLES: u32 = 10_000;

/// The most columns of a table.
const MAX_COLUMNS: usize = 2_000;

/// The longest name, in bytes.
const MAX_NAME: usize = 1_024;

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
            "incompatible-peer",
            format!("the other site described a table that cannot be: {what}"),
            "use the same version of tombolo on both sides",
        )
    };
    check_name(&shared.table).ok_or_else(|| broken("its name"))?;
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
        check_name(&column.name).ok_or_else(|| broken("a column's name"))?;
        if column.origin.len() > MAX_NAME || !names.insert(column.name.as_str()) {
            return Err(broken("a column's type, or a column twice"));
        }
    }
    let keys = [&schema.primary_key].into_iter().chain(&schema.unique_keys);
    for key in keys {
        let distinct: BTreeSet<&String> = key.iter().collect();
        if distinct.len() != key.len() || !key.iter().all(|name| names.contains(name.as_str())) {
            return Err(broken("a key of unknown columns"));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Option<()> {
    (!name.is_empty() && name.len() <= MAX_NAME && !name.contains('\0')).then_some(())
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

/// Bytes as hexadecimal digits.
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_in_paths() {
        assert_eq!(segment("order items/ü"), "order%20items%2F%C3%BC");
    }

    #[test]
    fn impossible_tables_are_refused() {
        let shared = |table: &str| SharedTable {
            table: table.to_owned(),
            kind: "table".to_owned(),
            rows: 0,
            exact: true,
            schema: Some(TableSchema {
                table: "t".to_owned(),
                columns: Vec::new(),
                primary_key: Vec::new(),
                unique_keys: Vec::new(),
                foreign_keys: Vec::new(),
            }),
        };
        for name in ["", "a\0b", "another", "t"] {
            assert!(check(&shared(name)).is_err(), "{name:?}");
        }
        let bare = SharedTable {
            schema: None,
            ..shared("t")
        };
        assert!(check(&bare).is_ok());
    }
}
