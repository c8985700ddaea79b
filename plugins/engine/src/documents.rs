//! The documents that the engine keeps in the state, as JSON, and their keys.
//!
//! Each document has a `version`, its form, and `written_by`, the program that wrote it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bindings::client::{ChosenStrategy, PullRequest};
use crate::bindings::state::Lifetime;
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Error, Failure, ForeignKey, Peer, Scope, Statement};
use crate::budget::Spent;
use crate::error::{ErrorCode, failure, printable};
use crate::host::Host;
use crate::wire::{SharedTable, json_reason};

/// The form of the documents that this version reads and writes.
const VERSION: u32 = 1;

/// This program, as its documents name it.
const PROGRAM: &str = concat!("tombolo ", env!("CARGO_PKG_VERSION"));

/// The program whose documents have no `written_by`.
const PROGRAM_WITHOUT_NAME: &str = "tombolo 0.1.0";

/// How often a change is tried again after another call changed the same document.
pub const MAX_RACES: u32 = 20;

/// A session, at [`session_key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDocument {
    pub code: String,
    pub database: String,
    /// The name of the database for peers.
    pub source: String,
    pub scope: Scope,
    pub owner: String,
    /// In milliseconds since 1970 UTC.
    pub created_at: u64,
    /// In milliseconds since 1970 UTC.
    pub expires_at: u64,
    /// The SHA-256 of the secret of the claimer who was first, in hexadecimal digits.
    pub claimed_by: Option<String>,
    /// The name that the claimer gave itself.
    pub claimer: Option<String>,
    pub admission: Option<String>,
    /// Whether the claimer gave the code back, because it wrote nothing.
    #[serde(default)]
    pub released: bool,
    pub done: bool,
}

/// The session that an admission belongs to, at [`admission_key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmissionDocument {
    /// The session's code.
    pub code: String,
}

/// A run: what was requested, and how far it is; at [`run_key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunDocument {
    pub stage: Stage,
    /// The request; its base address has no slash at the end.
    pub request: PullRequest,
    pub peer: Peer,
    /// The key of the claimer's secret.
    pub secret_key: String,
    /// Whether the run was started to write.
    #[serde(default)]
    pub writes: bool,
    /// How many tables have a [`TableDocument`].
    pub known: u32,
    /// Which patterns of the request a table has matched, by their numbers.
    pub matched_tables: Vec<u32>,
    /// What planning has taken so far.
    pub spent: Spent,
    /// How many columns of the planned tables each name in `request.column_conversions` fits.
    pub matches: Vec<usize>,
    /// The tables' numbers, parents first; set when planning is complete.
    pub sequence: Vec<u32>,
    /// The peer's name for the database that it shares; set by the claim.
    pub source: String,
    /// The run's id in the target's ledger: its own, or that of the unfinished run that it continues.
    pub ledger: String,
    /// The key of the [`UnfinishedDocument`]; set when all tables are known.
    pub unfinished_key: String,
    /// The tables that the unfinished run creates.
    pub created: Vec<String>,
    pub continued: bool,
}

impl RunDocument {
    /// Returns the strategy for a table: its own, or that for all tables.
    pub fn strategy_for(&self, table: &str) -> &ChosenStrategy {
        let mut own = self.request.table_strategies.iter();
        own.find(|(name, _)| name == table)
            .map_or(&self.request.strategy, |(_, strategy)| strategy)
    }
}

/// A run that is not complete yet, at [`unfinished_key`]; it outlives the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnfinishedDocument {
    /// The run's id in the target's ledger.
    pub ledger: String,
    /// The tables that the run creates.
    pub created: Vec<String>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The next step claims the code.
    Claim,
    /// The next step requests the requested table with this index.
    FetchTable(u32),
    /// The next step requests the page of shared tables after this name.
    ListTables(Option<String>),
    /// The next step adds the table with this number to the digest of those before it, to find an unfinished run of the
    /// same tables.
    FindUnfinished(u32, String),
    /// The next step plans the table with this number.
    PlanTable(u32),
    /// The next step decides the sequence of the tables.
    Sort,
    /// The next step shows the plan to the operator.
    Present,
    /// The plan is complete; the operator can start it.
    Planned,
    /// The host moves rows.
    Running,
    /// The run is over.
    Ended,
}

/// One table of a run, at [`table_key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableDocument {
    /// The table as the peer described it; its schema moves to `planned` when that is set.
    pub shared: SharedTable,
    /// Set by planning.
    pub planned: Option<PlannedTable>,
}

/// What a run does with one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedTable {
    pub instruction: TableInstruction,
    pub local_rows: u64,
    /// The foreign keys that the target's table has already.
    pub local_keys: Vec<ForeignKey>,
    pub not_carried: Vec<String>,
}

/// The part of a [`TableDocument`] that decides the sequence of the tables.
#[derive(Debug, Deserialize)]
pub struct TableKeys {
    pub shared: TableName,
    pub planned: Option<PlannedKeys>,
}

/// A table's name.
#[derive(Debug, Deserialize)]
pub struct TableName {
    pub table: String,
}

/// The foreign keys of a planned table.
#[derive(Debug, Deserialize)]
pub struct PlannedKeys {
    pub instruction: IncomingKeys,
    pub local_keys: Vec<ForeignKey>,
}

/// The part of an instruction with the foreign keys.
#[derive(Debug, Deserialize)]
pub struct IncomingKeys {
    pub incoming: ForeignKeys,
}

/// The foreign keys of an incoming table.
#[derive(Debug, Deserialize)]
pub struct ForeignKeys {
    pub foreign_keys: Vec<ForeignKey>,
}

/// The part of a [`TableDocument`] that the operator sees.
#[derive(Debug, Deserialize)]
pub struct TablePreview {
    pub shared: TableRows,
    pub planned: Option<PlannedPreview>,
}

/// A table's name and its rows.
#[derive(Debug, Deserialize)]
pub struct TableRows {
    pub table: String,
    pub rows: u64,
    pub exact: bool,
}

/// What the operator sees of a [`PlannedTable`].
#[derive(Debug, Deserialize)]
pub struct PlannedPreview {
    pub instruction: InstructionPreview,
    pub local_rows: u64,
    pub not_carried: Vec<String>,
}

/// What the operator sees of an instruction.
#[derive(Debug, Deserialize)]
pub struct InstructionPreview {
    pub strategy: String,
    pub create: bool,
    pub before: Vec<Statement>,
    pub after: Vec<Statement>,
}

/// Why a stored document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A newer program wrote it.
    #[error(
        "a stored document of kind {kind:?} has version {version} and was written by {written_by}; this is {PROGRAM}, which reads version {VERSION}"
    )]
    UnknownVersion {
        /// The first part of its key.
        kind: String,
        /// Its version.
        version: u32,
        /// The program that wrote it.
        written_by: String,
    },
    /// It is not JSON of the expected form.
    #[error("a stored document of kind {kind:?} is damaged: {reason}")]
    Damaged {
        /// The first part of its key.
        kind: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        let hint = match &error {
            DocumentError::UnknownVersion { .. } => {
                "use the program that wrote it, or another folder in TOMBOLO_DATA"
            }
            DocumentError::Damaged { .. } => {
                "start both sites again; if it happens again, please report it"
            }
        };
        failure(ErrorCode::Internal, error.to_string(), hint)
    }
}

/// Returns the key of a session.
pub fn session_key(code: &str) -> String {
    format!("session/{code}")
}

/// Returns the key of an admission.
pub fn admission_key(admission: &str) -> String {
    format!("admission/{admission}")
}

/// Returns the key of a run.
pub fn run_key(run: &str) -> String {
    format!("run/{run}")
}

/// Returns the key of one table of a run.
pub fn table_key(run: &str, number: u32) -> String {
    format!("run/{run}/table/{number:06}")
}

/// Returns the key of the unfinished run with this digest.
pub fn unfinished_key(digest: &[u8]) -> String {
    format!("unfinished/{}", hex::encode(digest))
}

/// Returns the key of the claimer's secret with this digest.
pub fn secret_key(digest: &[u8]) -> String {
    format!("claimer/{}", hex::encode(digest))
}

/// Returns the key of the name that a database has for peers.
pub fn source_key(identity: &str) -> String {
    format!("source/{identity}")
}

/// Returns a document and the version of its entry in the state; none if there is no such key.
///
/// Fails with `internal` if the document is damaged or a newer program wrote it.
pub fn get<T: DeserializeOwned>(host: &dyn Host, key: &str) -> Result<Option<(T, u64)>, Failure> {
    match host.get(key)? {
        Some(entry) => Ok(Some((read(key, &entry.value)?, entry.version))),
        None => Ok(None),
    }
}

/// Returns all documents whose keys have a prefix, in the order of their keys.
///
/// Fails as [`get`] does.
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
            documents.push(read(&entry.key, &entry.value)?);
        }
    }
}

/// Writes a document and returns its entry's version; with `if_version` only over that version. Returns none if the entry
/// has another version.
pub fn put<T: Serialize>(
    host: &dyn Host,
    key: &str,
    document: &T,
    if_version: Option<u64>,
) -> Result<Option<u64>, Failure> {
    let value = write(key, document)?;
    Ok(host.put(key, &value, if_version, Lifetime::Process)?)
}

/// Writes a document that outlives the process.
pub fn put_durable<T: Serialize>(host: &dyn Host, key: &str, document: &T) -> Result<(), Failure> {
    let value = write(key, document)?;
    host.put(key, &value, None, Lifetime::Durable)?;
    Ok(())
}

/// Returns one table of a run, or the part of it that is needed: skipping the rest costs much less than parsing it. Fails
/// with `internal` if it does not exist.
pub fn get_table<T: DeserializeOwned>(
    host: &dyn Host,
    run: &str,
    number: u32,
) -> Result<T, Failure> {
    let table = get(host, &table_key(run, number))?;
    table.map(|(table, _)| table).ok_or_else(|| {
        failure(
            ErrorCode::Internal,
            format!("table {number} of the plan of run {run} does not exist"),
            "pull again",
        )
    })
}

/// Returns the digest of a secret and of what a database is: it tells the other site, which knows the secret, whether its
/// own database is the same, and nobody anything else.
pub fn digest_of_database(host: &dyn Host, database: &str, secret: &str) -> Result<String, Error> {
    let content = format!("{secret}\n{}", host.fingerprint(database)?);
    Ok(hex::encode(host.sha256(content.as_bytes())))
}

/// Returns the random name at a key, in hexadecimal digits of `length` bytes. The first call makes it; it outlives the
/// process.
pub fn random_name(host: &dyn Host, key: &str, length: u32) -> Result<String, Failure> {
    let fresh = hex::encode(host.random(length)?);
    host.put(key, fresh.as_bytes(), Some(0), Lifetime::Durable)?;
    let kept = host.get(key)?;
    let kept = kept.and_then(|entry| String::from_utf8(entry.value).ok());
    kept.ok_or_else(|| {
        failure(
            ErrorCode::Internal,
            "a random name was written to the state and cannot be read back",
            "check that the folder in TOMBOLO_DATA can be written",
        )
    })
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    written_by: &'static str,
    #[serde(flatten)]
    document: &'a T,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
    written_by: Option<String>,
}

fn write<T: Serialize>(key: &str, document: &T) -> Result<Vec<u8>, DocumentError> {
    let written = Written {
        version: VERSION,
        written_by: PROGRAM,
        document,
    };
    serde_json::to_vec(&written).map_err(|error| damaged(key, &error))
}

fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, DocumentError> {
    // The version comes first, so that most documents are parsed once.
    if value.starts_with(format!("{{\"version\":{VERSION},").as_bytes()) {
        return serde_json::from_slice(value).map_err(|error| damaged(key, &error));
    }
    let header: Header = serde_json::from_slice(value).map_err(|error| damaged(key, &error))?;
    if header.version != VERSION {
        let written_by = header.written_by.as_deref();
        return Err(DocumentError::UnknownVersion {
            kind: kind(key),
            version: header.version,
            written_by: printable(written_by.unwrap_or(PROGRAM_WITHOUT_NAME)),
        });
    }
    serde_json::from_slice(value).map_err(|error| damaged(key, &error))
}

fn damaged(key: &str, error: &serde_json::Error) -> DocumentError {
    DocumentError::Damaged {
        kind: kind(key),
        reason: json_reason(error),
    }
}

/// The first part of a key. The rest may be a session's code, which no message repeats.
fn kind(key: &str) -> String {
    key.split('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::tests::site::Site;

    const KEY: &str = "unfinished/0123";

    fn document() -> UnfinishedDocument {
        UnfinishedDocument {
            ledger: "l".to_owned(),
            created: vec!["t".to_owned()],
        }
    }

    fn stored(value: &str) -> Result<Option<(UnfinishedDocument, u64)>, Failure> {
        let site = Site::default();
        site.put(KEY, value.as_bytes(), None, Lifetime::Durable)
            .unwrap();
        get(&site, KEY)
    }

    #[test]
    fn a_document_says_its_version_and_the_program_that_wrote_it() {
        let site = Site::default();
        put_durable(&site, KEY, &document()).unwrap();
        let entry = site.get(KEY).unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
        let expected = serde_json::json!({
            "version": 1, "written_by": PROGRAM, "ledger": "l", "created": ["t"],
        });
        assert_eq!(json, expected);
        let (read, version) = get::<UnfinishedDocument>(&site, KEY).unwrap().unwrap();
        assert_eq!((read.ledger.as_str(), version), ("l", entry.version));
    }

    #[test]
    fn a_document_without_a_program_is_read() {
        let (read, _) = stored(r#"{"version":1,"ledger":"l","created":[]}"#)
            .unwrap()
            .unwrap();
        assert_eq!(read.ledger, "l");
    }

    #[test]
    fn an_unknown_version_is_refused_and_its_program_named() {
        for (value, version, program) in [
            (
                r#"{"version":2,"written_by":"tombolo 9.1.0\u001b[2J"}"#,
                "version 2",
                "tombolo 9.1.0 [2J",
            ),
            (r#"{"version":0}"#, "version 0", PROGRAM_WITHOUT_NAME),
        ] {
            let failure = stored(value).unwrap_err();
            assert_eq!(failure.code, "internal");
            let written = format!("{version} and was written by {program}");
            assert!(failure.message.contains(&written), "{failure:?}");
            assert!(failure.message.contains(PROGRAM), "{failure:?}");
            assert!(failure.hint.contains("TOMBOLO_DATA"), "{failure:?}");
        }
    }

    #[test]
    fn a_damaged_document_is_refused_without_its_values() {
        for value in [
            "",
            "secret",
            r#"{"ledger":"secret","created":[]}"#,
            r#"{"version":1,"ledger":"secret","created":"secret"}"#,
        ] {
            let failure = stored(value).unwrap_err();
            assert_eq!(failure.code, "internal");
            assert!(failure.message.contains("damaged"), "{failure:?}");
            assert!(!failure.message.contains("secret"), "{failure:?}");
        }
    }
}
