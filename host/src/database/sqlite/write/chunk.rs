//! The rows of a chunk under way.

use std::collections::HashSet;

use super::merge_sql::Merge;
use crate::database::Relative;
use crate::database::sqlite::codec::storage::SqliteValue;

/// A chunk whose transaction is open.
#[derive(Debug)]
pub struct Chunk {
    /// The number of the last row before the chunk; rows are numbered from the run's first row on.
    pub before: u64,
    /// The number of the last row that arrived.
    pub arrived: u64,
    /// Rows that are in the staging, or directly in the table.
    pub held: u64,
    /// Rows that left the staging because the local row stays.
    pub skipped: u64,
    /// The number of the last row that was returned as a conflict.
    pub shown: u64,
    /// Staged rows that refer to rejected rows of other chunks and tables: their numbers, and those of the foreign keys.
    pub orphans: Vec<(i64, usize)>,
    /// Rows that refer to what their rows in the table refer to already.
    pub attached: HashSet<i64>,
    /// The rejected rows of the chunk, as parents of others in a table that refers to itself.
    pub rejected: Vec<Relative>,
    /// The primary key of the last row that arrived, encoded.
    pub last_key: Option<Vec<u8>>,
    /// The last key, as long as keys are single integers in ascending order.
    ascending: Option<i64>,
}

impl Chunk {
    /// Begins after a row.
    pub fn after(before: u64) -> Self {
        Self {
            before,
            arrived: before,
            held: 0,
            skipped: 0,
            shown: 0,
            orphans: Vec::new(),
            attached: HashSet::new(),
            rejected: Vec::new(),
            last_key: None,
            ascending: Some(i64::MIN),
        }
    }

    /// Returns true if a key may have arrived twice.
    pub fn may_repeat(&self) -> bool {
        self.ascending.is_none()
    }

    /// Notes the key of a staged row.
    pub fn note_key(&mut self, merge: &Merge, values: &[SqliteValue<'_>]) {
        let mut key = merge.key_positions();
        let key = match (key.next(), key.next()) {
            (Some(index), None) => values.get(index),
            _ => None,
        };
        self.ascending = match (self.ascending, key) {
            (Some(last), Some(SqliteValue::Integer(key))) if *key > last => Some(*key),
            _ => None,
        };
    }
}

/// The number of a row as SQLite stores it: no run has 2^63 rows.
pub fn position(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}
