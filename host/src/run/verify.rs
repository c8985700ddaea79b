//! Decides whether the rows of a complete table are stored as they were sent.

use crate::bindings::types::{Failure, Stored, TableSchema};
use crate::database::{ChunkCounts, Database, Evidence, Target, WriteOutcome, buckets_of};
use crate::failure::{ErrorCode, failure};

/// Returns how the rows of a table are stored that a run completed. A table that the run filled alone and directly is read
/// again where nobody read it yet; that it was is noted in the ledger.
///
/// `counts`: the rows of the report, those that were found to be the same without being moved included.
///
/// Fails with `not-stored` if such a table holds other rows than those that were sent.
pub async fn stored(
    database: &dyn Database,
    target: &mut dyn Target,
    run: &str,
    table: &TableSchema,
    outcome: &WriteOutcome,
    counts: ChunkCounts,
) -> Result<Stored, Failure> {
    if is_nothing(&counts) {
        return Ok(Stored::NothingArrived);
    }
    let (digest, readback) = match &outcome.evidence {
        Evidence::Known(stored) => return Ok(stored.clone()),
        Evidence::Direct { digest, readback } => (*digest, readback),
    };
    if !readback.is_some_and(|rows| rows.sent == rows.found) {
        let Some(digest) = digest else {
            return Ok(Stored::Unverified(
                "it has decimals of several forms, and was not filled in one go".to_owned(),
            ));
        };
        read_back(database, table, outcome.counts.created, digest).await?;
    }
    target.mark_read_back(run, &table.table).await?;
    Ok(Stored::Verified)
}

/// Returns true if rows were rejected and no other row arrived.
fn is_nothing(counts: &ChunkCounts) -> bool {
    counts.failed > 0 && counts.received() == counts.failed
}

/// Compares the sum of the digests of all rows in a table with that of the rows that were sent into it.
async fn read_back(
    database: &dyn Database,
    table: &TableSchema,
    rows: u64,
    digest: u128,
) -> Result<(), Failure> {
    let snapshot = database.snapshot().await?;
    let stored = buckets_of(snapshot.as_ref(), table).await?.total();
    if (stored.rows, stored.digest) == (rows, digest) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::NotStored,
        format!(
            "table {:?} was made by this run and should hold {rows} rows as they were sent; it holds {} rows that are not all the same",
            table.table, stored.rows
        ),
        "somebody else may have written into it meanwhile; `tombolo diff` shows what differs",
    ))
}
