//! The ledger: how far each run is with each table.

use futures::executor::block_on;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::tables::{LEDGER, NOW};
use crate::database::bookkeeping::{Bookkeeping, Changed, LedgerRow, RowFacts, Verification};
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::error::refused;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{ChunkCounts, DatabaseError, LedgerEntry, TableWrite};

/// The greatest number of chunks, and of rows, of a table: there is room above it to count on.
const MAX_NUMBER: i64 = 1 << 62;

/// Returns how far a run is with a table; none if it never began the table.
pub async fn entry(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerEntry>, DatabaseError> {
    Ok(find(connection, run, table).await?.map(LedgerEntry::from))
}

async fn find(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerRow>, DatabaseError> {
    let row = sqlx::query(
        "SELECT * FROM main.tombolo_ledger WHERE run = ? AND table_name = ? COLLATE NOCASE",
    )
    .bind(run.to_owned())
    .bind(table.to_owned())
    .fetch_optional(connection)
    .await
    .map_err(|error| refused(&error))?;
    let Some(row) = row else { return Ok(None) };
    let row = read(&row).map_err(|error| refused(&error))?;
    let possible = 0..=MAX_NUMBER;
    let rows = i64::try_from(row.counts.received()).unwrap_or(i64::MAX);
    if possible.contains(&row.next_seq) && possible.contains(&rows) {
        return Ok(Some(row));
    }
    Err(DatabaseError::NotAsMade {
        object: format!("the row of table {table:?} in {LEDGER}"),
        problem: "its numbers are impossible".to_owned(),
    })
}

fn read(row: &SqliteRow) -> Result<LedgerRow, sqlx::Error> {
    let number = |column: &str| -> Result<u64, sqlx::Error> {
        let number: i64 = row.try_get(column)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let digest: Vec<u8> = row.try_get("digest")?;
    Ok(LedgerRow {
        next_seq: row.try_get("next_seq")?,
        counts: ChunkCounts {
            created: number("created")?,
            updated: number("updated")?,
            same: number("same")?,
            skipped: number("skipped")?,
            failed: number("failed")?,
        },
        last_key: row.try_get("last_key")?,
        facts: RowFacts {
            digest: digest.try_into().ok().map(u128::from_be_bytes),
            // Rows that went in directly are unread rows here.
            direct: false,
            verification: Verification {
                unread: row.try_get("unread")?,
                altered: row.try_get("altered")?,
            },
            changed: Changed::new(),
        },
        snapshot: row.try_get("snapshot")?,
        snapshots: u32::try_from(number("snapshots")?).unwrap_or(u32::MAX),
        made: row.try_get("made")?,
        done: row.try_get("done")?,
        retry_context: row.try_get("description")?,
    })
}

/// Finds the run's row for a table, named as the database names it, or inserts it. Part of the transaction that is open.
pub fn enter(
    connection: &mut SqliteConnection,
    write: &TableWrite,
    table: &str,
) -> Result<Bookkeeping, DatabaseError> {
    let sql = format!(
        "INSERT OR IGNORE INTO main.tombolo_ledger (run, table_name, digest, made, description, updated_at)
         VALUES (:run, :table, :digest, :made, :description, {NOW})"
    );
    RawConnection::lock_blocking(connection)?.execute_named(
        &sql,
        &[
            (c":run", SqliteValueRef::Text(&write.run)),
            (c":table", SqliteValueRef::Text(table)),
            (c":digest", SqliteValueRef::Blob(&0u128.to_be_bytes())),
            (c":made", flag(write.create.is_some())),
            (c":description", SqliteValueRef::Text(&write.retry_context)),
        ],
    )?;
    let row = block_on(find(connection, &write.run, table))?;
    let row = row.ok_or_else(|| DatabaseError::LedgerTaken {
        table: table.to_owned(),
    })?;
    Ok(Bookkeeping::open(write, table, row))
}

/// Stores what a chunk makes of the ledger row, inside of the chunk's transaction. Fails with `LedgerTaken` if another
/// process advanced the row.
pub fn advance(
    connection: &RawConnection<'_>,
    books: &Bookkeeping,
    row: &LedgerRow,
) -> Result<(), DatabaseError> {
    let digest = row.facts.digest.map(u128::to_be_bytes);
    let sql = format!(
        "UPDATE main.tombolo_ledger SET next_seq = :next_seq, last_key = :last_key, created = :created,
         updated = :updated, same = :same, skipped = :skipped, failed = :failed, digest = :digest, unread = :unread,
         altered = :altered, snapshot = :snapshot, snapshots = :snapshots, updated_at = {NOW}
         WHERE run = :run AND table_name = :table AND next_seq = :expected"
    );
    let changed = connection.execute_named(
        &sql,
        &[
            (c":next_seq", SqliteValueRef::Integer(row.next_seq)),
            (c":last_key", optional(&row.last_key, SqliteValueRef::Blob)),
            (c":created", number(row.counts.created)),
            (c":updated", number(row.counts.updated)),
            (c":same", number(row.counts.same)),
            (c":skipped", number(row.counts.skipped)),
            (c":failed", number(row.counts.failed)),
            // None is an empty blob, which is no digest.
            (
                c":digest",
                SqliteValueRef::Blob(digest.as_ref().map_or(&[], |digest| digest)),
            ),
            (c":unread", flag(row.facts.verification.unread)),
            (c":altered", flag(row.facts.verification.altered)),
            (c":snapshot", optional(&row.snapshot, SqliteValueRef::Text)),
            (c":snapshots", number(row.snapshots.into())),
            (c":run", SqliteValueRef::Text(books.run())),
            (c":table", SqliteValueRef::Text(books.table())),
            (c":expected", SqliteValueRef::Integer(books.row().next_seq)),
        ],
    )?;
    books.check_advanced(changed)
}

/// Marks a table as complete. Fails with `LedgerTaken` if another process advanced its row.
pub fn finish(connection: &RawConnection<'_>, books: &Bookkeeping) -> Result<(), DatabaseError> {
    let sql = format!(
        "UPDATE main.tombolo_ledger SET done = TRUE, updated_at = {NOW}
         WHERE run = :run AND table_name = :table AND next_seq = :expected"
    );
    let changed = connection.execute_named(
        &sql,
        &[
            (c":run", SqliteValueRef::Text(books.run())),
            (c":table", SqliteValueRef::Text(books.table())),
            (c":expected", SqliteValueRef::Integer(books.row().next_seq)),
        ],
    )?;
    books.check_advanced(changed)
}

/// Removes what is kept of a table that was dropped, but not its rejects.
pub fn forget(connection: &RawConnection<'_>, books: &Bookkeeping) -> Result<(), DatabaseError> {
    let table = (c":table", SqliteValueRef::Text(books.table()));
    connection.execute_named(
        "DELETE FROM main.tombolo_ledger WHERE run = :run AND table_name = :table",
        &[(c":run", SqliteValueRef::Text(books.run())), table],
    )?;
    connection.execute_named(
        "DELETE FROM main.tombolo_columns WHERE table_name = :table",
        &[table],
    )?;
    Ok(())
}

/// Notes that a complete table was read and holds what was sent.
pub fn mark_read_back(
    connection: &RawConnection<'_>,
    run: &str,
    table: &str,
) -> Result<(), DatabaseError> {
    connection.execute_named(
        "UPDATE main.tombolo_ledger SET unread = FALSE
         WHERE run = :run AND table_name = :table COLLATE NOCASE AND done",
        &[
            (c":run", SqliteValueRef::Text(run)),
            (c":table", SqliteValueRef::Text(table)),
        ],
    )?;
    Ok(())
}

fn number<'a>(count: u64) -> SqliteValueRef<'a> {
    SqliteValueRef::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn flag<'a>(flag: bool) -> SqliteValueRef<'a> {
    SqliteValueRef::Integer(flag.into())
}

fn optional<'a, T: std::ops::Deref>(
    value: &'a Option<T>,
    some: impl FnOnce(&'a T::Target) -> SqliteValueRef<'a>,
) -> SqliteValueRef<'a> {
    value.as_deref().map_or(SqliteValueRef::Null, some)
}
