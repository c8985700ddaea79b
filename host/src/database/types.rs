use crate::bindings::types::{
    Cell, ColumnChanges, Conversion, EnumType, SetPlan, Stored, TableSchema,
};

/// Which rows of a table are read, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The table, as [`super::Snapshot::describe`] gave it.
    pub table: &'a TableSchema,
    /// Only rows behind this primary key.
    pub after: Option<&'a [Cell]>,
    /// At most so many rows.
    pub limit: Option<u32>,
    /// In the order of the primary key, where there is one; else in any order, whatever is fastest.
    pub ordered: bool,
}

impl<'a> Read<'a> {
    /// All rows in key order.
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

/// How one table is loaded.
#[derive(Clone, Debug)]
pub struct TableLoad {
    /// The run's id in the ledger.
    pub run: String,
    /// The table as it arrives: exactly the cells of each row.
    pub incoming: TableSchema,
    /// What to do with the rows. For a row-by-row strategy: take the incoming row wherever it still stands in the staging.
    pub plan: SetPlan,
    /// For a table that this run makes, or made before it was interrupted: the statements that make it.
    pub create: Option<Vec<CheckedStatement>>,
    /// Whether rows may go directly into a table of this run, without a staging.
    pub direct: bool,
    /// Whether a component judges rows that exist: what it saw of them may not change before the chunk is committed.
    pub row_by_row: bool,
    /// The most rows that may be rejected.
    pub reject_limit: u64,
    /// What a retry of rejected rows has to know: kept in the ledger as it is.
    pub description: String,
    /// What becomes of values that do not fit, by column; those that are not named reject the row.
    pub conversions: Vec<(String, Conversion)>,
    /// These rows are the run's rejects: the ones that were kept go with the first chunk.
    pub retry: bool,
}

impl TableLoad {
    /// What becomes of values that do not fit a column.
    pub(crate) fn conversion_of(&self, column: &str) -> Conversion {
        let mut named = self.conversions.iter();
        let own = named.find(|(name, _)| name == column);
        own.map_or(Conversion::Exact, |(_, policy)| policy.clone())
    }
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
    /// Whether the run made the table.
    pub made: bool,
    /// Whether the table is complete.
    pub done: bool,
    /// What [`TableLoad::description`] said.
    pub description: String,
}

/// What is known of a table that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What became of the rows, earlier attempts of the run included.
    pub counts: ChunkCounts,
    /// How many of the sender's snapshots the rows come from.
    pub snapshots: u32,
    /// Whether the rows are stored as they should be.
    pub stored: Stored,
    /// For a table that this run filled alone and directly: the sum of the digests of all its rows, to be compared with
    /// what is read back.
    pub digest: Option<u128>,
    /// The columns in which values were changed to fit.
    pub changed: Vec<ColumnChanges>,
}

/// A row that was not taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The run, as the ledger names it.
    pub run: String,
    /// The table.
    pub table: String,
    /// The row's number in the order of arrival, from 1.
    pub row: u64,
    /// Its key for people, shortened; empty without a primary key.
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
    /// Exactly this SQL.
    pub(crate) fn new(sql: String) -> Self {
        let enum_type = None;
        Self { sql, enum_type }
    }

    /// The statement that makes this enum, whose name is not quoted here.
    pub(crate) fn of_enum(sql: String, enum_type: EnumType) -> Self {
        let enum_type = Some(enum_type);
        Self { sql, enum_type }
    }

    /// The enum that it makes, its name not quoted. It may be there already.
    #[must_use]
    pub fn enum_type(&self) -> Option<&EnumType> {
        self.enum_type.as_ref()
    }

    /// The SQL to run.
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
    /// The local cells, in the order and the reading of the incoming columns.
    pub local: Vec<Cell>,
}

/// What becomes of one staged row.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
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
    /// All rows that arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.created + self.updated + self.same + self.skipped + self.failed
    }
}

impl std::ops::AddAssign for ChunkCounts {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.same += other.same;
        self.skipped += other.skipped;
        self.failed += other.failed;
    }
}
