//! Finds the staged rows that violate foreign keys that SQLite checks only at the commit.

use super::apply::Application;
use super::foreign_keys::ForeignKeyCheck;
use crate::database::DatabaseError;
use crate::database::bookkeeping::Savepoint;
use crate::database::sqlite::raw::{RawConnection, RawError};

/// A chunk as it was staged, to which a failed commit goes back.
///
/// A commit fails if a staged parent was rejected, a parent was changed, or a trigger acted. SQLite does not report the
/// row, but keeps the transaction open.
#[derive(Debug)]
pub struct StagedChunk {
    held: u64,
    skipped: u64,
    /// How many rows of a table that refers to itself were rejected.
    rejected: usize,
    books: Savepoint,
    /// Whether savepoints were set: they cost time, and without foreign keys nothing is deferred.
    saved: bool,
}

impl StagedChunk {
    /// Saves the chunk before it is applied.
    pub fn save(application: &Application<'_>) -> Result<Self, DatabaseError> {
        let plan = application.plan;
        let saved = !plan.foreign_keys.are_never_deferred() || plan.rejected_parents.are_own();
        if saved {
            application
                .connection
                .execute("SAVEPOINT tombolo_staged", &[])?;
        }
        Ok(Self {
            held: application.chunk.held,
            skipped: application.chunk.skipped,
            rejected: application.chunk.rejected.len(),
            books: application.books.savepoint(),
            saved,
        })
    }

    /// Notes that the chunk is applied; what follows can be undone alone.
    pub fn applied(&self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        if self.saved {
            connection.execute("SAVEPOINT tombolo_applied", &[])?;
        }
        Ok(())
    }

    /// Goes back to the chunk as it was staged, if savepoints were set.
    pub fn undo(self, application: &mut Application<'_>) -> Result<(), DatabaseError> {
        let connection = application.connection;
        connection.execute("ROLLBACK TO tombolo_staged", &[])?;
        connection.execute("RELEASE tombolo_staged", &[])?;
        application.chunk.held = self.held;
        application.chunk.skipped = self.skipped;
        application.chunk.rejected.truncate(self.rejected);
        application.books.back_to(&self.books);
        Ok(())
    }

    /// Goes back to the chunk as it was staged, and rejects the rows that prevented its commit. Fails with the error of
    /// the commit if no such row is found.
    pub fn reject_unresolved(
        self,
        application: &mut Application<'_>,
        error: RawError,
    ) -> Result<(), DatabaseError> {
        let (connection, plan) = (application.connection, application.plan);
        if !self.saved || !connection.in_transaction() {
            return Err(error.into());
        }
        connection.execute("ROLLBACK TO tombolo_applied", &[])?;
        let mut found = find(application, &plan.foreign_keys.orphans)?;
        self.undo(application)?;
        if found.is_empty() {
            found = find(application, &plan.foreign_keys.abandoning)?;
        }
        if found.is_empty() {
            return Err(error.into());
        }
        for (number, reason) in found {
            application.reject(number, &reason)?;
        }
        Ok(())
    }
}

/// Returns the rows that checks find, each once, with the reason.
fn find(
    application: &Application<'_>,
    checks: &[ForeignKeyCheck],
) -> Result<Vec<(i64, String)>, DatabaseError> {
    let mut found: Vec<(i64, String)> = Vec::new();
    for check in checks {
        for number in application.find(&check.sql)? {
            found.push((number, check.reason.clone()));
        }
    }
    found.sort_by_key(|(number, _)| *number);
    found.dedup_by_key(|(number, _)| *number);
    Ok(found)
}
