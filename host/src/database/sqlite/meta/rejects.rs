//! Rows that the table does not take, kept with the reason.

use sqlx::{Row as _, SqliteConnection};

use super::tables::own_tables;
use crate::database::sqlite::codec::encode::RowLayout;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::error::refused;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{DatabaseError, Reject};

/// The rejects of one table in one run.
#[derive(Debug)]
pub struct Rejects {
    run: String,
    table: String,
    limit: u64,
    /// Rows rejected in earlier chunks.
    before: u64,
    /// Of those the ones that arrive again.
    retried: u64,
    /// Rows rejected in the chunk under way.
    chunk: u64,
    /// Whether the rows that arrive are rejects of earlier chunks.
    retry: bool,
}

impl Rejects {
    /// `before` rows are rejected already, and at most `limit` may be.
    pub fn new(run: &str, table: &str, limit: u64, before: u64, retry: bool) -> Self {
        Self {
            run: run.to_owned(),
            table: table.to_owned(),
            limit,
            before,
            retried: 0,
            chunk: 0,
            retry,
        }
    }

    /// Rows rejected in the chunk under way.
    pub fn in_chunk(&self) -> u64 {
        self.chunk
    }

    /// Of the rows rejected in the chunk under way only the first ones are; the others are undone.
    pub fn back_to(&mut self, rejected: u64) {
        self.chunk = rejected;
    }

    /// Rejects of earlier chunks that the chunk under way removed.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// Whether the rows that arrive are rejects of earlier chunks.
    pub fn are_retried(&self) -> bool {
        self.retry
    }

    /// How many more rows may be rejected.
    pub fn left(&self) -> u64 {
        self.limit
            .saturating_sub((self.before - self.retried) + self.chunk)
    }

    /// Begins a chunk, inside of its transaction: rows that arrive again are no rejects any more.
    pub fn begin(&mut self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        if self.retry {
            let retried = connection.execute(
                "DELETE FROM main.tombolo_rejects WHERE run = ? AND table_name = ?",
                &[
                    SqliteValueRef::Text(&self.run),
                    SqliteValueRef::Text(&self.table),
                ],
            )?;
            self.retried = retried.min(self.before);
        }
        Ok(())
    }

    /// The chunk under way is committed.
    pub fn committed(&mut self) {
        self.before = self.before - self.retried + self.chunk;
        // What is kept from now on is not what arrives.
        self.retry = false;
        self.rolled_back();
    }

    /// The chunk under way is gone.
    pub fn rolled_back(&mut self) {
        self.retried = 0;
        self.chunk = 0;
    }

    /// Keeps one row, by its number in the order of arrival; an error if there are too many.
    pub fn keep(
        &mut self,
        connection: &RawConnection<'_>,
        layout: &RowLayout,
        number: i64,
        cells: &[u8],
        reason: &str,
    ) -> Result<(), DatabaseError> {
        if self.left() == 0 {
            return Err(DatabaseError::TooManyRejects {
                table: self.table.clone(),
                limit: self.limit,
                reason: reason.to_owned(),
            });
        }
        let key = layout.shown_key(cells);
        connection.execute(
            "INSERT INTO main.tombolo_rejects (run, table_name, row, key, reason, cells, rejected_at)
             VALUES (?, ?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'))",
            &[
                SqliteValueRef::Text(&self.run),
                SqliteValueRef::Text(&self.table),
                SqliteValueRef::Integer(number),
                SqliteValueRef::Text(&key),
                SqliteValueRef::Text(reason),
                SqliteValueRef::Blob(cells),
            ],
        )?;
        self.chunk += 1;
        Ok(())
    }
}

/// Rejected rows, oldest first.
pub async fn list(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<Reject>, DatabaseError> {
    let own = own_tables(connection).await?;
    if !own.iter().any(|table| table == "tombolo_rejects") {
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
    rows.iter()
        .map(|row| {
            let number: i64 = row.try_get(2)?;
            Ok(Reject {
                run: row.try_get(0)?,
                table: row.try_get(1)?,
                row: u64::try_from(number).unwrap_or_default(),
                key: row.try_get(3)?,
                reason: row.try_get(4)?,
                cells: row.try_get(5)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| refused(&error))
}
