//! The documents that two sites exchange, and the limits on what a peer may send.

mod described_table;
mod enums;
mod json;
mod names;
mod reports;

use serde::{Deserialize, Serialize};

use crate::bindings::types::{
    Column, Failure, Generation, Scope, TableFacts, TableReport, TableSchema,
};

pub use described_table::{check as check_described_table, weight, weight_of_facts};
pub use json::{check as check_json, reason as json_reason};
pub use names::{is_name, is_run, is_source, is_token, segment};
pub use reports::check as check_reports;

/// The version of the routes and documents.
pub const PROTOCOL: u32 = 1;

/// The version of the row format that the host reads and writes.
pub const ROW_FORMAT: u32 = 1;

/// The most tables and views of one site.
pub const MAX_TABLES: u32 = 10_000;

/// The longest name of a table or column, in bytes.
pub const MAX_NAME: usize = 1_024;

/// The longest one-time code, in bytes.
pub const MAX_CODE: usize = 128;

/// The longest name of a claimer, in characters.
pub const MAX_CLAIMER: usize = 200;

/// The body of `POST claim`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim {
    pub code: String,
    pub claimer_secret: String,
    /// The digest of the secret and of what the target database is; empty from a site that does not say it.
    #[serde(default)]
    pub target: String,
    pub claimer: String,
    pub protocol: u32,
    pub row_format: u32,
}

/// The answer to a claim.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed {
    pub token: String,
    pub scope: Scope,
    /// A random name of the shared database, the same in every session.
    pub source: String,
    pub protocol: u32,
    pub row_format: u32,
}

/// One shared table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedTable {
    pub table: String,
    /// `table`, `view`, or another word for something that cannot be transferred.
    pub kind: String,
    #[serde(default)]
    pub rows: u64,
    /// False: `rows` is an estimate.
    #[serde(default)]
    pub exact: bool,
    pub schema: Option<TableSchema>,
    /// What is known of the table beside its schema, if that was asked for.
    #[serde(default)]
    pub facts: Option<TableFacts>,
    /// True: the table is still being looked at. The receiver asks for it again, with those behind it.
    #[serde(default)]
    pub unfinished: bool,
}

/// A page of shared tables, sorted by the bytes of their names.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedTables {
    pub tables: Vec<SharedTable>,
    /// The name after which the next page begins; none on the last page.
    pub next: Option<String>,
}

/// The body of `POST done`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub tables: Vec<TableReport>,
}

/// The body of every error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: Failure,
}

/// Returns the columns whose values are sent: all but those that the source's database computes.
pub fn sent_columns(table: &TableSchema) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    columns.filter(|column| column.generation != Generation::Computed)
}
