//! Foreign keys that SQLite only checks when the chunk is committed: which staged rows break them, and the chunk without
//! these.
//!
//! A staged parent may have been rejected, a parent may have been changed, or a trigger may have had a say. SQLite does not
//! tell which row it was, but keeps the transaction open.

use super::foreign_keys::ForeignKeyCheck;
use super::table_writer::Load;
use crate::database::DatabaseError;
use crate::database::sqlite::meta::ledger::RowsSoFar;
use crate::database::sqlite::raw::{RawConnection, RawError};

/// Foreign keys that can be broken by a chunk that is written.
#[derive(Debug, Default)]
pub struct Deferred {
    /// Staged rows whose row in the table refers to nothing.
    pub children: Vec<ForeignKeyCheck>,
    /// Staged rows that, before they are written, would take away what others refer to.
    pub parents: Vec<ForeignKeyCheck>,
}

impl Deferred {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.parents.is_empty()
    }
}

/// What is known of a chunk that is staged and not yet applied.
#[derive(Debug)]
pub struct Staged {
    held: u64,
    skipped: u64,
    rejected: u64,
    rows: RowsSoFar,
}

impl Load {
    /// Remembers the chunk as it is staged, to come back to.
    pub fn remember(&self, connection: &RawConnection<'_>) -> Result<Staged, DatabaseError> {
        if self.can_go_back() {
            connection.execute("SAVEPOINT tombolo_staged", &[])?;
        }
        Ok(Staged {
            held: self.chunk.held,
            skipped: self.chunk.skipped,
            rejected: self.rejects.in_chunk(),
            rows: self.ledger.new_rows(),
        })
    }

    /// The chunk is applied; what follows can be undone alone.
    pub fn applied(&self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        if self.can_go_back() {
            connection.execute("SAVEPOINT tombolo_applied", &[])?;
        }
        Ok(())
    }

    /// Goes back to the chunk as it was staged and rejects the rows for which it could not be committed; the error where
    /// no such row is found.
    pub fn reject_unresolved(
        &mut self,
        connection: &RawConnection<'_>,
        staged: &Staged,
        error: RawError,
    ) -> Result<(), DatabaseError> {
        if !self.can_go_back() || !connection.in_transaction() {
            return Err(error.into());
        }
        connection.execute("ROLLBACK TO tombolo_applied", &[])?;
        let mut found = self.found(connection, &self.deferred.children)?;
        connection.execute("ROLLBACK TO tombolo_staged", &[])?;
        connection.execute("RELEASE tombolo_staged", &[])?;
        self.chunk.held = staged.held;
        self.chunk.skipped = staged.skipped;
        self.rejects.back_to(staged.rejected);
        self.ledger.back_to(staged.rows);
        if found.is_empty() {
            found = self.found(connection, &self.deferred.parents)?;
        }
        if found.is_empty() {
            return Err(error.into());
        }
        for (number, reason) in found {
            self.reject_staged(connection, number, &reason)?;
        }
        Ok(())
    }

    /// Savepoints cost something, and without foreign keys nothing is deferred.
    fn can_go_back(&self) -> bool {
        !self.direct && !self.deferred.is_empty()
    }

    /// Rows that checks find, each once, with the reason.
    fn found(
        &self,
        connection: &RawConnection<'_>,
        checks: &[ForeignKeyCheck],
    ) -> Result<Vec<(i64, String)>, DatabaseError> {
        let mut found: Vec<(i64, String)> = Vec::new();
        for check in checks {
            for number in self.find(connection, &check.sql)? {
                found.push((number, check.reason.clone()));
            }
        }
        found.sort_by_key(|(number, _)| *number);
        found.dedup_by_key(|(number, _)| *number);
        Ok(found)
    }
}
