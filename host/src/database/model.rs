//! The data that reading and writing a table takes and returns, the same for all databases.

use super::{CheckedPlan, RejectedParents};
use crate::bindings::types::{
    Cell, ColumnChanges, Conversion, EnumType, Generation, Stored, TableSchema,
};
use crate::rows::{BucketDigest, RowBlock};

/// A table that is not shared, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The table.
    pub table: String,
    /// Why.
    pub reason: OmissionReason,
}

/// Why a table is not shared, or not whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OmissionReason {
    /// The login may not read it.
    Unreadable,
    /// An extension made it, with this name.
    Extension(String),
    /// Its name is kept for Tombolo's own tables.
    Reserved,
    /// Its policies hide rows from the login.
    Filtered,
}

impl std::fmt::Display for OmissionReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable => formatter.write_str("this login may not read it"),
            Self::Extension(name) => write!(formatter, "it belongs to the extension {name:?}"),
            Self::Reserved => formatter
                .write_str("names that begin with tombolo_ are kept for Tombolo's own tables"),
            Self::Filtered => formatter
                .write_str("its policies hide rows from this login; only the others are shared"),
        }
    }
}

/// What is read of a table whose policies hide rows from the login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginView {
    /// Every row, or none: such a table is refused.
    #[default]
    Whole,
    /// The rows that the policies let the login see.
    Filtered,
}

/// Which rows of a table are read, and in which sequence.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The table, as [`super::Snapshot::describe`] returned it.
    pub table: &'a TableSchema,
    /// Only rows with a greater primary key than this.
    pub after: Option<&'a [Cell]>,
    /// The most rows that are read.
    pub limit: Option<u32>,
    /// Whether rows are sorted by the primary key, if there is one; else they come in the fastest sequence.
    pub ordered: bool,
}

impl<'a> Read<'a> {
    /// Returns a read of all rows, sorted by the primary key.
    #[must_use]
    pub fn all(table: &'a TableSchema) -> Self {
        Self {
            table,
            after: None,
            limit: None,
            ordered: true,
        }
    }
}

/// Returns the table as its rows are sent: without computed columns, and without the keys that need them.
#[must_use]
pub fn without_computed(mut table: TableSchema) -> TableSchema {
    let columns = &mut table.columns;
    columns.retain(|column| column.generation != Generation::Computed);
    let columns = &table.columns;
    let is_sent = |name: &String| columns.iter().any(|column| column.name == *name);
    if !table.primary_key.iter().all(is_sent) {
        table.primary_key.clear();
    }
    table.unique_keys.retain(|key| key.iter().all(is_sent));
    let foreign_keys = &mut table.foreign_keys;
    foreign_keys.retain(|key| key.columns.iter().all(is_sent));
    table
}

/// How rows get into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadMode {
    /// Without a staging, where the table allows it: it belongs to the run and takes each row as it is.
    Direct,
    /// Through a staging.
    Staged,
}

/// How the rows of one table are written.
#[derive(Clone, Debug)]
pub struct TableWrite {
    /// The run's id in the ledger.
    pub run: String,
    /// The incoming table: its columns are exactly the cells of each row.
    pub incoming: TableSchema,
    /// What happens to the rows. For a row-by-row strategy: take each incoming row that is still in the staging.
    pub plan: CheckedPlan,
    /// The statements that create the table; none for a table that existed before the run.
    pub create: Option<Vec<CheckedStatement>>,
    /// Whether rows may go directly into the table.
    pub mode: LoadMode,
    /// Whether a component decides on rows that exist: what it saw of them must not change before the commit.
    pub row_by_row: bool,
    /// The most rows that may be rejected.
    pub reject_limit: u64,
    /// What a retry of rejected rows needs to know; the ledger keeps it unread.
    pub retry_context: String,
    /// What happens to values that do not fit, by column; a column that is not named rejects the row.
    pub conversions: Vec<(String, Conversion)>,
    /// True if these rows are the run's rejects: the first chunk removes the kept ones.
    pub retry: bool,
    /// Rows that the run rejected and that rows of this table may refer to.
    pub rejected_parents: RejectedParents,
}

impl TableWrite {
    /// Returns what happens to values that do not fit a column.
    pub(crate) fn conversion_of(&self, column: &str) -> Conversion {
        let mut named = self.conversions.iter();
        let own = named.find(|(name, _)| name == column);
        own.map_or(Conversion::Exact, |(_, policy)| policy.clone())
    }
}

/// A table that the run creates, with all its rows.
#[derive(Clone, Debug)]
pub struct WholeTable {
    /// How it is written: created, and directly.
    pub write: TableWrite,
    /// The sender's snapshot that the rows come from.
    pub snapshot: String,
    /// All rows, in their order.
    pub blocks: Vec<RowBlock>,
    /// The statements that follow the data.
    pub after: Vec<CheckedStatement>,
}

/// What became of whole tables.
#[derive(Clone, Debug, PartialEq)]
pub enum WholeTables {
    /// All of them are created, filled, checked and complete, in the same order.
    Written(Vec<WriteOutcome>),
    /// Nothing was written, because the tables in these places, at least one, need a writer of their own.
    OneByOne(Vec<usize>),
}

/// The result of a call that a table may refuse while rows go into it directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step<T> {
    /// It is done.
    Done(T),
    /// The table does not take all rows directly. The chunk has to be rolled back, and the table begun again with
    /// [`LoadMode::Staged`].
    NeedsStaging,
}

/// How far a run is with one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerEntry {
    /// What became of the rows so far.
    pub counts: ChunkCounts,
    /// The primary key of the last row; none before the first chunk and without a primary key.
    pub last_key: Option<Vec<Cell>>,
    /// The sender's snapshot that the last chunk came from.
    pub snapshot: Option<String>,
    /// How many of the sender's snapshots the rows come from.
    pub snapshots: u32,
    /// Whether the run created the table.
    pub made: bool,
    /// Whether the table is complete.
    pub done: bool,
    /// The value of [`TableWrite::retry_context`].
    pub retry_context: String,
}

/// What is known of a table whose rows are all committed.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOutcome {
    /// What became of the rows, earlier attempts of the run included.
    pub counts: ChunkCounts,
    /// How many of the sender's snapshots the rows come from.
    pub snapshots: u32,
    /// What the writer can say about how the rows are stored.
    pub evidence: Evidence,
    /// The columns in which values were changed to fit.
    pub changed: Vec<ColumnChanges>,
}

/// What a writer can say about how the rows are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// This is known; reading the table again adds nothing.
    Known(Stored),
    /// Only this run put rows into the table, and they went in directly. Reading the table tells whether they are stored
    /// as they were sent.
    Direct {
        /// The sum of the digests of all rows that were sent; none if the table gives some values back in another form.
        digest: Option<u128>,
        /// What the writer read back while it wrote, if it came to the end.
        readback: Option<Readback>,
    },
}

/// Rows as they were sent to the database and as they were read there, both in the database's own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readback {
    /// What was sent.
    pub sent: BucketDigest,
    /// What was found.
    pub found: BucketDigest,
}

/// A row that was rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The run, as the ledger names it.
    pub run: String,
    /// The table.
    pub table: String,
    /// The row's number as it arrived, from 1.
    pub row: u64,
    /// Its primary key for people, shortened; empty if the table has none.
    pub key: String,
    /// Why it was rejected.
    pub reason: String,
    /// Its canonical cells, as one encoded row.
    pub cells: Vec<u8>,
}

/// A statement that the host parsed, checked and printed again.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedStatement {
    sql: String,
    enum_type: Option<EnumType>,
}

impl CheckedStatement {
    /// Returns a statement that runs exactly this SQL.
    pub(crate) fn new(sql: String) -> Self {
        let enum_type = None;
        Self { sql, enum_type }
    }

    /// Returns a statement that creates this enum, whose name is not quoted.
    pub(crate) fn of_enum(sql: String, enum_type: EnumType) -> Self {
        let enum_type = Some(enum_type);
        Self { sql, enum_type }
    }

    /// Returns the enum that it creates, whose name is not quoted. The enum may exist already.
    #[must_use]
    pub fn enum_type(&self) -> Option<&EnumType> {
        self.enum_type.as_ref()
    }

    /// Returns the SQL to run.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

/// A staged row that exists in the table with another image.
#[derive(Clone, Debug)]
pub struct StagedConflict {
    /// Its position in the staging.
    pub position: u64,
    /// The incoming cells.
    pub incoming: Vec<Cell>,
    /// The local cells, read as the incoming columns are, in their sequence.
    pub local: Vec<Cell>,
}

/// What becomes of one staged row that exists with another image.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// The local row stays.
    KeepLocal,
    /// The incoming row is taken.
    TakeIncoming,
    /// This row is taken instead; its key equals the incoming one.
    Write(Vec<Cell>),
}

/// What became of the rows of a chunk; the sum is the number of rows staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkCounts {
    /// Inserted.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// Exist and already are what they would become.
    pub same: u64,
    /// Exist and stay as they are.
    pub skipped: u64,
    /// Rejected.
    pub failed: u64,
}

impl ChunkCounts {
    /// Returns the number of all rows that arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        [
            self.created,
            self.updated,
            self.same,
            self.skipped,
            self.failed,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

impl std::ops::AddAssign for ChunkCounts {
    fn add_assign(&mut self, other: Self) {
        self.created = self.created.saturating_add(other.created);
        self.updated = self.updated.saturating_add(other.updated);
        self.same = self.same.saturating_add(other.same);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.failed = self.failed.saturating_add(other.failed);
    }
}
