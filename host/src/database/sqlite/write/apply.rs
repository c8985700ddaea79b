//! Applies a chunk's staged rows to their table.

use super::chunk::{Chunk, position};
use super::descendants;
use super::moves;
use super::staging;
use super::stored_rows::{self, LastRowid};
use super::table_plan::TablePlan;
use crate::database::bookkeeping::{Bookkeeping, Verification};
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::meta::rejects;
use crate::database::sqlite::raw::{RawConnection, Statement};
use crate::database::{ChunkCounts, DatabaseError};
use crate::rows::{CellRef, RowBlock};

/// Staged rows that one statement writes. A row that SQLite refuses is searched for among as many.
const RANGE: i64 = 10_000;

/// A chunk's staged rows on their way into the table, inside of the chunk's transaction.
pub struct Application<'a> {
    /// The connection that the transaction is open on.
    pub connection: &'a RawConnection<'a>,
    /// The table's plan.
    pub plan: &'a TablePlan,
    /// The chunk.
    pub chunk: &'a mut Chunk,
    /// The table's books.
    pub books: &'a mut Bookkeeping,
}

impl<'a> Application<'a> {
    /// Rejects the rows that cannot go into the table, writes the others, and checks how they are stored. Returns what
    /// became of the rows that are not rejected.
    pub fn run(&mut self) -> Result<ChunkCounts, DatabaseError> {
        let (connection, merge) = (self.connection, &self.plan.merge);
        descendants::reject_orphans(self)?;
        if merge.has_key() && self.chunk.may_repeat() {
            self.reject_found(
                &merge.repeated(),
                "its key arrived before in the same chunk",
            )?;
        }
        // The first chunk of a new table needs no search for rows that exist.
        let merging = merge.has_key() && connection.count(&merge.is_empty())? == 0;
        if merging && let Some(sql) = merge.leave_existing() {
            let left = connection.execute(&sql, &[])?;
            self.chunk.held -= left;
            self.chunk.skipped += left;
        }
        self.reject_orphans()?;
        let mut counts = ChunkCounts::default();
        if merging && let Some(sql) = merge.update() {
            counts.updated = match &self.plan.moves {
                Some(moves) => moves::update(self, moves, &sql)?,
                None => self.write(&sql)?,
            };
        }
        let last = LastRowid::find(connection, merge, RANGE * RANGE)?;
        counts.created = self.write(&merge.insert(merging))?;
        self.verify(!merging, last, counts.created)?;
        let written = counts.created + counts.updated;
        let rest = self.chunk.held.saturating_sub(written);
        match merge.updates() {
            true => counts.same = rest,
            // Triggers dropped them.
            false => counts.skipped = rest,
        }
        counts.skipped += self.chunk.skipped;
        Ok(counts)
    }

    /// Rejects rows whose parents do not exist. Those may be the parents of others.
    fn reject_orphans(&mut self) -> Result<(), DatabaseError> {
        let plan = self.plan;
        loop {
            let mut rejected = 0;
            for check in &plan.foreign_keys.staged {
                rejected += self.reject_found(&check.sql, &check.reason)?;
            }
            if rejected == 0 {
                return Ok(());
            }
        }
    }

    /// Rejects the rows that a query finds, all for one reason. Returns their number.
    fn reject_found(&mut self, sql: &str, reason: &str) -> Result<usize, DatabaseError> {
        let numbers = self.find(sql)?;
        for number in &numbers {
            self.reject(*number, reason)?;
        }
        Ok(numbers.len())
    }

    /// Returns the numbers of staged rows that a query finds, at most one more than may be rejected.
    pub fn find(&self, sql: &str) -> Result<Vec<i64>, DatabaseError> {
        let mut numbers = Vec::new();
        let mut select = self.connection.prepare(sql)?;
        let limit = position(self.books.rejects_left().saturating_add(1));
        let limit = [SqliteValueRef::Integer(limit)];
        let mut rows = select.query(&limit)?;
        while let Some(row) = rows.next()? {
            if let Ok(SqliteValueRef::Integer(number)) = row.get(0) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Rejects a staged row. Fails with `TooManyRejects` if no more may be rejected.
    pub fn reject(&mut self, number: i64, reason: &str) -> Result<(), DatabaseError> {
        let (connection, layout) = (self.connection, &self.plan.layout);
        let cells = staging::encoded(connection, layout, number)?;
        rejects::keep(connection, self.books, layout, number, &cells, reason)?;
        let parents = &self.plan.rejected_parents;
        if parents.are_own() {
            let cells = RowBlock::parse_row(&cells).unwrap_or_default();
            let number = u64::try_from(number).unwrap_or_default();
            let relative = parents.relative(number, cells.iter().map(CellRef::from));
            self.chunk.rejected.push(relative);
        }
        staging::take_out(connection, number)?;
        self.chunk.held -= 1;
        Ok(())
    }

    /// Runs a statement for all staged rows and rejects those that it cannot take. Returns the number of rows it changed.
    pub fn write(&mut self, sql: &str) -> Result<u64, DatabaseError> {
        let mut statement = self.connection.prepare(sql)?;
        let mut changed = 0;
        for (first, last) in self.ranges() {
            changed += self.write_range(&mut statement, first, last)?;
        }
        Ok(changed)
    }

    /// Returns the ranges of staged rows that one statement writes, in their order: the first and the last number of each.
    pub fn ranges(&self) -> Vec<(i64, i64)> {
        let mut first = position(self.chunk.before) + 1;
        let end = position(self.chunk.arrived);
        let mut ranges = Vec::new();
        while first <= end {
            let last = end.min(first.saturating_add(RANGE - 1));
            ranges.push((first, last));
            first = last + 1;
        }
        ranges
    }

    /// Halves a range that contains a row that SQLite refuses, until only that row is left.
    fn write_range(
        &mut self,
        statement: &mut Statement<'_>,
        first: i64,
        last: i64,
    ) -> Result<u64, DatabaseError> {
        let connection = self.connection;
        // A statement undoes itself, but not what a trigger's RAISE(FAIL) leaves.
        connection.execute("SAVEPOINT tombolo_range", &[])?;
        let range = [
            SqliteValueRef::Integer(first),
            SqliteValueRef::Integer(last),
        ];
        let Err(error) = statement.run(range) else {
            let changed = connection.changes();
            connection.execute("RELEASE tombolo_range", &[])?;
            return Ok(changed);
        };
        let Some(reason) = connection.fault_of_row(&error) else {
            return Err(error.into());
        };
        connection.execute("ROLLBACK TO tombolo_range", &[])?;
        connection.execute("RELEASE tombolo_range", &[])?;
        if first == last {
            self.reject(first, &reason)?;
            return Ok(0);
        }
        let middle = first + (last - first) / 2;
        let left = self.write_range(statement, first, middle)?;
        let right = self.write_range(statement, middle + 1, last)?;
        Ok(left + right)
    }

    /// Checks that the rows are in the table as the plan makes them. `filled` is true if all of them were new. Fails with
    /// `NotStored` if they are not and the table has no trigger.
    fn verify(
        &mut self,
        filled: bool,
        last: Option<LastRowid>,
        created: u64,
    ) -> Result<(), DatabaseError> {
        let (connection, merge) = (self.connection, &self.plan.merge);
        let differing = if merge.has_key() {
            stored_rows::differing_by_key(connection, merge, filled)?
        } else if let Some(last) = last {
            last.differing(connection, merge, created)?
        } else {
            self.books.verified(Verification {
                unread: true,
                altered: false,
            });
            0
        };
        if differing == 0 {
            return Ok(());
        }
        if self.plan.triggers.is_empty() {
            return Err(DatabaseError::NotStored {
                table: self.plan.layout.table().to_owned(),
                rows: differing,
            });
        }
        self.books.verified(Verification {
            unread: false,
            altered: true,
        });
        Ok(())
    }
}
