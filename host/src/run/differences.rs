//! Finds what differs between the peer's table and the local one by digests of their rows.

use std::collections::HashSet;

use tokio::sync::mpsc;

use super::context::RunContext;
use super::peer::{PeerError, Wanted};
use super::retry::Retries;
use super::table::PreparedTable;
use crate::bindings::types::{Failure, LogicalType, TableSchema};
use crate::database::{CheckedUpdate, ChunkCounts, DatabaseError, Read, Snapshot, buckets_of};
use crate::failure::{ErrorCode, failure};
use crate::rows::{BUCKETS, BucketDigest, BucketSet, Buckets, Frame, RowBlock};

/// The number of rows that tell whether looking for differences is worthwhile.
const SAMPLE: u32 = 100;

/// Only the differing rows are moved if they are at most one in so many.
const MOVED_SHARE: u64 = 2;

/// What differs.
#[derive(Debug)]
pub struct Differences {
    buckets: BucketSet,
    /// Rows at the peer in these buckets.
    moved: u64,
    /// Rows at the peer.
    remote: u64,
    /// Bytes received to find them.
    bytes: u64,
}

impl Differences {
    /// Returns the buckets in which rows differ.
    pub fn buckets(&self) -> &BucketSet {
        &self.buckets
    }

    /// Returns the bytes received to find them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the rows that were not moved to the counts. Rows of buckets that were moved twice count once.
    pub fn count_unmoved(&self, counts: &mut ChunkCounts, update: Option<&CheckedUpdate>) {
        let written = counts.created.saturating_add(counts.updated);
        let written = written.saturating_add(counts.failed);
        match update {
            Some(rule) if rule.only_if_newer.is_none() => {
                counts.same = self
                    .remote
                    .saturating_sub(written.saturating_add(counts.skipped));
            }
            // Equal rows do not pass the guard, or stay as they are anyway.
            _ => {
                counts.skipped = self
                    .remote
                    .saturating_sub(written.saturating_add(counts.same))
            }
        }
    }
}

/// Looks for differences. Returns none if all rows should be moved, because a sample or the digests show that most differ.
pub async fn find(
    run: RunContext<'_>,
    table: &PreparedTable,
) -> Result<Option<Differences>, Failure> {
    let incoming = &table.write.incoming;
    let local = run.target.snapshot().await?;
    let mut bytes = 0;
    if sorts_alike(incoming) {
        let (alike, received) = sample_is_alike(run, incoming, local.as_ref()).await?;
        if !alike {
            return Ok(None);
        }
        bytes = received;
    }
    let Some(totals) = totals(run, incoming, local.as_ref()).await? else {
        return Ok(None);
    };
    let mut found = refine(run, incoming, totals).await?;
    found.bytes = found.bytes.saturating_add(bytes);
    let moved = found.moved.saturating_mul(MOVED_SHARE);
    Ok((moved <= found.remote).then_some(found))
}

/// Looks for differences whatever it costs; rows that cannot be compared differ.
pub async fn find_all(run: RunContext<'_>, table: &PreparedTable) -> Result<Differences, Failure> {
    let incoming = &table.write.incoming;
    let local = run.target.snapshot().await?;
    match totals(run, incoming, local.as_ref()).await? {
        Some(totals) => refine(run, incoming, totals).await,
        None => Ok(Differences {
            buckets: BucketSet::all(),
            moved: 0,
            remote: 0,
            bytes: 0,
        }),
    }
}

/// The digests of all local rows, and the sum of those at the peer.
struct Totals {
    local: Buckets,
    remote: BucketDigest,
    /// Bytes received for it.
    bytes: u64,
}

/// Returns none if local rows cannot be read as the incoming ones.
async fn totals(
    run: RunContext<'_>,
    incoming: &TableSchema,
    local: &dyn Snapshot,
) -> Result<Option<Totals>, Failure> {
    let local = async {
        match buckets_of(local, Read::compared(incoming)).await {
            Ok(buckets) => Ok(Some(buckets)),
            Err(DatabaseError::Unrepresentable(_)) => Ok(None),
            Err(error) => Err(Failure::from(error)),
        }
    };
    let (local, (remote, bytes)) = tokio::try_join!(local, digest(run, &incoming.table, 1))?;
    let remote = Buckets::decode_total(&remote)?;
    Ok(local.map(|local| Totals {
        local,
        remote,
        bytes,
    }))
}

async fn refine(
    run: RunContext<'_>,
    incoming: &TableSchema,
    totals: Totals,
) -> Result<Differences, Failure> {
    let mut found = Differences {
        buckets: BucketSet::default(),
        moved: 0,
        remote: totals.remote.rows,
        bytes: totals.bytes,
    };
    if totals.local.total() != totals.remote {
        let (remote, bytes) = digest(run, &incoming.table, BUCKETS).await?;
        found.bytes = found.bytes.saturating_add(bytes);
        let remote = Buckets::decode(&remote)?;
        found.buckets = totals.local.differences(&remote);
        found.moved = remote.rows_in(&found.buckets);
    }
    Ok(found)
}

/// Returns the failure of a run whose peer sends something else than it was asked for.
pub fn not_asked_for(what: &str, table: &str) -> Failure {
    failure(
        ErrorCode::Corrupt,
        format!("the other site sent {what}, for table {table:?}"),
        "use the same version of tombolo on both sides",
    )
}

/// Asks for the digests of a table, again if the connection breaks, and returns them with the bytes received.
pub async fn digest(
    run: RunContext<'_>,
    table: &str,
    buckets: u32,
) -> Result<(bytes::Bytes, u64), Failure> {
    let mut retries = Retries::default();
    loop {
        match run.digest(table, buckets).await {
            Err(PeerError::Broken(failure)) => retries.wait(&run, table, failure).await?,
            result => return Ok(result?),
        }
    }
}

/// Returns true if both databases sort the table's keys alike; texts have collations.
fn sorts_alike(table: &TableSchema) -> bool {
    table.columns.iter().all(|column| {
        !table.primary_key.contains(&column.name)
            || matches!(
                column.logical,
                LogicalType::Integer | LogicalType::Date | LogicalType::Uuid | LogicalType::Bytes
            )
    })
}

/// Returns whether any of the first rows is equal on both sides, and the bytes received to know it.
async fn sample_is_alike(
    run: RunContext<'_>,
    table: &TableSchema,
    local: &dyn Snapshot,
) -> Result<(bool, u64), Failure> {
    let local = async {
        let mut digests = HashSet::new();
        let (sender, mut blocks) = mpsc::channel::<RowBlock>(2);
        let read = Read {
            limit: Some(SAMPLE),
            ordered: true,
            ..Read::compared(table)
        };
        let add = async {
            while let Some(block) = blocks.recv().await {
                digests.extend(block.rows().map(|row| row.digest()));
            }
        };
        let (read, ()) = tokio::join!(local.read(read, sender), add);
        match read {
            Ok(()) => Ok(digests),
            Err(DatabaseError::Unrepresentable(_)) => Ok(HashSet::new()),
            Err(error) => Err(Failure::from(error)),
        }
    };
    let remote = async {
        let wanted = Wanted::First(SAMPLE);
        let mut incoming = run.rows(&table.table, wanted).await?;
        let mut digests = Vec::new();
        loop {
            match incoming.next().await? {
                Frame::Rows(block) => digests.extend(block.rows().map(|row| row.digest())),
                Frame::Alive => {}
                Frame::End(_) => return Ok::<_, Failure>((digests, incoming.received())),
                Frame::Digest(_) => {
                    return Err(not_asked_for("digests instead of rows", &table.table));
                }
            }
            if digests.len() > SAMPLE as usize {
                return Err(not_asked_for(
                    &format!("more than the {SAMPLE} rows that were asked for"),
                    &table.table,
                ));
            }
        }
    };
    let (local, (remote, received)) = tokio::try_join!(local, remote)?;
    let alike = remote.is_empty() || remote.iter().any(|digest| local.contains(digest));
    Ok((alike, received))
}
