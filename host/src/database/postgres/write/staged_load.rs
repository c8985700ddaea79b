//! Loads rows through a staging: they are checked, resolved and written when their chunk is committed.

use std::collections::HashSet;

use bytes::BytesMut;
use xxhash_rust::xxh3::xxh3_128;

use super::apply::{Apply, Range};
use super::chunk_rows::{ChunkRows, RefusedRow};
use super::conflicts::Conflicts;
use super::descendants::Descendants;
use super::execute::Execute;
use super::key_order::KeyOrder;
use super::merge_sql::Merge;
use super::plan::TablePlan;
use super::precheck::Precheck;
use super::staging::STAGING;
use crate::database::postgres::connection::Session;
use crate::database::postgres::meta::rejects::RejectStore;
use crate::database::{
    Bookkeeping, ChunkCounts, DatabaseError, RejectedParents, RejectedRow, Resolution,
    StagedConflict, TableWrite, Verification,
};
use crate::rows::RowBlock;

/// An unanalysed staging misleads the planner from about this many rows on.
const ANALYZE_ROWS: u64 = 1_000;

/// Rows on their way through the staging.
pub(super) struct StagedLoad {
    rejects: RejectStore,
    chunk: ChunkRows,
    rejected_parents: RejectedParents,
    /// None before the first page is asked for.
    conflicts: Option<Conflicts>,
    /// Whether the planner knows how many rows are staged.
    analyzed: bool,
}

impl StagedLoad {
    /// Creates the staging.
    pub async fn new(
        session: &mut Session,
        plan: &TablePlan,
        books: &Bookkeeping,
        write: &TableWrite,
    ) -> Result<Self, DatabaseError> {
        session.run(plan.merge.create_staging()).await?;
        if plan.merge.sets_apart() {
            session.run(Merge::create_existing()).await?;
        }
        let before = match books.is_retry() {
            // Their numbers are not in use any more.
            true => 0,
            false => books.row().counts.received(),
        };
        let key = plan.merge.key.iter().map(|column| column.position);
        Ok(Self {
            rejects: RejectStore::new(write),
            chunk: ChunkRows::new(before, KeyOrder::new(key.collect())),
            rejected_parents: write.rejected_parents.clone(),
            conflicts: None,
            analyzed: false,
        })
    }

    /// Encodes a block, and adds it to the chunk under way. Fails with [`DatabaseError::TooManyRejects`] if more rows
    /// have no place in the table than may be rejected.
    pub fn encode(
        &mut self,
        plan: &TablePlan,
        books: &mut Bookkeeping,
        block: &RowBlock,
    ) -> Result<BytesMut, DatabaseError> {
        let (last, key_order) = (self.chunk.last(), &mut self.chunk.key_order);
        let mut staged = plan.encoder.encode_staged(block, last, key_order)?;
        for (number, row) in (last + 1..).zip(block.rows()) {
            let key = self.rejected_parents.find(row);
            self.chunk.orphans.extend(key.map(|key| (number, key)));
        }
        self.chunk.add(block, &plan.encoder, &mut staged);
        self.analyzed = false;
        let allowed = usize::try_from(books.rejects_left()).unwrap_or(usize::MAX);
        match self.chunk.unfit.get(allowed) {
            Some(one_more) => {
                let error = books.too_many_rejects(&one_more.reason);
                self.sample(books, &self.chunk.unfit);
                Err(error)
            }
            None => Ok(staged.rows),
        }
    }

    /// Returns the next page of the chunk's rows that exist with another image.
    pub async fn conflicts(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        if plan.merge.is_plain_insert() {
            return Ok(Vec::new());
        }
        if self.conflicts.is_none() {
            self.analyze(session).await?;
        }
        let conflicts = match &mut self.conflicts {
            Some(conflicts) => conflicts,
            None => {
                let opened = Conflicts::open(session, plan, &self.chunk).await?;
                self.conflicts.insert(opened)
            }
        };
        conflicts.page(session, plan, &self.chunk, limit).await
    }

    /// Notes what becomes of rows that [`Self::conflicts`] returned.
    pub async fn resolve(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        resolutions: Vec<(u64, Resolution)>,
    ) -> Result<(), DatabaseError> {
        match &mut self.conflicts {
            Some(conflicts) => conflicts.resolve(session, plan, resolutions).await,
            None => Err(plan.unsuitable("a row was resolved that was not shown")),
        }
    }

    /// Writes the staged rows into the table, and those that it does not take into the table of rejects; the caller
    /// advances the ledger and commits.
    pub async fn apply(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        books: &mut Bookkeeping,
    ) -> Result<ChunkCounts, DatabaseError> {
        let kept_local = match &self.conflicts {
            Some(conflicts) => conflicts.carry_out(session, plan).await?,
            None => 0,
        };
        if books.is_retry() {
            books.retried(self.rejects.remove(session).await?);
        }
        self.analyze(session).await?;
        if plan.merge.is_plain_insert() {
            // What is stored is compared by place; the table itself is not read.
            session.run("SET LOCAL enable_hashjoin = on").await?;
        }
        let mut refused = std::mem::take(&mut self.chunk.unfit);
        let orphans = Descendants {
            plan,
            parents: &self.rejected_parents,
            chunk: &self.chunk,
        };
        orphans
            .refuse(session, &self.chunk.orphans, &mut refused)
            .await?;
        let mut attached = HashSet::new();
        let own = self.rejected_parents.are_own();
        let (mut counts, found) = loop {
            if own {
                session.run("SAVEPOINT tombolo_chunk").await?;
            }
            let mut all = refused.clone();
            let done = self.write(session, plan, books, &mut all).await;
            if done.is_err() {
                self.sample(books, &all);
            }
            let done = done?;
            let found = match own {
                true => orphans.of_refused(&all, &attached),
                false => Vec::new(),
            };
            if found.is_empty() {
                refused = all;
                break done;
            }
            session.run("ROLLBACK TO SAVEPOINT tombolo_chunk").await?;
            let stay = orphans.attached(session, &found).await?;
            match stay.is_empty() {
                true => orphans.refuse(session, &found, &mut refused).await?,
                // They are no descendants, and others may not be.
                false => attached.extend(stay),
            }
        };
        books.verified(found);
        self.reject(session, plan, books, &refused).await?;
        books.changed(&self.chunk.changed);
        counts.skipped += kept_local;
        counts.failed += books.rejected();
        Ok(counts)
    }

    /// Writes the staged rows into the table, without those that it does not take, which are added to `refused`.
    async fn write(
        &self,
        session: &mut Session,
        plan: &TablePlan,
        books: &Bookkeeping,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(ChunkCounts, Verification), DatabaseError> {
        let precheck = Precheck { plan, books };
        let ascends = self.chunk.key_order.ascends();
        let exact_casts = precheck.run(session, ascends, refused).await?;
        let conflicts = self.conflicts.as_ref();
        let apply = Apply {
            execute: Execute {
                plan,
                exact_casts,
                changing: conflicts.and_then(|one| one.changing(session, self.chunk.count())),
            },
            rows: Range {
                after: self.chunk.before(),
                last: self.chunk.last(),
            },
            books,
        };
        apply.all(session, refused).await
    }

    /// Stores a sample of the refused rows of a chunk that was rolled back.
    pub async fn keep_sample(
        &self,
        session: &mut Session,
        books: &mut Bookkeeping,
    ) -> Result<(), DatabaseError> {
        for RejectedRow { row, reason, cells } in books.take_sample() {
            self.rejects.insert(session, row, &cells, &reason).await?;
        }
        Ok(())
    }

    /// Notes refused rows, in case that their chunk is given up because of them.
    fn sample(&self, books: &mut Bookkeeping, refused: &[RefusedRow]) {
        for RefusedRow { row, reason } in refused {
            books.sample(*row, reason, &self.chunk.encoded_row(*row));
        }
    }

    /// Stores refused rows as they were received.
    async fn reject(
        &mut self,
        session: &mut Session,
        plan: &TablePlan,
        books: &mut Bookkeeping,
        refused: &[RefusedRow],
    ) -> Result<(), DatabaseError> {
        for RefusedRow { row, reason } in refused {
            let cells = self.chunk.encoded_row(*row);
            books.reject(xxh3_128(&cells), reason)?;
            self.rejects.insert(session, *row, &cells, reason).await?;
            if self.chunk.changed.is_empty() {
                continue;
            }
            for column in plan.encoder.changed_columns(&cells) {
                if let Some(values) = self.chunk.changed.get_mut(column) {
                    *values = values.saturating_sub(1);
                }
            }
        }
        Ok(())
    }

    /// Begins the next chunk behind the one that is committed.
    pub fn committed(&mut self) {
        self.restart(self.chunk.last());
    }

    /// Forgets the chunk under way.
    pub fn rolled_back(&mut self) {
        self.restart(self.chunk.before());
    }

    fn restart(&mut self, before: u64) {
        self.chunk.restart(before);
        self.conflicts = None;
        self.analyzed = false;
    }

    async fn analyze(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        if !self.analyzed && self.chunk.count() > ANALYZE_ROWS {
            session.run(format!("ANALYZE {STAGING}")).await?;
        }
        self.analyzed = true;
        Ok(())
    }
}
