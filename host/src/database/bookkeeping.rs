//! The books of one table of one run, without SQL: its ledger row, and how many rows are rejected.

use std::collections::BTreeMap;

use super::{
    ChunkCounts, DatabaseError, Evidence, LedgerEntry, LoadMode, TableWrite, WriteOutcome,
};
use crate::bindings::types::{ColumnChanges, Stored};
use crate::rows::RowBlock;

/// How many values were changed to fit, by column.
pub type Changed = BTreeMap<String, u64>;

/// What decides whether rows go directly into a table.
#[derive(Clone, Copy, Debug)]
pub struct DirectFacts {
    /// What the run asks for.
    pub mode: LoadMode,
    /// Whether the rows are rejects of earlier chunks.
    pub retry: bool,
    /// Whether the run created the table, and all rows in it are its own.
    pub is_only_writer: bool,
    /// Whether the table has triggers that run for inserted rows.
    pub has_triggers: bool,
    /// Whether rows get new keys from the table.
    pub regenerates_key: bool,
    /// Whether every column can take its cells as they arrive.
    pub takes_cells: bool,
}

/// Returns true if rows go into the table itself, false if they go through a staging.
#[must_use]
pub fn is_direct(facts: &DirectFacts) -> bool {
    facts.mode == LoadMode::Direct
        && !facts.retry
        && facts.is_only_writer
        && !facts.has_triggers
        && !facts.regenerates_key
        && facts.takes_cells
}

/// What the checks of stored rows found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Some rows were not checked.
    pub unread: bool,
    /// Triggers changed some rows.
    pub altered: bool,
}

impl std::ops::BitOrAssign for Verification {
    fn bitor_assign(&mut self, other: Self) {
        self.unread |= other.unread;
        self.altered |= other.altered;
    }
}

/// What is known of the rows that a table took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFacts {
    /// The sum of the digests of all rows that were not rejected; none if the table gives some of them back in another
    /// form.
    pub digest: Option<u128>,
    /// Whether all of them went directly into the table and were not read back.
    pub direct: bool,
    /// What their checks found.
    pub verification: Verification,
    /// How many values were changed to fit.
    pub changed: Changed,
}

/// One row of the ledger; both databases keep these fields in columns of the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// How many chunks are committed. A process that finds another number than its own has lost the run.
    pub next_seq: i64,
    /// What became of the rows.
    pub counts: ChunkCounts,
    /// The primary key of the last row, as one encoded row; none before the first chunk and without a primary key.
    pub last_key: Option<Vec<u8>>,
    /// What is known of the rows.
    pub facts: RowFacts,
    /// The sender's snapshot that the last chunk came from.
    pub snapshot: Option<String>,
    /// How many of the sender's snapshots the rows come from.
    pub snapshots: u32,
    /// Whether the run created the table.
    pub made: bool,
    /// Whether the table is complete.
    pub done: bool,
    /// What a retry of rejected rows needs to know.
    pub retry_context: String,
}

impl LedgerRow {
    /// Returns the row of a table that is about to begin.
    #[must_use]
    pub fn first(write: &TableWrite) -> Self {
        Self {
            next_seq: 0,
            counts: ChunkCounts::default(),
            last_key: None,
            facts: RowFacts {
                digest: Some(0),
                direct: true,
                verification: Verification::default(),
                changed: Changed::new(),
            },
            snapshot: None,
            snapshots: 0,
            made: write.create.is_some(),
            done: false,
            retry_context: write.retry_context.clone(),
        }
    }
}

impl From<LedgerRow> for LedgerEntry {
    fn from(row: LedgerRow) -> Self {
        Self {
            counts: row.counts,
            last_key: row.last_key.and_then(|key| RowBlock::parse_row(&key)),
            snapshot: row.snapshot,
            snapshots: row.snapshots,
            made: row.made,
            done: row.done,
            retry_context: row.retry_context,
        }
    }
}

/// The books of a table under way: its committed ledger row, and what the chunk under way adds.
#[derive(Clone, Debug)]
pub struct Bookkeeping {
    run: String,
    table: String,
    /// As it is in the ledger.
    row: LedgerRow,
    /// The facts with those of the chunk under way.
    facts: RowFacts,
    /// The snapshot of the rows that are staged, if it is another than the ledger's.
    snapshot: Option<String>,
    reject_limit: u64,
    /// Rows rejected in the chunk under way.
    rejected: u64,
    /// Rejects of earlier chunks that arrived again in the chunk under way.
    retried: u64,
    /// Whether the rows that arrive are rejects of earlier chunks.
    retry: bool,
    /// Some rows of the chunk under way that were rejected, for people if the chunk is given up because of them.
    sample: Vec<RejectedRow>,
    /// Changed values that are not reported, because a retry reports only its own rows.
    unreported: Changed,
}

/// The most rows of a sample, and the most bytes of one of them.
const SAMPLE: (usize, usize) = (20, 64 << 10);

/// A rejected row of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its number as it arrived, from 1.
    pub row: u64,
    /// Why it was rejected.
    pub reason: String,
    /// Its cells, as one encoded row.
    pub cells: Vec<u8>,
}

/// A chunk's books, to come back to.
#[derive(Clone, Debug)]
pub struct Savepoint {
    facts: RowFacts,
    rejected: u64,
}

impl Bookkeeping {
    /// Opens the books of a table, named as the ledger names it, whose ledger row was just found or inserted.
    #[must_use]
    pub fn open(write: &TableWrite, table: &str, row: LedgerRow) -> Self {
        Self {
            run: write.run.clone(),
            table: table.to_owned(),
            facts: row.facts.clone(),
            snapshot: None,
            reject_limit: write.reject_limit,
            rejected: 0,
            retried: 0,
            retry: write.retry,
            sample: Vec::new(),
            unreported: match write.retry {
                true => row.facts.changed.clone(),
                false => Changed::new(),
            },
            row,
        }
    }

    /// Returns the run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the table's name in the ledger.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns the committed ledger row.
    #[must_use]
    pub fn row(&self) -> &LedgerRow {
        &self.row
    }

    /// Returns true if the run created the table and has not completed it.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        self.row.made && !self.row.done
    }

    /// Returns true if the run created the table and has committed no row.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.is_filling() && self.row.counts.received() == 0
    }

    /// Returns true if all rows so far went directly into the table and were not read back.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.facts.direct
    }

    /// Returns true if the rows that arrive are rejects of earlier chunks.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.retry
    }

    /// Says that the rows that are staged from now on come from this snapshot.
    pub fn read_from(&mut self, snapshot: &str) {
        let another = self.row.snapshot.as_deref() != Some(snapshot);
        self.snapshot = another.then(|| snapshot.to_owned());
    }

    /// Says that rows go through a staging from now on. Nobody checked those that went in directly, and what the table
    /// holds is not theirs alone any more.
    pub fn end_direct(&mut self) {
        let unread = self.facts.direct && !self.retry && self.row.counts.received() > 0;
        for facts in [&mut self.facts, &mut self.row.facts] {
            facts.direct = false;
            facts.verification.unread |= unread;
        }
    }

    /// Adds the rows of a block to those that the table should hold.
    pub fn arrived(&mut self, block: &RowBlock) {
        self.facts.digest = self
            .facts
            .digest
            .map(|sum| sum.wrapping_add(block.digest()));
    }

    /// Notes that the table gives some cells back in another form of the same value.
    pub fn inexact(&mut self) {
        self.facts.digest = None;
    }

    /// Adds what a check of rows of the chunk under way found.
    pub fn verified(&mut self, found: Verification) {
        self.facts.verification |= found;
    }

    /// Counts values of the chunk under way that were changed to fit.
    pub fn changed(&mut self, changed: &Changed) {
        for (column, values) in changed {
            let counted = self.facts.changed.entry(column.clone()).or_default();
            *counted = counted.saturating_add(*values);
        }
    }

    /// Begins the rejects of a chunk: so many kept ones were removed from the table of rejects, because they arrive again.
    pub fn retried(&mut self, removed: u64) {
        self.retried = removed.min(self.row.counts.failed);
    }

    /// Returns how many rows are rejected in the chunk under way.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Returns how many more rows may be rejected.
    #[must_use]
    pub fn rejects_left(&self) -> u64 {
        let kept = self.row.counts.failed.saturating_sub(self.retried);
        let kept = kept.saturating_add(self.rejected);
        self.reject_limit.saturating_sub(kept)
    }

    /// Rejects a row that arrived, by its digest: it is not among those that the table should hold. Fails with
    /// [`DatabaseError::TooManyRejects`] if the limit is reached.
    pub fn reject(&mut self, digest: u128, reason: &str) -> Result<(), DatabaseError> {
        if self.rejects_left() == 0 {
            return Err(self.too_many_rejects(reason));
        }
        self.rejected = self.rejected.saturating_add(1);
        self.facts.digest = self.facts.digest.map(|sum| sum.wrapping_sub(digest));
        Ok(())
    }

    /// Notes a row that is rejected, if the sample has room for it.
    pub fn sample(&mut self, row: u64, reason: &str, cells: &[u8]) {
        let known = self.sample.iter().any(|one| one.row == row);
        if self.sample.len() < SAMPLE.0 && cells.len() <= SAMPLE.1 && !known {
            self.sample.push(RejectedRow {
                row,
                reason: reason.to_owned(),
                cells: cells.to_vec(),
            });
        }
    }

    /// Takes the rows that were noted in the chunk that was given up.
    pub fn take_sample(&mut self) -> Vec<RejectedRow> {
        std::mem::take(&mut self.sample)
    }

    /// Returns the error for a row that may not be rejected any more.
    #[must_use]
    pub fn too_many_rejects(&self, reason: &str) -> DatabaseError {
        DatabaseError::TooManyRejects {
            table: self.table.clone(),
            limit: self.reject_limit,
            reason: reason.to_owned(),
        }
    }

    /// Returns the chunk's books as they are now.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            facts: self.facts.clone(),
            rejected: self.rejected,
        }
    }

    /// Undoes what was noted after a savepoint of the same chunk.
    pub fn back_to(&mut self, savepoint: &Savepoint) {
        self.facts.clone_from(&savepoint.facts);
        self.rejected = savepoint.rejected;
    }

    /// Returns what the chunk under way makes of the ledger row. It is stored in the chunk's transaction where the row's
    /// `next_seq` is still that of [`Self::row`], and handed to [`Self::committed`] after the commit.
    ///
    /// The rejects are counted here, whatever `counts` says. Rows that were rejected before say nothing about how far the
    /// run is: their `last_key` is not kept.
    #[must_use]
    pub fn advance(&self, counts: ChunkCounts, last_key: Option<Vec<u8>>) -> LedgerRow {
        let mut row = self.row.clone();
        row.next_seq = row.next_seq.saturating_add(1);
        row.counts += ChunkCounts {
            failed: self.rejected,
            ..counts
        };
        row.counts.failed = row.counts.failed.saturating_sub(self.retried);
        if !self.retry && last_key.is_some() {
            row.last_key = last_key;
        }
        row.facts.clone_from(&self.facts);
        if let Some(snapshot) = &self.snapshot {
            row.snapshot = Some(snapshot.clone());
            row.snapshots = row.snapshots.saturating_add(1);
        }
        row
    }

    /// Fails with [`DatabaseError::LedgerTaken`] unless exactly one ledger row was changed: somebody else advanced it.
    pub fn check_advanced(&self, changed: u64) -> Result<(), DatabaseError> {
        match changed {
            1 => Ok(()),
            _ => Err(DatabaseError::LedgerTaken {
                table: self.table.clone(),
            }),
        }
    }

    /// Takes over the ledger row of a chunk that is committed.
    pub fn committed(&mut self, row: LedgerRow) {
        self.row = row;
        self.sample.clear();
        self.snapshot = None;
        // What is rejected from now on is not what arrives.
        self.retry = false;
        self.rolled_back();
    }

    /// Forgets the chunk under way.
    pub fn rolled_back(&mut self) {
        self.facts.clone_from(&self.row.facts);
        self.rejected = 0;
        self.retried = 0;
    }

    /// Returns what is known of how the complete table's rows are stored. `is_only_writer`: they all went in directly,
    /// nobody else wrote, and nobody read them. `triggers`: the table's. `unread`: why rows were not checked.
    #[must_use]
    pub fn evidence(&self, is_only_writer: bool, triggers: Vec<String>, unread: &str) -> Evidence {
        let facts = &self.row.facts;
        if is_only_writer {
            return Evidence::Direct {
                digest: facts.digest,
                readback: None,
            };
        }
        Evidence::Known(match facts.verification {
            Verification { altered: true, .. } => Stored::ChangedBy(triggers),
            Verification { unread: true, .. } => Stored::Unverified(unread.to_owned()),
            Verification { .. } => Stored::Verified,
        })
    }

    /// Returns what is known of the complete table.
    #[must_use]
    pub fn outcome(&self, evidence: Evidence) -> WriteOutcome {
        let before = |column| self.unreported.get(column).copied().unwrap_or_default();
        let changes = self.row.facts.changed.iter();
        let changes = changes.map(|(column, values)| ColumnChanges {
            column: column.clone(),
            values: values.saturating_sub(before(column)),
        });
        WriteOutcome {
            counts: self.row.counts,
            snapshots: self.row.snapshots,
            evidence,
            changed: changes.filter(|changes| changes.values > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
