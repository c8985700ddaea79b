//! What the engine remembers: JSON documents in the state.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bindings::state::Lifetime;
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Conversion, Failure, ForeignKey, Peer, Scope};
use crate::error::{ErrorCode, failure};
use crate::host::Host;
use crate::wire::{SharedTable, hex, why};

/// A session, under `session/CODE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDocument {
    /// The form of this document.
    pub version: u32,
    pub code: String,
    pub database: String,
    /// What peers know the database by.
    pub source: String,
    pub scope: Scope,
    pub owner: String,
    /// Milliseconds since 1970 UTC.
    pub created_at: u64,
    /// Milliseconds since 1970 UTC.
    pub expires_at: u64,
    /// SHA-256 of the winning claimer's secret, in hexadecimal digits.
    pub claimed_by: Option<String>,
    /// Who claimed it, in the claimer's own words.
    pub claimer: Option<String>,
    pub admission: Option<String>,
    pub done: bool,
}

/// What a run was asked to do and how far it is, under `run/ID`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunDocument {
    /// The form of this document.
    pub version: u32,
    pub stage: Stage,
    pub peer: Peer,
    pub code: String,
    pub database: String,
    pub tables: Vec<String>,
    pub strategy: String,
    pub table_strategies: Vec<(String, String)>,
    pub conversions: Conversion,
    /// By table, point, column.
    pub column_conversions: Vec<(String, Conversion)>,
    pub create_missing: bool,
    pub claimer: String,
    /// Where the claimer secret is kept.
    pub secret_key: String,
    /// How many tables were taken over from the peer's list.
    pub known: u32,
    /// The tables' numbers, parents first; set when planning is complete.
    pub sequence: Vec<u32>,
    pub jobs: u32,
    pub reject_limit: u32,
    /// What the peer calls the database that it shares; set by claiming.
    pub source: String,
    /// The run's name in the target's ledger: its own, or that of the unfinished run that it continues.
    pub ledger: String,
    /// Where an unfinished run of this kind is remembered; set by recalling.
    pub unfinished_key: String,
    /// The tables that the unfinished run was to make.
    pub created: Vec<String>,
    pub continued: bool,
}

/// A run that has not finished yet, under `unfinished/DIGEST`; it outlives the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnfinishedDocument {
    /// The form of this document.
    pub version: u32,
    /// Its name in the target's ledger.
    pub ledger: String,
    /// The tables that it makes.
    pub created: Vec<String>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The code is to be claimed.
    Claim,
    /// The requested tables are to be asked for, from this one on.
    Named(u32),
    /// All shared tables are to be listed, after this name.
    Listing(Option<String>),
    /// An unfinished run of the same tables is to be looked for: the next table, and the digest of those before it.
    Recall(u32, String),
    /// The tables are to be compared with what is here, from this one on.
    Compare(u32),
    /// Everything is known; the operator may start it.
    Planned,
    /// The host moves rows.
    Running,
    /// It ended, one way or the other.
    Ended,
}

impl Stage {
    /// Whether there are steps to go until the plan.
    pub fn is_planning(&self) -> bool {
        !matches!(self, Self::Planned | Self::Running | Self::Ended)
    }
}

/// One table of a run, under `run/ID/table/NUMBER`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableDocument {
    /// The form of this document.
    pub version: u32,
    pub shared: SharedTable,
    /// What it means here; set by comparing.
    pub here: Option<Here>,
}

/// What a shared table means on this side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Here {
    pub instruction: TableInstruction,
    pub local_rows: u64,
    /// The foreign keys that exist here already.
    pub foreign_keys: Vec<ForeignKey>,
    pub not_carried: Vec<String>,
}

/// The form of all documents that this version writes.
pub const VERSION: u32 = 1;

/// Reads a document and its version in the state.
pub fn get<T: DeserializeOwned>(host: &dyn Host, key: &str) -> Result<Option<(T, u64)>, Failure> {
    match host.get(key)? {
        Some(entry) => Ok(Some((read(&entry.value)?, entry.version))),
        None => Ok(None),
    }
}

/// Reads all documents below a prefix, in the order of their keys.
pub fn list<T: DeserializeOwned>(host: &dyn Host, prefix: &str) -> Result<Vec<T>, Failure> {
    let mut documents = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = host.list(prefix, after.as_deref(), 1_000)?;
        let Some(last) = page.last() else {
            return Ok(documents);
        };
        after = Some(last.key.clone());
        for entry in &page {
            documents.push(read(&entry.value)?);
        }
    }
}

/// Writes a document that outlives the process.
pub fn keep<T: Serialize>(host: &dyn Host, key: &str, document: &T) -> Result<(), Failure> {
    let value = serde_json::to_vec(document).map_err(broken)?;
    host.put(key, &value, None, Lifetime::Durable)?;
    Ok(())
}

/// A random name that is made once and outlives the process.
pub fn once(host: &dyn Host, key: &str, length: u32) -> Result<String, Failure> {
    let fresh = hex(&host.random(length)?);
    host.put(key, fresh.as_bytes(), Some(0), Lifetime::Durable)?;
    let kept = host.get(key)?;
    let kept = kept.and_then(|entry| String::from_utf8(entry.value).ok());
    kept.ok_or_else(|| {
        failure(
            ErrorCode::Internal,
            "a secret was not kept",
            "check that the state can be written",
        )
    })
}

/// Writes a document and gives its version; with `if_version` only over that version. None: it was another.
pub fn put<T: Serialize>(
    host: &dyn Host,
    key: &str,
    document: &T,
    if_version: Option<u64>,
) -> Result<Option<u64>, Failure> {
    let value = serde_json::to_vec(document).map_err(broken)?;
    Ok(host.put(key, &value, if_version, Lifetime::Process)?)
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(broken)
}

fn broken(error: serde_json::Error) -> Failure {
    failure(
        ErrorCode::Internal,
        format!(
            "a document of the engine's state is broken: {}",
            why(&error)
        ),
        "start both sides again; if it happens again, please report it",
    )
}
