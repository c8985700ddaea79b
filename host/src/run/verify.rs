//! Reading back what was written directly into a table of the run.

use crate::bindings::types::{Failure, TableSchema};
use crate::database::{Database, buckets_of};
use crate::failure::{ErrorCode, failure};

/// Compares the sum of the digests of all rows in the table with that of the rows that were sent into it.
pub async fn read_back(
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
