//! What a run tells about itself while it works.

use crate::bindings::types::{Failure, TableReport};

/// Follows one run. The methods return at once.
pub trait RunObserver: Send + Sync {
    /// Rows of a table have arrived.
    fn progress(&self, progress: TableProgress);

    /// The connection broke, or the target was busy; the run tries again.
    fn interrupted(&self, interruption: Interruption);

    /// A comparison found a row that differs.
    fn differs(&self, difference: Difference);

    /// A table is complete.
    fn table_complete(&self, report: TableReport);
}

/// How far one table is.
#[derive(Clone, Debug)]
pub struct TableProgress {
    /// The table.
    pub table: String,
    /// Rows received so far.
    pub rows: u64,
    /// Bytes received so far.
    pub bytes: u64,
}

/// An attempt that ended early.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// The table that was under way.
    pub table: String,
    /// What broke.
    pub failure: Failure,
}

/// A row that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// How it differs.
    pub kind: DifferenceKind,
    /// Its primary key, or the whole row where there is none, for people; shortened.
    pub key: String,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It exists at the peer only.
    New,
    /// It exists on both sides with different images.
    Changed,
    /// It exists in the local database only.
    LocalOnly,
}
