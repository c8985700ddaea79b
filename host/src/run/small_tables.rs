//! Pulls new tables with few rows, several of them in one transaction. What does not fit is left to the transfer of single
//! tables, which also says why.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::future::BoxFuture;

use super::RunError;
use super::arrivals::Arrivals;
use super::chunk;
use super::context::RunContext;
use super::observer::TableProgress;
use super::peer::{IncomingRows, Wanted};
use super::pull::check_columns;
use super::table::PreparedTable;
use crate::bindings::types::Stored;
use crate::bindings::types::TableReport;
use crate::database::{
    DatabaseError, Evidence, LedgerEntry, LoadMode, Target, WholeTable, WholeTables,
};
use crate::rows::{Frame, RowBlock};

/// The most rows of a small table, …
const ROWS: u64 = 1_000;

/// … and the most bytes.
const BYTES: u64 = 256 << 10;

/// The most tables of one transaction, …
const BATCH_TABLES: usize = 64;

/// … and about the most bytes of their rows.
const BATCH_BYTES: u64 = 4 << 20;

/// The most kept rejects that are looked at.
const MAX_KEPT: u32 = 100_000;

/// The most tables that are received at a time.
const RECEIVED: usize = 4;

/// A table with all its rows.
struct Received {
    number: usize,
    snapshot: String,
    blocks: Vec<RowBlock>,
    /// The bytes that arrived.
    bytes: u64,
    rows: u64,
    /// The rows and bytes that count to what the run may receive.
    taken: (u64, u64),
}

/// Pulls the small tables and adds their reports. `entries`: how far the run is with each table.
pub async fn pull(
    run: RunContext<'_>,
    jobs: usize,
    tables: &[PreparedTable],
    entries: &[Option<LedgerEntry>],
    target: &mut dyn Target,
    reports: &mut BTreeMap<usize, TableReport>,
) -> Result<(), RunError> {
    // Rows that refer to rejected ones have to be found.
    let complete = |entry: &Option<LedgerEntry>| {
        let entry = entry.as_ref();
        entry.is_some_and(|entry| entry.done && entry.counts.failed == 0)
    };
    let begun = tables.iter().zip(entries);
    let unwritten: BTreeSet<&str> = begun
        .filter(|(_, entry)| !complete(entry))
        .map(|(table, _)| table.name())
        .collect();
    let mut candidates = candidates(tables, entries, unwritten.clone());
    if candidates.len() < 2 {
        return Ok(());
    }
    // What is kept of them leaves the list when it arrives.
    let kept = run.target.rejects(MAX_KEPT).await?;
    let kept: BTreeSet<&str> = kept.iter().map(|reject| reject.table.as_str()).collect();
    candidates.retain(|number| {
        tables
            .get(*number)
            .is_some_and(|table| !kept.contains(table.name()))
    });
    let mut batches = Batches {
        run,
        tables,
        unwritten,
        reports,
    };
    let mut received: Vec<BoxFuture<'_, Option<Received>>> = Vec::with_capacity(candidates.len());
    for number in candidates {
        if let Some(table) = tables.get(number) {
            received.push(Box::pin(receive(run, number, table)));
        }
    }
    let mut received = futures::stream::iter(received).buffered(jobs.min(RECEIVED));
    let mut batch = Vec::new();
    let mut bytes = 0_u64;
    while let Some(table) = received.next().await {
        run.check_cancelled()?;
        if run.quota.is_exceeded() {
            break;
        }
        let Some(table) = table else { continue };
        bytes = bytes.saturating_add(table.bytes);
        batch.push(table);
        if batch.len() >= BATCH_TABLES || bytes >= BATCH_BYTES {
            batches.write(target, std::mem::take(&mut batch)).await;
            bytes = 0;
        }
    }
    drop(received);
    batches.write(target, batch).await;
    Ok(())
}

/// Returns the tables that may be small, and that wait for no other one than those before them.
fn candidates<'a>(
    tables: &'a [PreparedTable],
    entries: &[Option<LedgerEntry>],
    mut later: BTreeSet<&'a str>,
) -> Vec<usize> {
    let mut candidates = Vec::new();
    for (number, (table, entry)) in tables.iter().zip(entries).enumerate() {
        let is_small = table
            .rows
            .is_some_and(|rows| rows <= ROWS && chunk::is_smaller(rows));
        let is_new = table.write.create.is_some() && entry.is_none();
        let is_direct = table.write.mode == LoadMode::Direct
            && table.resolver.is_none()
            && !table.write.plan.regenerates_key();
        if is_small && is_new && is_direct && is_free(table, &later) {
            later.remove(table.name());
            candidates.push(number);
        }
    }
    candidates
}

/// Whether a table refers to none of these, but itself.
fn is_free(table: &PreparedTable, tables: &BTreeSet<&str>) -> bool {
    let mut parents = table.parents.iter();
    parents.all(|parent| parent == table.name() || !tables.contains(parent.as_str()))
}

/// Receives a table; none if it is not small after all, or does not arrive.
async fn receive(run: RunContext<'_>, number: usize, table: &PreparedTable) -> Option<Received> {
    let mut incoming = run.rows(table.name(), Wanted::All).await.ok()?;
    let received = rows(&mut incoming, number, table).await;
    if received.is_none() {
        let (rows, bytes) = incoming.taken();
        run.quota.give_back(rows, bytes);
    }
    received
}

async fn rows(
    incoming: &mut IncomingRows,
    number: usize,
    table: &PreparedTable,
) -> Option<Received> {
    check_columns(incoming, &table.write.incoming).ok()?;
    let mut arrivals = Arrivals::new(&table.write.incoming, None, None);
    let mut blocks = Vec::new();
    let mut rows = 0_u64;
    loop {
        match incoming.next().await.ok()? {
            Frame::Rows(block) => {
                arrivals.add(&block).ok()?;
                rows = rows.saturating_add(block.row_count().into());
                blocks.push(block);
                let bytes: u64 = blocks.iter().map(|block| block.data().len() as u64).sum();
                if rows > ROWS || bytes > BYTES || !chunk::is_smaller(rows) {
                    return None;
                }
            }
            Frame::End(_) => break,
            Frame::Alive => {}
            Frame::Digest(_) => return None,
        }
    }
    Some(Received {
        number,
        snapshot: incoming.snapshot().to_owned(),
        blocks,
        bytes: incoming.received(),
        rows,
        taken: incoming.taken(),
    })
}

/// Writes tables that have arrived.
struct Batches<'a, 'r> {
    run: RunContext<'a>,
    tables: &'a [PreparedTable],
    /// The tables that are not complete.
    unwritten: BTreeSet<&'a str>,
    reports: &'r mut BTreeMap<usize, TableReport>,
}

impl Batches<'_, '_> {
    /// Writes what can be written together. The rows of the other tables have to arrive again.
    async fn write(&mut self, target: &mut dyn Target, batch: Vec<Received>) {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let mut batch = self.without_orphans(batch);
            if batch.is_empty() {
                continue;
            }
            let whole: Vec<WholeTable> = batch
                .iter()
                .filter_map(|received| self.whole(received))
                .collect();
            match target.write_whole(&whole).await {
                Ok(WholeTables::Written(outcomes)) => {
                    for (received, outcome) in batch.into_iter().zip(outcomes) {
                        let known = match outcome.evidence {
                            Evidence::Known(stored) => stored,
                            Evidence::Direct { .. } => {
                                Stored::Unverified("it was not read again".to_owned())
                            }
                        };
                        self.complete(&received, known, outcome.snapshots);
                    }
                }
                Ok(WholeTables::OneByOne(places)) if !places.is_empty() => {
                    let mut place = 0;
                    batch.retain(|received| {
                        let alone = places.contains(&place);
                        place += 1;
                        if alone {
                            self.give_back(received);
                        }
                        !alone
                    });
                    waiting.push(batch);
                }
                // Which of the tables the database refuses is found by halves.
                Err(DatabaseError::Refused(_) | DatabaseError::TypeTaken { .. })
                    if batch.len() > 1 =>
                {
                    let second = batch.split_off(batch.len() / 2);
                    waiting.push(second);
                    waiting.push(batch);
                }
                Ok(WholeTables::OneByOne(_)) => batch.iter().for_each(|one| self.give_back(one)),
                Err(error) => {
                    tracing::debug!(%error, tables = batch.len(), "tables are not written together");
                    batch.iter().for_each(|one| self.give_back(one));
                }
            }
        }
    }

    /// Leaves out tables whose parents are neither complete nor before them.
    fn without_orphans(&self, batch: Vec<Received>) -> Vec<Received> {
        let mut unwritten = self.unwritten.clone();
        let mut kept = Vec::with_capacity(batch.len());
        for received in batch {
            match self.tables.get(received.number) {
                Some(table) if is_free(table, &unwritten) => {
                    unwritten.remove(table.name());
                    kept.push(received);
                }
                _ => self.give_back(&received),
            }
        }
        kept
    }

    fn whole(&self, received: &Received) -> Option<WholeTable> {
        let table = self.tables.get(received.number)?;
        Some(WholeTable {
            write: table.write.clone(),
            snapshot: received.snapshot.clone(),
            blocks: received.blocks.clone(),
            after: table.after.clone(),
        })
    }

    fn give_back(&self, received: &Received) {
        let (rows, bytes) = received.taken;
        self.run.quota.give_back(rows, bytes);
    }

    fn complete(&mut self, received: &Received, stored: Stored, snapshots: u32) {
        let Some(table) = self.tables.get(received.number) else {
            return;
        };
        self.unwritten.remove(table.name());
        let report = TableReport {
            table: table.name().to_owned(),
            created: received.rows,
            updated: 0,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: received.bytes,
            snapshots,
            stored,
            changed: Vec::new(),
        };
        self.run.events.progress(TableProgress {
            table: report.table.clone(),
            rows: received.rows,
            bytes: received.bytes,
        });
        self.run.events.table_complete(report.clone());
        self.reports.insert(received.number, report);
    }
}
