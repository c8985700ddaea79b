//! Transfers the rows of one table into the target, chunk by chunk, over as many connections as it takes.

use std::time::{Duration, Instant};

use super::arrivals::{Arrivals, Reached};
use super::chunk::{Chunk, MAX_ROWS};
use super::conflicts::ResolveError;
use super::context::RunContext;
use super::differences::{self, Differences};
use super::kept_rejects::{self, KeptRejects};
use super::observer::TableProgress;
use super::peer::{IncomingRows, PeerError, Wanted};
use super::rejected_parents;
use super::retry::Retries;
use super::table::PreparedTable;
use super::verify;
use crate::bindings::types::{Cell, Failure, TableReport, TableSchema};
use crate::database::{
    CheckedStatement, DatabaseError, LedgerEntry, LoadMode, Step, TableWrite, TableWriter, Target,
    WriteOutcome,
};
use crate::failure::{ErrorCode, failure};
use crate::rows::{Frame, KeyColumns, RowBlock};

/// The interval between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// Why an attempt to transfer a table ended early.
enum Stop {
    /// The connection broke, or the target was busy: the rows after the last chunk come again.
    Broken(Failure),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn fetched(error: PeerError) -> Stop {
    match error {
        PeerError::Broken(failure) => Stop::Broken(failure),
        PeerError::Refused(failure) | PeerError::Exceeded(failure) => Stop::Failed(failure),
    }
}

fn written(error: DatabaseError) -> Stop {
    match error {
        // Somebody else's transaction was in the way: the chunk's rows come again.
        DatabaseError::Busy(_) => Stop::Broken(error.into()),
        error => Stop::Failed(error.into()),
    }
}

fn unresolved(error: ResolveError) -> Stop {
    match error {
        ResolveError::Database(error) => written(error),
        ResolveError::Component(failure) => Stop::Failed(failure),
    }
}

/// The transfer of one table.
pub struct TablePull<'a> {
    run: RunContext<'a>,
    table: &'a PreparedTable,
    /// Bytes of earlier connections.
    bytes: u64,
    /// How far the run is with the table, while this process has not begun it.
    known: Option<Option<LedgerEntry>>,
    /// How far the attempts came.
    reached: Reached,
    /// Rows that were rejected before this transfer.
    kept: Option<KeptRejects>,
    /// Rows that the present attempt committed.
    committed: u64,
    told: Instant,
}

impl<'a> TablePull<'a> {
    /// Creates the transfer; nothing happens yet.
    pub fn new(run: RunContext<'a>, table: &'a PreparedTable) -> Self {
        Self {
            run,
            table,
            bytes: 0,
            known: None,
            reached: Reached::default(),
            kept: None,
            committed: 0,
            told: Instant::now(),
        }
    }

    /// The same transfer, with how far the run is with the table.
    pub fn from(mut self, entry: Option<LedgerEntry>) -> Self {
        self.known = Some(entry);
        self
    }

    fn name(&self) -> &'a str {
        &self.table.write.incoming.table
    }

    /// Whether the rows may be committed in several chunks, and the next attempt may go on after the last one.
    fn is_divisible(&self) -> bool {
        !self.table.one_chunk && KeyColumns::primary(&self.table.write.incoming).is_some()
    }

    /// Transfers the table, or what an unfinished run left of it, and verifies it. After an error the target holds whole
    /// chunks only.
    pub async fn all(mut self, target: &mut dyn Target) -> Result<TableReport, Failure> {
        let entry = self.entry(target).await?;
        if entry.is_some_and(|entry| entry.done) {
            // An earlier attempt of the run completed it.
            let writer = target.begin_table(self.write(LoadMode::Direct)).await?;
            let outcome = writer.finish(&[]).await?;
            return self.report(target, outcome, None).await;
        }
        let differences = if self.table.compares() {
            differences::find(self.run, self.table).await?
        } else {
            None
        };
        let (differences, after) = (differences.as_ref(), self.table.after.as_slice());
        let outcome = self
            .transfer(target, LoadMode::Direct, differences, after)
            .await?;
        self.report(target, outcome, differences).await
    }

    /// Brings a complete table to the state of the run's last snapshot.
    pub async fn differences(mut self, target: &mut dyn Target) -> Result<TableReport, Failure> {
        let differences = differences::find_all(self.run, self.table).await?;
        let outcome = self
            .transfer(target, LoadMode::Staged, Some(&differences), &[])
            .await?;
        self.report(target, outcome, Some(&differences)).await
    }

    /// Transfers all rows, in another mode where the table does not take them in this one.
    async fn transfer(
        &mut self,
        target: &mut dyn Target,
        mut mode: LoadMode,
        differences: Option<&Differences>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, Failure> {
        kept_rejects::forget_sample(target, &self.table.write.run, self.name()).await?;
        self.kept = KeptRejects::find(target, &self.table.write.incoming).await?;
        if let (Some(kept), Some(differences)) = (&mut self.kept, differences) {
            kept.compared(differences);
        }
        let transferred = self
            .transfer_rows(target, &mut mode, differences, after)
            .await;
        if let Some(kept) = &mut self.kept {
            let forgotten = kept.forget(target, &self.table.write.incoming.table).await;
            if transferred.is_ok() {
                forgotten?;
            }
        }
        transferred
    }

    async fn transfer_rows(
        &mut self,
        target: &mut dyn Target,
        mode: &mut LoadMode,
        differences: Option<&Differences>,
        after: &[CheckedStatement],
    ) -> Result<WriteOutcome, Failure> {
        let mut retries = Retries::default();
        loop {
            // Nothing is written before the peer's rows are there and are what they were described as.
            let (entry, opened) = self.open_first(target, differences, &mut retries).await?;
            self.known = None;
            let mut write = self.write(*mode);
            let keys = &self.table.foreign_keys;
            write.rejected_parents =
                rejected_parents::find(target, &write.run, &write.incoming, keys, false).await?;
            let mut writer = target.begin_table(write).await?;
            let attempts = self.attempts(writer.as_mut(), entry, opened, differences, &mut retries);
            match attempts.await {
                Ok(Step::Done(())) => return Ok(writer.finish(after).await?),
                Ok(Step::NeedsStaging) => *mode = LoadMode::Staged,
                Err(failure) => {
                    if failure.code == ErrorCode::TooManyRejects.as_str()
                        && let Err(error) = writer.discard_new_table().await
                    {
                        tracing::warn!(%error, "the empty table that this run made could not be dropped");
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Opens the stream before the table is begun, and returns how far the run is with it.
    async fn open_first(
        &self,
        target: &mut dyn Target,
        differences: Option<&Differences>,
        retries: &mut Retries,
    ) -> Result<(Option<LedgerEntry>, Option<IncomingRows>), Failure> {
        loop {
            self.run.check_cancelled()?;
            let entry = self.entry(target).await?;
            match self.open(entry.as_ref(), differences).await {
                Ok(opened) => return Ok((entry, opened)),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Broken(failure)) => {
                    retries.wait(&self.run, self.name(), failure).await?;
                }
            }
        }
    }

    /// Tries until all rows are committed.
    async fn attempts(
        &mut self,
        writer: &mut dyn TableWriter,
        mut entry: Option<LedgerEntry>,
        opened: Option<IncomingRows>,
        differences: Option<&Differences>,
        retries: &mut Retries,
    ) -> Result<Step<()>, Failure> {
        let mut opened = Ok(opened);
        self.reached.begin(last_key(entry.as_ref()));
        loop {
            let attempt = match opened {
                Ok(Some(opened)) => {
                    self.receive(writer, entry.as_ref(), opened, differences)
                        .await
                }
                Ok(None) => Ok(Step::Done(())),
                Err(stop) => Err(stop),
            };
            if let Ok(Step::Done(())) = attempt {
                return Ok(Step::Done(()));
            }
            if let Some(kept) = &mut self.kept {
                kept.rolled_back();
            }
            if let Err(error) = writer.rollback().await {
                tracing::warn!(%error, "a chunk could not be rolled back; closing the connection does it");
            }
            match attempt {
                Ok(step) => return Ok(step),
                Err(Stop::Failed(failure)) => {
                    if failure.code == ErrorCode::TooManyRejects.as_str()
                        && let Err(error) = writer.keep_sample().await
                    {
                        tracing::warn!(%error, "no sample of the rejected rows could be kept");
                    }
                    return Err(failure);
                }
                Err(Stop::Broken(failure)) => {
                    // Rows that came before do not count: a sender could repeat them for ever.
                    let came_farther = if differences.is_some() {
                        self.reached.is_farther(self.committed)
                    } else {
                        let reached = writer.ledger_entry().await?;
                        self.reached.is_new_key(last_key(reached.as_ref()))
                    };
                    if came_farther {
                        *retries = Retries::default();
                    }
                    retries.wait(&self.run, self.name(), failure).await?;
                }
            }
            entry = writer.ledger_entry().await?;
            opened = self.open(entry.as_ref(), differences).await;
        }
    }

    /// Opens a stream of the rows that are not committed yet; none if there are no such rows.
    async fn open(
        &self,
        entry: Option<&LedgerEntry>,
        differences: Option<&Differences>,
    ) -> Result<Option<IncomingRows>, Stop> {
        let last_key = entry
            .and_then(|entry| entry.last_key.as_deref())
            .map(RowBlock::encode_row);
        let wanted = match (differences.map(Differences::buckets), &last_key) {
            (Some(set), _) if set.is_empty() => return Ok(None),
            (Some(set), _) => Wanted::Buckets(set),
            // Rows without a key were committed all together, or not at all.
            (None, None) if entry.is_some_and(|entry| entry.snapshots > 0) => return Ok(None),
            (None, Some(key)) => Wanted::After(key),
            (None, None) => Wanted::All,
        };
        let opened = self.run.rows(self.name(), wanted).await;
        let incoming = opened.map_err(fetched)?;
        check_columns(&incoming, &self.table.write.incoming)?;
        Ok(Some(incoming))
    }

    async fn receive(
        &mut self,
        writer: &mut dyn TableWriter,
        entry: Option<&LedgerEntry>,
        mut incoming: IncomingRows,
        differences: Option<&Differences>,
    ) -> Result<Step<()>, Stop> {
        self.committed = 0;
        writer.read_from(incoming.snapshot());
        let received = entry.map_or(0, |entry| entry.counts.received());
        let buckets = differences.map(Differences::buckets);
        let after = match buckets {
            None => last_key(entry).map(<[Cell]>::to_vec),
            Some(_) => None,
        };
        let table = self.table;
        let arrivals = Arrivals::new(&table.write.incoming, after, buckets);
        let outcome = self.frames(writer, &mut incoming, arrivals, received).await;
        self.bytes = self.bytes.saturating_add(incoming.received());
        outcome
    }

    /// Applies frames until the stream's end.
    async fn frames(
        &mut self,
        writer: &mut dyn TableWriter,
        incoming: &mut IncomingRows,
        mut arrivals: Arrivals<'_>,
        mut received: u64,
    ) -> Result<Step<()>, Stop> {
        let divisible = self.is_divisible();
        let mut chunk = Chunk::default();
        loop {
            let deadline = chunk.deadline().filter(|_| divisible);
            let frame = tokio::select! {
                frame = incoming.next() => Some(frame),
                () = until(deadline) => None,
            };
            match frame {
                Some(Ok(Frame::Rows(block))) => {
                    arrivals.add(&block)?;
                    if let Step::NeedsStaging = writer.stage(&block).await.map_err(written)? {
                        return Ok(Step::NeedsStaging);
                    }
                    if let Some(kept) = &mut self.kept {
                        kept.arrived(&block);
                    }
                    chunk.add(&block);
                    received = received.saturating_add(block.row_count().into());
                    self.progress(received, incoming.received());
                    if self.table.one_chunk && chunk.rows() > MAX_ROWS {
                        return Err(Stop::Failed(too_large(self.name())));
                    }
                }
                Some(Ok(Frame::Alive)) => self.run.check_cancelled()?,
                Some(Ok(Frame::End(_))) => break,
                Some(Ok(Frame::Digest(_))) => {
                    return Err(Stop::Failed(failure(
                        ErrorCode::Corrupt,
                        "the other site sent digests instead of rows",
                        "use the same version of tombolo on both sides",
                    )));
                }
                Some(Err(error)) => {
                    // What arrived is whole and in order: it need not come again.
                    if divisible
                        && chunk.rows() > 0
                        && matches!(error, PeerError::Broken(_) | PeerError::Exceeded(_))
                        && self.commit(writer).await? == Step::NeedsStaging
                    {
                        return Ok(Step::NeedsStaging);
                    }
                    return Err(fetched(error));
                }
                None => {}
            }
            if divisible && chunk.is_full() {
                if self.commit(writer).await? == Step::NeedsStaging {
                    return Ok(Step::NeedsStaging);
                }
                chunk = Chunk::default();
                self.run.check_cancelled()?;
            }
        }
        if chunk.rows() > 0 && self.commit(writer).await? == Step::NeedsStaging {
            return Ok(Step::NeedsStaging);
        }
        self.publish_progress(received, incoming.received());
        Ok(Step::Done(()))
    }

    async fn commit(&mut self, writer: &mut dyn TableWriter) -> Result<Step<()>, Stop> {
        if let Some(resolver) = &self.table.resolver {
            resolver.resolve(writer).await.map_err(unresolved)?;
        }
        Ok(match writer.commit().await.map_err(written)? {
            Step::Done(counts) => {
                self.committed = self.committed.saturating_add(counts.received());
                if let Some(kept) = &mut self.kept {
                    kept.committed();
                }
                Step::Done(())
            }
            Step::NeedsStaging => Step::NeedsStaging,
        })
    }

    /// How the table is written: in this mode, or staged where its strategy needs it.
    fn write(&self, mode: LoadMode) -> TableWrite {
        let mut write = self.table.write.clone();
        // Those that arrive again leave the list when they are stored, or are rejected once more.
        let again = self
            .kept
            .as_ref()
            .map_or(0, |kept| kept.count_of(&write.run));
        write.reject_limit = write.reject_limit.saturating_add(again);
        if mode == LoadMode::Staged {
            write.mode = LoadMode::Staged;
        }
        write
    }

    async fn entry(&self, target: &mut dyn Target) -> Result<Option<LedgerEntry>, Failure> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        Ok(target
            .ledger_entry(&self.table.write.run, self.name())
            .await?)
    }

    /// Tells the observer how far the table is, unless it was told just now.
    fn progress(&mut self, rows: u64, bytes: u64) {
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            self.publish_progress(rows, bytes);
        }
    }

    /// `bytes`: those of this connection.
    fn publish_progress(&self, rows: u64, bytes: u64) {
        self.run.events.progress(TableProgress {
            table: self.name().to_owned(),
            rows,
            bytes: self.bytes.saturating_add(bytes),
        });
    }

    async fn report(
        &self,
        target: &mut dyn Target,
        outcome: WriteOutcome,
        differences: Option<&Differences>,
    ) -> Result<TableReport, Failure> {
        let mut counts = outcome.counts;
        if counts.failed > 0 {
            let kept = target.kept_rejects(self.name()).await?;
            let of_run = kept
                .iter()
                .filter(|reject| reject.run == self.table.write.run);
            counts.failed = counts.failed.min(of_run.count() as u64);
        }
        if let Some(differences) = differences {
            differences.count_unmoved(&mut counts, self.table.write.plan.update());
        }
        let stored = verify::stored(
            self.run.target,
            target,
            &self.table.write.run,
            &self.table.write.incoming,
            &outcome,
            counts,
        )
        .await?;
        Ok(TableReport {
            table: self.name().to_owned(),
            created: counts.created,
            updated: counts.updated,
            same: counts.same,
            skipped: counts.skipped,
            failed: counts.failed,
            bytes: self
                .bytes
                .saturating_add(differences.map_or(0, Differences::bytes)),
            snapshots: outcome.snapshots,
            stored,
            changed: outcome.changed,
        })
    }
}

fn last_key(entry: Option<&LedgerEntry>) -> Option<&[Cell]> {
    entry?.last_key.as_deref()
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Fails with `columns-differ` unless a stream's rows have the columns of the table that was planned.
pub(super) fn check_columns(incoming: &IncomingRows, planned: &TableSchema) -> Result<(), Failure> {
    if same_columns(incoming.table(), planned) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::ColumnsDiffer,
        format!(
            "the columns of table {:?} changed at the other site after the run was planned",
            planned.table
        ),
        "pull again",
    ))
}

/// Whether two descriptions are of the same table with the same columns in the same order.
fn same_columns(one: &TableSchema, other: &TableSchema) -> bool {
    one.table == other.table
        && one.columns.len() == other.columns.len()
        && one
            .columns
            .iter()
            .zip(&other.columns)
            .all(|(one, other)| one.name == other.name && one.logical == other.logical)
}

fn too_large(table: &str) -> Failure {
    failure(
        ErrorCode::TableTooLarge,
        format!(
            "table {table:?} refers to itself, so that all its rows are written in one transaction, and it has more than {MAX_ROWS} rows"
        ),
        "drop its foreign key to itself, pull, and create the key again",
    )
}
