use crate::bindings::types::{Cell, SetPlan, TableSchema};

/// How one table is loaded.
#[derive(Clone, Debug)]
pub struct TableLoad {
    /// The run's id.
    pub run: String,
    /// The table as it arrives: exactly the cells of each row.
    pub incoming: TableSchema,
    /// The table as it is here.
    pub local: TableSchema,
    /// What to do with the rows. For a row-by-row strategy: take the incoming row wherever it still stands in the staging.
    pub plan: SetPlan,
    /// Whether this run made the table.
    pub created: bool,
}

/// A statement that the host parsed, checked and printed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedStatement(pub(crate) String);

impl CheckedStatement {
    /// The SQL to run.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.0
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
}

impl std::ops::AddAssign for ChunkCounts {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.same += other.same;
        self.skipped += other.skipped;
    }
}
