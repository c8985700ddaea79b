//! Rejected rows, kept with their reasons.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use xxhash_rust::xxh3::xxh3_128;

use super::tables::{NOW, REJECTS, existing};
use crate::database::bookkeeping::{Bookkeeping, RejectedRow};
use crate::database::sqlite::codec::encode::RowLayout;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::error::refused;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{DatabaseError, Reject};

/// Removes a table's kept rejects if they arrive again. Part of the chunk's transaction.
pub fn begin_retry(
    connection: &RawConnection<'_>,
    books: &mut Bookkeeping,
) -> Result<(), DatabaseError> {
    if books.is_retry() {
        let removed = connection.execute_named(
            "DELETE FROM main.tombolo_rejects WHERE run = :run AND table_name = :table",
            &[
                (c":run", SqliteValueRef::Text(books.run())),
                (c":table", SqliteValueRef::Text(books.table())),
            ],
        )?;
        books.retried(removed);
    }
    Ok(())
}

/// Rejects a row, given as one encoded row, and keeps it by its number in the order of arrival. Part of the chunk's
/// transaction. Fails with `TooManyRejects` if no more may be rejected.
pub fn keep(
    connection: &RawConnection<'_>,
    books: &mut Bookkeeping,
    layout: &RowLayout,
    number: i64,
    cells: &[u8],
    reason: &str,
) -> Result<(), DatabaseError> {
    let row = u64::try_from(number).unwrap_or_default();
    books.sample(row, reason, cells);
    books.reject(xxh3_128(cells), reason)?;
    insert(connection, books, layout, number, cells, reason)
}

/// Keeps the rows of the chunk that was given up.
pub fn keep_sample(
    connection: &RawConnection<'_>,
    books: &mut Bookkeeping,
    layout: &RowLayout,
) -> Result<(), DatabaseError> {
    for RejectedRow { row, reason, cells } in books.take_sample() {
        let number = i64::try_from(row).unwrap_or(i64::MAX);
        insert(connection, books, layout, number, &cells, &reason)?;
    }
    Ok(())
}

fn insert(
    connection: &RawConnection<'_>,
    books: &Bookkeeping,
    layout: &RowLayout,
    number: i64,
    cells: &[u8],
    reason: &str,
) -> Result<(), DatabaseError> {
    let key = layout.shown_key(cells);
    let sql = format!(
        "INSERT INTO main.tombolo_rejects (run, table_name, row, key, reason, cells, rejected_at)
         VALUES (:run, :table, :row, :key, :reason, :cells, {NOW})"
    );
    connection.execute_named(
        &sql,
        &[
            (c":run", SqliteValueRef::Text(books.run())),
            (c":table", SqliteValueRef::Text(books.table())),
            (c":row", SqliteValueRef::Integer(number)),
            (c":key", SqliteValueRef::Text(&key)),
            (c":reason", SqliteValueRef::Text(reason)),
            (c":cells", SqliteValueRef::Blob(cells)),
        ],
    )?;
    Ok(())
}

/// Returns the kept rejects of a table, of all runs.
pub async fn of_table(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<Reject>, DatabaseError> {
    let rows = sqlx::query(
        "SELECT run, table_name, row, key, reason, cells FROM main.tombolo_rejects
         WHERE table_name = ? COLLATE NOCASE",
    );
    let rows = rows.bind(table.to_owned()).fetch_all(connection).await;
    read(&rows.map_err(|error| refused(&error))?)
}

/// Removes kept rejects of a table, each by its run and its number there.
pub fn forget(
    connection: &RawConnection<'_>,
    table: &str,
    rows: &[(String, u64)],
) -> Result<(), DatabaseError> {
    for (run, row) in rows {
        connection.execute_named(
            "DELETE FROM main.tombolo_rejects WHERE run = :run AND table_name = :table COLLATE NOCASE AND row = :row",
            &[
                (c":run", SqliteValueRef::Text(run)),
                (c":table", SqliteValueRef::Text(table)),
                (c":row", SqliteValueRef::Integer(i64::try_from(*row).unwrap_or(i64::MAX))),
            ],
        )?;
    }
    Ok(())
}

/// Returns rejected rows, oldest first, at most `limit`.
pub async fn list(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<Reject>, DatabaseError> {
    if existing(connection, &[REJECTS]).await?.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT run, table_name, row, key, reason, cells FROM main.tombolo_rejects
         ORDER BY rejected_at, run, table_name, row LIMIT ?",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(|error| refused(&error))?;
    read(&rows)
}

fn read(rows: &[SqliteRow]) -> Result<Vec<Reject>, DatabaseError> {
    rows.iter()
        .map(|row| {
            let number: i64 = row.try_get("row")?;
            Ok(Reject {
                run: row.try_get("run")?,
                table: row.try_get("table_name")?,
                row: u64::try_from(number).unwrap_or_default(),
                key: row.try_get("key")?,
                reason: row.try_get("reason")?,
                cells: row.try_get("cells")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| refused(&error))
}
