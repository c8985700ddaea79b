//! One table's rows into the target, chunk by chunk, over as many connections as it takes.

use std::time::{Duration, Instant};

use super::PreparedTable;
use super::chunk::{Chunk, MAX_ROWS};
use super::conflicts::ResolveError;
use super::context::RunContext;
use super::differences::{self, Differences};
use super::peer::{PeerError, Wanted};
use super::retry::Retries;
use crate::bindings::types::{Failure, TableReport, TableSchema};
use crate::database::{DatabaseError, LedgerEntry, Loaded, TableLoad, Target};
use crate::failure::{ErrorCode, failure};
use crate::rows::{Frame, KeyColumns, RowBlock};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// Why an attempt to load a table ended.
enum Stop {
    /// The line broke: go on after the last chunk.
    Broken(Failure),
    /// Rows cannot go directly into the table: go on after the last chunk, with a staging.
    NeedsStaging,
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
        PeerError::Refused(failure) => Stop::Failed(failure),
    }
}

fn written(error: DatabaseError) -> Stop {
    match error {
        DatabaseError::NeedsStaging { .. } => Stop::NeedsStaging,
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

/// One table on its way.
pub struct TablePull<'a> {
    run: RunContext<'a>,
    table: &'a PreparedTable,
    direct: bool,
    begun: bool,
    /// Bytes of earlier connections.
    bytes: u64,
    told: Instant,
}

impl<'a> TablePull<'a> {
    /// Begins or continues.
    pub fn new(run: RunContext<'a>, table: &'a PreparedTable) -> Self {
        Self {
            run,
            table,
            direct: true,
            begun: false,
            bytes: 0,
            told: Instant::now(),
        }
    }

    fn name(&self) -> &'a str {
        &self.table.instruction.incoming.table
    }

    /// Whether its rows may be committed in several chunks, and read on after the last one.
    fn is_divisible(&self) -> bool {
        !self.table.instruction.one_chunk
            && KeyColumns::primary(&self.table.instruction.incoming).is_some()
    }

    /// Loads the table, or what an unfinished run left of it. After an error the target holds whole chunks only. The
    /// digest is that of all rows of a table that they went directly into.
    pub async fn all(
        mut self,
        target: &mut dyn Target,
    ) -> Result<(TableReport, Option<u128>), Failure> {
        let entry = self.entry(target).await?;
        if entry.as_ref().is_some_and(|entry| entry.done) {
            // An earlier attempt of the run completed it.
            self.begin(target).await?;
            let loaded = target.finish_table(&[]).await?;
            return Ok((self.report(&loaded, None), loaded.digest));
        }
        let differences = if self.table.compares() {
            differences::find(self.run, self.table).await?
        } else {
            None
        };
        self.attempts(target, differences.as_ref()).await?;
        let loaded = target.finish_table(&self.table.after).await?;
        let report = self.report(&loaded, differences.as_ref());
        Ok((report, loaded.digest))
    }

    /// Brings a table that is complete to the state of the run's last snapshot.
    pub async fn differences(mut self, target: &mut dyn Target) -> Result<TableReport, Failure> {
        self.direct = false;
        let differences = differences::find_all(self.run, self.table).await?;
        self.attempts(target, Some(&differences)).await?;
        let loaded = target.finish_table(&[]).await?;
        Ok(self.report(&loaded, Some(&differences)))
    }

    /// Tries until all rows are committed.
    async fn attempts(
        &mut self,
        target: &mut dyn Target,
        differences: Option<&Differences>,
    ) -> Result<(), Failure> {
        let mut retries = Retries::default();
        loop {
            self.run.check_cancelled()?;
            let before = self.entry(target).await?;
            let Err(stop) = self.attempt(target, before.as_ref(), differences).await else {
                return Ok(());
            };
            if let Err(error) = target.rollback().await {
                tracing::warn!(%error, "a chunk could not be rolled back; closing the connection does it");
            }
            match stop {
                Stop::Failed(failure) => return Err(failure),
                Stop::NeedsStaging => {
                    self.direct = false;
                    self.begun = false;
                }
                Stop::Broken(failure) => {
                    if self.entry(target).await? != before {
                        retries = Retries::default();
                    }
                    retries.wait(&self.run, self.name(), failure).await?;
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        target: &mut dyn Target,
        entry: Option<&LedgerEntry>,
        differences: Option<&Differences>,
    ) -> Result<(), Stop> {
        let last_key = entry
            .and_then(|entry| entry.last_key.as_deref())
            .map(RowBlock::encode_row);
        let wanted = match (differences.map(Differences::buckets), &last_key) {
            (Some(set), _) if set.is_empty() => return self.nothing_to_move(target).await,
            (Some(set), _) => Wanted::Buckets(set),
            // Rows without a key were committed all together, or not at all.
            (None, None) if entry.is_some_and(|entry| entry.snapshots > 0) => {
                return self.nothing_to_move(target).await;
            }
            (None, Some(key)) => Wanted::After(key),
            (None, None) => Wanted::All,
        };
        let opened = self.run.source().rows(self.name(), wanted).await;
        let (mut incoming, header) = opened.map_err(fetched)?;
        if !same_columns(&header.table, &self.table.instruction.incoming) {
            return Err(Stop::Failed(failure(
                ErrorCode::ColumnsDiffer,
                format!(
                    "table {:?} changed at the other site after it was described",
                    self.name()
                ),
                "pull again",
            )));
        }
        if !self.begun {
            self.begin(target).await?;
        }
        target.read_from(&header.snapshot);
        let received = entry.map_or(0, |entry| entry.counts.received());
        let outcome = self.frames(target, &mut incoming, received).await;
        self.bytes += incoming.received();
        outcome
    }

    async fn nothing_to_move(&mut self, target: &mut dyn Target) -> Result<(), Stop> {
        if !self.begun {
            self.begin(target).await?;
        }
        Ok(())
    }

    /// Applies frames until the stream's end.
    async fn frames(
        &mut self,
        target: &mut dyn Target,
        incoming: &mut super::peer::Incoming,
        mut received: u64,
    ) -> Result<(), Stop> {
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
                    target.stage(&block).await.map_err(written)?;
                    chunk.add(&block);
                    received += u64::from(block.row_count());
                    self.tell(received, incoming.received());
                    if self.table.instruction.one_chunk && chunk.rows() > MAX_ROWS {
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
                    if divisible && chunk.rows() > 0 && matches!(error, PeerError::Broken(_)) {
                        self.commit(target).await?;
                    }
                    return Err(fetched(error));
                }
                None => {}
            }
            if divisible && chunk.is_full() {
                self.commit(target).await?;
                chunk = Chunk::default();
                self.run.check_cancelled()?;
            }
        }
        if chunk.rows() > 0 {
            self.commit(target).await?;
        }
        self.run
            .tell(self.name(), received, self.bytes + incoming.received());
        Ok(())
    }

    async fn commit(&self, target: &mut dyn Target) -> Result<(), Stop> {
        if let Some(resolver) = &self.table.strategy.resolver {
            resolver.resolve(target).await.map_err(unresolved)?;
        }
        target.commit_chunk().await.map_err(written)?;
        Ok(())
    }

    async fn begin(&mut self, target: &mut dyn Target) -> Result<(), Failure> {
        let instruction = &self.table.instruction;
        target
            .begin_table(TableLoad {
                run: self.run.instruction.ledger.clone(),
                incoming: instruction.incoming.clone(),
                plan: self.table.strategy.plan.clone(),
                create: instruction.create.then(|| self.table.before.clone()),
                direct: self.direct && self.table.strategy.resolver.is_none(),
                row_by_row: self.table.strategy.resolver.is_some(),
                reject_limit: self.run.instruction.reject_limit.into(),
                description: self.table.description.clone(),
                conversions: instruction.conversions.clone(),
                retry: false,
            })
            .await?;
        self.begun = true;
        Ok(())
    }

    async fn entry(&self, target: &mut dyn Target) -> Result<Option<LedgerEntry>, Failure> {
        Ok(target
            .ledger_entry(&self.run.instruction.ledger, self.name())
            .await?)
    }

    fn tell(&mut self, rows: u64, bytes: u64) {
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            self.run.tell(self.name(), rows, self.bytes + bytes);
        }
    }

    fn report(&self, loaded: &Loaded, differences: Option<&Differences>) -> TableReport {
        let mut counts = loaded.counts;
        if let Some(differences) = differences {
            differences.count_unmoved(&mut counts, self.table.strategy.plan.update.as_ref());
        }
        TableReport {
            table: self.name().to_owned(),
            created: counts.created,
            updated: counts.updated,
            same: counts.same,
            skipped: counts.skipped,
            failed: counts.failed,
            bytes: self.bytes + differences.map_or(0, Differences::bytes),
            snapshots: loaded.snapshots,
            stored: loaded.stored.clone(),
            changed: loaded.changed.clone(),
        }
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

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
            "table {table:?} refers to itself, so all its rows have to be written at once, and it has more than {MAX_ROWS}"
        ),
        "drop its foreign key to itself for the time of the transfer",
    )
}
