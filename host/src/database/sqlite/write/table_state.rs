//! The chunks of one table, each one transaction with its step in the ledger.

use futures::executor::block_on;
use sqlx::SqliteConnection;

use super::apply::Application;
use super::chunk::{Chunk, position};
use super::deferred_fks::StagedChunk;
use super::descendants;
use super::staging;
use super::table_plan::TablePlan;
use crate::bindings::types::Stored;
use crate::database::bookkeeping::{Bookkeeping, LedgerRow, Verification};
use crate::database::sqlite::catalog::{self, Table, origins};
use crate::database::sqlite::codec::storage::{SqliteValue, SqliteValueRef};
use crate::database::sqlite::connection::{run_all, transaction};
use crate::database::sqlite::meta::{ledger, rejects};
use crate::database::sqlite::raw::RawConnection;
use crate::database::sqlite::snapshot;
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, Evidence, LoadMode, Resolution, StagedConflict,
    Step, TableWrite, WholeTable, WriteOutcome,
};
use crate::rows::{RowBlock, RowRef};

/// The state of a table that is written. Its calls block.
pub struct TableState {
    plan: TablePlan,
    books: Bookkeeping,
    /// The number of the last row of the committed chunks.
    arrived: u64,
    /// The chunk under way.
    chunk: Option<Chunk>,
}

/// A chunk that is in the ledger.
struct CommittedChunk {
    counts: ChunkCounts,
    row: LedgerRow,
}

impl TableState {
    /// Begins a table or resumes it: creates it where the run does, enters it in the ledger, and creates its staging.
    pub fn begin(
        connection: &mut SqliteConnection,
        database: &str,
        write: &TableWrite,
    ) -> Result<Self, DatabaseError> {
        let (local, books) =
            transaction(connection, |connection| enter(connection, database, write))?;
        let plan = TablePlan::new(connection, database, write, &local, &books)?;
        staging::create(&RawConnection::lock_blocking(connection)?, &plan.merge)?;
        Ok(Self {
            arrived: books.row().counts.received(),
            plan,
            books,
            chunk: None,
        })
    }

    /// Creates a table and fills it in the transaction that is open, which has to be rolled back if this returns none: the
    /// table does not take all rows directly, or does not hold what was sent.
    pub fn write_whole(
        connection: &mut SqliteConnection,
        database: &str,
        table: &WholeTable,
    ) -> Result<Option<WriteOutcome>, DatabaseError> {
        let (local, books) = enter(connection, database, &table.write)?;
        let plan = TablePlan::new(connection, database, &table.write, &local, &books)?;
        if plan.mode != LoadMode::Direct {
            return Ok(None);
        }
        let mut state = Self {
            arrived: 0,
            plan,
            books,
            chunk: None,
        };
        let mut chunk = Chunk::after(0);
        if !table.blocks.is_empty() {
            state.books.read_from(&table.snapshot);
        }
        let locked = RawConnection::lock_blocking(connection)?;
        for block in &table.blocks {
            state.check_width(block)?;
            state.books.arrived(block);
            let step = state.put(&locked, &mut chunk, block)?;
            if step == Step::NeedsStaging || state.books.rejected() > 0 {
                return Ok(None);
            }
        }
        if chunk.held > 0 {
            let counts = ChunkCounts {
                created: chunk.held,
                ..ChunkCounts::default()
            };
            let done = state.advance(&locked, &chunk, counts)?;
            state.books.committed(done.row);
        }
        drop(locked);
        run_all(connection, &table.after)?;
        let locked = RawConnection::lock_blocking(connection)?;
        ledger::finish(&locked, &state.books)?;
        let (rows, digest) = snapshot::digest(&locked, &table.write.incoming, &local)?;
        if (rows, Some(digest)) != (chunk.held, state.books.row().facts.digest) {
            return Ok(None);
        }
        Ok(Some(state.books.outcome(Evidence::Known(Stored::Verified))))
    }

    fn check_width(&self, block: &RowBlock) -> Result<(), DatabaseError> {
        if block.column_count() == self.plan.layout.width() {
            return Ok(());
        }
        let reason = "the rows have another number of cells than the incoming table";
        Err(self.plan.layout.unsuitable(reason))
    }

    /// Says which snapshot the rows come from that are staged from now on.
    pub fn read_from(&mut self, snapshot: &str) {
        self.books.read_from(snapshot);
    }

    /// Adds a block to the chunk under way; the first block begins the chunk. After an error or
    /// [`Step::NeedsStaging`] there is no chunk, but its transaction may be open.
    pub fn stage(
        &mut self,
        connection: &RawConnection<'_>,
        block: &RowBlock,
    ) -> Result<Step<()>, DatabaseError> {
        self.check_width(block)?;
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.open(connection)?,
        };
        self.books.arrived(block);
        let step = self.put(connection, &mut chunk, block)?;
        if let Step::Done(()) = step {
            self.chunk = Some(chunk);
        }
        Ok(step)
    }

    /// Begins a chunk.
    fn open(&mut self, connection: &RawConnection<'_>) -> Result<Chunk, DatabaseError> {
        connection.execute("BEGIN IMMEDIATE", &[])?;
        // Rows may refer to others that come later in the chunk. Holds until the transaction ends.
        connection.execute("PRAGMA defer_foreign_keys = ON", &[])?;
        rejects::begin_retry(connection, &mut self.books)?;
        if self.plan.mode == LoadMode::Direct {
            self.books.verified(Verification {
                unread: true,
                altered: false,
            });
        }
        Ok(Chunk::after(self.arrived))
    }

    /// Puts rows into the staging, or directly into the table.
    fn put(
        &mut self,
        connection: &RawConnection<'_>,
        chunk: &mut Chunk,
        block: &RowBlock,
    ) -> Result<Step<()>, DatabaseError> {
        let mut insert = connection.prepare(&match self.plan.mode {
            LoadMode::Direct => self.plan.merge.direct(),
            LoadMode::Staged => self.plan.merge.stage(),
        })?;
        let mut values = Vec::with_capacity(self.plan.layout.width());
        let mut last = None;
        for row in block.rows() {
            chunk.arrived += 1;
            last = Some(row);
            let exact = match self.plan.layout.store(row, &mut values) {
                Ok(exact) => exact,
                Err(reason) => {
                    if !self.reject(connection, chunk, row, &reason)? {
                        return Ok(Step::NeedsStaging);
                    }
                    continue;
                }
            };
            let orphan = self.plan.rejected_parents.find(row);
            let stored = values.iter().map(SqliteValue::borrow);
            match self.plan.mode {
                LoadMode::Direct if !exact => return Ok(Step::NeedsStaging),
                LoadMode::Direct if let Some(key) = orphan => {
                    let reason = self.plan.rejected_parents.reason(key);
                    if !self.reject(connection, chunk, row, &reason)? {
                        return Ok(Step::NeedsStaging);
                    }
                    continue;
                }
                LoadMode::Direct => {
                    if let Err(error) = insert.run(stored) {
                        match connection.fault_of_row(&error) {
                            // Another program may have inserted a row with this key: the plan says what happens then.
                            Some(_) if error.is_about_keys() => return Ok(Step::NeedsStaging),
                            Some(reason) => {
                                if !self.reject(connection, chunk, row, &reason)? {
                                    return Ok(Step::NeedsStaging);
                                }
                                continue;
                            }
                            None => return Err(error.into()),
                        }
                    }
                }
                LoadMode::Staged => {
                    let number = SqliteValueRef::Integer(position(chunk.arrived));
                    let cells = match exact {
                        true => SqliteValueRef::Null,
                        false => SqliteValueRef::Blob(row.bytes()),
                    };
                    insert.run([number, cells].into_iter().chain(stored))?;
                    let number = position(chunk.arrived);
                    chunk.orphans.extend(orphan.map(|key| (number, key)));
                    chunk.note_key(&self.plan.merge, &values);
                    if !exact {
                        self.books.inexact();
                    }
                }
            }
            chunk.held += 1;
        }
        if let Some(row) = last {
            chunk.last_key = self.plan.layout.primary_key(row);
        }
        Ok(Step::Done(()))
    }

    /// Rejects a row that arrived. Returns false if only a staging tells which rows descend from it.
    fn reject(
        &mut self,
        connection: &RawConnection<'_>,
        chunk: &mut Chunk,
        row: RowRef<'_>,
        reason: &str,
    ) -> Result<bool, DatabaseError> {
        let (layout, number) = (&self.plan.layout, position(chunk.arrived));
        let parents = &self.plan.rejected_parents;
        if parents.are_own() {
            if self.plan.mode == LoadMode::Direct {
                return Ok(false);
            }
            chunk.rejected.push(parents.relative(chunk.arrived, row));
        }
        rejects::keep(
            connection,
            &mut self.books,
            layout,
            number,
            row.bytes(),
            reason,
        )?;
        Ok(true)
    }

    /// Returns the next page of staged rows that exist with another image.
    pub fn conflicts(
        &mut self,
        connection: &RawConnection<'_>,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        let plan = &self.plan;
        let chunk = self.chunk.as_mut();
        let Some(chunk) = chunk.filter(|_| plan.mode == LoadMode::Staged && plan.merge.has_key())
        else {
            return Ok(Vec::new());
        };
        let after = position(chunk.shown);
        let page = staging::conflicts(connection, &plan.layout, &plan.merge, after, limit)?;
        if let Some(last) = page.last() {
            chunk.shown = last.position;
        }
        Ok(page)
    }

    /// Resolves staged rows one by one.
    pub fn resolve(
        &mut self,
        connection: &RawConnection<'_>,
        resolutions: &[(u64, Resolution)],
    ) -> Result<(), DatabaseError> {
        let plan = &self.plan;
        for (row, resolution) in resolutions {
            let number = position(*row);
            let stays =
                staging::resolve(connection, &plan.layout, &plan.merge, number, resolution)?;
            if let Some(chunk) = self.chunk.as_mut().filter(|_| !stays) {
                chunk.held -= 1;
                chunk.skipped += 1;
            }
        }
        Ok(())
    }

    /// Takes the chunk into the table and commits it. Returns zero counts without a chunk. After an error or
    /// [`Step::NeedsStaging`] there is no chunk, but its transaction may be open.
    pub fn commit(
        &mut self,
        connection: &RawConnection<'_>,
    ) -> Result<Step<ChunkCounts>, DatabaseError> {
        let Some(mut chunk) = self.chunk.take() else {
            return Ok(Step::Done(ChunkCounts::default()));
        };
        let done = match self.plan.mode {
            LoadMode::Direct => match self.commit_direct(connection, &chunk)? {
                Step::Done(done) => done,
                Step::NeedsStaging => return Ok(Step::NeedsStaging),
            },
            LoadMode::Staged => self.commit_staged(connection, &mut chunk)?,
        };
        self.books.committed(done.row);
        self.arrived = chunk.arrived;
        Ok(Step::Done(done.counts))
    }

    /// Commits rows that are in the table already.
    fn commit_direct(
        &self,
        connection: &RawConnection<'_>,
        chunk: &Chunk,
    ) -> Result<Step<CommittedChunk>, DatabaseError> {
        let counts = ChunkCounts {
            created: chunk.held,
            ..ChunkCounts::default()
        };
        let done = self.advance(connection, chunk, counts)?;
        match connection.execute("COMMIT", &[]) {
            // A row refers to one that did not come. Only a staging tells which.
            Err(error) if error.is_constraint() => Ok(Step::NeedsStaging),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Step::Done(done)),
        }
    }

    /// Applies staged rows and commits them, without those that refer to rows that do not exist.
    fn commit_staged(
        &mut self,
        connection: &RawConnection<'_>,
        chunk: &mut Chunk,
    ) -> Result<CommittedChunk, DatabaseError> {
        loop {
            let mut application = self.application(connection, chunk);
            let staged = StagedChunk::save(&application)?;
            let counts = application.run()?;
            let found = descendants::of_rejected(&application)?;
            if !found.is_empty() {
                staged.undo(&mut application)?;
                descendants::reject(&mut application, &found)?;
                continue;
            }
            staged.applied(connection)?;
            staging::clear(connection)?;
            let done = self.advance(connection, chunk, counts)?;
            match connection.execute("COMMIT", &[]) {
                Ok(_) => return Ok(done),
                Err(error) if error.is_constraint() => {
                    staged.reject_unresolved(&mut self.application(connection, chunk), error)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn application<'a>(
        &'a mut self,
        connection: &'a RawConnection<'a>,
        chunk: &'a mut Chunk,
    ) -> Application<'a> {
        Application {
            connection,
            plan: &self.plan,
            chunk,
            books: &mut self.books,
        }
    }

    /// Adds a chunk to the ledger. What it returns is true as soon as the transaction is committed.
    fn advance(
        &self,
        connection: &RawConnection<'_>,
        chunk: &Chunk,
        mut counts: ChunkCounts,
    ) -> Result<CommittedChunk, DatabaseError> {
        counts.failed = self.books.rejected();
        let row = self.books.advance(counts, chunk.last_key.clone());
        ledger::advance(connection, &self.books, &row)?;
        Ok(CommittedChunk { counts, row })
    }

    /// Keeps a sample of the rejects of the chunk that was rolled back.
    pub fn keep_sample(&mut self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        rejects::keep_sample(connection, &mut self.books, &self.plan.layout)
    }

    /// Drops the table if the run made it, and nobody has put a row into it.
    pub fn discard_new_table(&self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        let table = self.plan.merge.table();
        if !self.books.is_untouched() || connection.integer(&self.plan.merge.is_empty(), &[])? == 0
        {
            return Ok(());
        }
        connection.execute(&format!("DROP TABLE {table}"), &[])?;
        ledger::forget(connection, &self.books)
    }

    /// Forgets the chunk under way, whose transaction is rolled back.
    pub fn forget_chunk(&mut self) {
        self.books.rolled_back();
        self.chunk = None;
    }

    /// Runs the statements that follow the data, and marks the table as complete, in one transaction.
    pub fn finish(
        &self,
        connection: &mut SqliteConnection,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, DatabaseError> {
        transaction(connection, |connection| {
            run_all(connection, after)?;
            ledger::finish(&RawConnection::lock_blocking(connection)?, &self.books)
        })?;
        // SQLite itself numbers new rows past the greatest key.
        staging::remove(&RawConnection::lock_blocking(connection)?)?;
        Ok(self.books.outcome(self.evidence()))
    }

    /// Returns what is known of how the rows are stored.
    fn evidence(&self) -> Evidence {
        let row = self.books.row();
        let only_created =
            row.counts.created == row.counts.received().saturating_sub(row.counts.failed);
        let is_only_writer = row.made
            && self.plan.alone
            && only_created
            && row.facts.digest.is_some()
            && row.facts.verification.unread
            && !row.facts.verification.altered;
        let unread = match row.done {
            true => "an earlier attempt completed it",
            false => "it has no key that tells its new rows from others",
        };
        self.books
            .evidence(is_only_writer, self.plan.triggers.clone(), unread)
    }
}

/// Creates the table, where the run does, and its ledger row; or finds both.
fn enter(
    connection: &mut SqliteConnection,
    database: &str,
    write: &TableWrite,
) -> Result<(Table, Bookkeeping), DatabaseError> {
    let name = &write.incoming.table;
    let entry = block_on(ledger::entry(connection, &write.run, name))?;
    if entry.is_none()
        && let Some(statements) = &write.create
    {
        run_all(connection, statements)?;
        let created = block_on(catalog::table(connection, database, name))?;
        block_on(origins::store(connection, &created, &write.incoming))?;
    }
    let local = block_on(catalog::table(connection, database, name))?;
    let books = ledger::enter(connection, write, &local.schema.table)?;
    Ok((local, books))
}
