//! Decides whether the rows of a complete table are stored as they were sent.

use crate::bindings::types::{Failure, Stored, TableSchema};
use crate::database::{Database, Evidence, Read, Target, WriteOutcome, buckets_of};
use crate::failure::{ErrorCode, failure};

/// Returns how the rows of a table are stored that a run completed. A table that the run filled alone and directly is read
/// again where nobody read it yet; that it was is noted in the ledger.
///
/// Fails with `not-stored` if such a table holds other rows than those that were sent.
pub async fn stored(
    database: &dyn Database,
    target: &mut dyn Target,
    run: &str,
    table: &TableSchema,
    outcome: &WriteOutcome,
) -> Result<Stored, Failure> {
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

/// Compares the sum of the digests of all rows in a table with that of the rows that were sent into it.
async fn read_back(
    database: &dyn Database,
    table: &TableSchema,
    rows: u64,
    digest: u128,
) -> Result<(), Failure> {
    let snapshot = database.snapshot().await?;
    let stored = buckets_of(snapshot.as_ref(), Read::compared(table))
        .await?
        .total();
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
