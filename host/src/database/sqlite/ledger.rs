//! What Tombolo keeps in a target: how far each run came, what it rejected, and where columns came from.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::raw::RawConnection;
use super::storage::StoredRef;
use crate::bindings::types::Stored;
use crate::database::{ChunkCounts, DatabaseError, LedgerEntry, Loaded, TableLoad};
use crate::rows::RowBlock;

/// Times are ISO 8601 in UTC.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ')";

/// All of Tombolo's own tables, with what makes them.
pub(super) const OWN_TABLES: [(&str, &str); 3] = [
    (
        "tombolo_ledger",
        "CREATE TABLE IF NOT EXISTS main.tombolo_ledger (
            run TEXT NOT NULL, table_name TEXT NOT NULL, next_seq INTEGER NOT NULL DEFAULT 0, last_key BLOB,
            created INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL DEFAULT 0, same INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
            digest BLOB NOT NULL, unread INTEGER NOT NULL DEFAULT FALSE, altered INTEGER NOT NULL DEFAULT FALSE, snapshot TEXT, snapshots INTEGER NOT NULL DEFAULT 0,
            made INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT FALSE, description TEXT NOT NULL, updated_at TEXT NOT NULL,
            PRIMARY KEY (run, table_name))",
    ),
    (
        "tombolo_rejects",
        "CREATE TABLE IF NOT EXISTS main.tombolo_rejects (
            run TEXT NOT NULL, table_name TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
            cells BLOB NOT NULL, rejected_at TEXT NOT NULL, PRIMARY KEY (run, table_name, row))",
    ),
    (
        "tombolo_columns",
        "CREATE TABLE IF NOT EXISTS main.tombolo_columns (
            table_name TEXT NOT NULL, column_name TEXT NOT NULL, origin TEXT NOT NULL, numbered INTEGER NOT NULL,
            PRIMARY KEY (table_name, column_name))",
    ),
];

/// Makes all of Tombolo's own tables that are missing.
pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    for (_, statement) in OWN_TABLES {
        execute(connection, statement.to_owned()).await?;
    }
    Ok(())
}

/// How far a run is with a table.
pub(super) async fn entry(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerEntry>, DatabaseError> {
    Ok(find(connection, run, table).await?.map(|row| row.entry))
}

/// Keeps that a complete table holds what went directly into it.
pub(super) async fn read_back(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "UPDATE main.tombolo_ledger SET unread = FALSE WHERE run = ? AND table_name = ? COLLATE NOCASE AND done",
    )
    .bind(run.to_owned())
    .bind(table.to_owned())
    .execute(connection)
    .await
    .map_err(|error| refused(&error))?;
    Ok(())
}

/// One row of the ledger.
struct LedgerRow {
    next_seq: i64,
    rows: RowsSoFar,
    entry: LedgerEntry,
}

/// What is known of the rows that were taken in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowsSoFar {
    /// The sum of their digests; none when the table would give back others.
    digest: Option<u128>,
    /// Whether some went directly into the table, and were not looked at there.
    unread: bool,
    /// Whether triggers made something else of some.
    altered: bool,
}

async fn find(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerRow>, DatabaseError> {
    let row = sqlx::query(
        "SELECT next_seq, digest, created, updated, same, skipped, failed, last_key, snapshot, snapshots, made, done,
         description, unread, altered FROM main.tombolo_ledger WHERE run = ? AND table_name = ? COLLATE NOCASE",
    )
    .bind(run.to_owned())
    .bind(table.to_owned())
    .fetch_optional(connection)
    .await
    .map_err(|error| refused(&error))?;
    row.map(|row| read(&row).map_err(|error| refused(&error)))
        .transpose()
}

fn read(row: &SqliteRow) -> Result<LedgerRow, sqlx::Error> {
    let number = |index: usize| -> Result<u64, sqlx::Error> {
        let number: i64 = row.try_get(index)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let digest: Vec<u8> = row.try_get(1)?;
    let last_key: Option<Vec<u8>> = row.try_get(7)?;
    Ok(LedgerRow {
        next_seq: row.try_get(0)?,
        rows: RowsSoFar {
            digest: digest.try_into().ok().map(u128::from_be_bytes),
            unread: row.try_get(13)?,
            altered: row.try_get(14)?,
        },
        entry: LedgerEntry {
            counts: ChunkCounts {
                created: number(2)?,
                updated: number(3)?,
                same: number(4)?,
                skipped: number(5)?,
                failed: number(6)?,
            },
            last_key: last_key.and_then(|key| RowBlock::parse_row(&key)),
            snapshot: row.try_get(8)?,
            snapshots: u32::try_from(number(9)?).unwrap_or(u32::MAX),
            made: row.try_get(10)?,
            done: row.try_get(11)?,
            retry_context: row.try_get(12)?,
        },
    })
}

/// One table of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    run: String,
    table: String,
    next_seq: i64,
    counts: ChunkCounts,
    done: bool,
    made: bool,
    /// Committed rows.
    rows: RowsSoFar,
    /// Committed rows and those of the chunk under way.
    new_rows: RowsSoFar,
    snapshot: Option<String>,
    snapshots: u32,
    /// The snapshot of the rows that are staged, if it is another.
    new_snapshot: Option<String>,
}

impl Ledger {
    /// Finds the row or makes it, inside of a transaction.
    pub(super) async fn enter(
        connection: &mut SqliteConnection,
        load: &TableLoad,
        table: &str,
    ) -> Result<Self, DatabaseError> {
        sqlx::query(AssertSqlSafe(format!(
            "INSERT OR IGNORE INTO main.tombolo_ledger (run, table_name, digest, made, description, updated_at)
             VALUES (?, ?, ?, ?, ?, {NOW})"
        )))
        .bind(load.run.clone())
        .bind(table.to_owned())
        .bind(0u128.to_be_bytes().to_vec())
        .bind(load.create.is_some())
        .bind(load.description.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
        let row = find(connection, &load.run, table).await?;
        let row = row.ok_or_else(|| taken(table))?;
        Ok(Self {
            run: load.run.clone(),
            table: table.to_owned(),
            next_seq: row.next_seq,
            counts: row.entry.counts,
            done: row.entry.done,
            made: row.entry.made,
            rows: row.rows,
            new_rows: row.rows,
            snapshot: row.entry.snapshot,
            snapshots: row.entry.snapshots,
            new_snapshot: None,
        })
    }

    /// The rows that are staged from now on come from this snapshot.
    pub(super) fn read_from(&mut self, snapshot: &str) {
        let another = self.snapshot.as_deref() != Some(snapshot);
        self.new_snapshot = another.then(|| snapshot.to_owned());
    }

    /// The table's name.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The run's id.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// What became of the committed rows.
    pub(super) fn counts(&self) -> ChunkCounts {
        self.counts
    }

    /// Whether only this run put rows into the table, which it made and has not completed.
    pub(super) fn is_filling(&self) -> bool {
        self.made && !self.done
    }

    /// Notes that a block arrived.
    pub(super) fn arrived(&mut self, block: &RowBlock) {
        self.new_rows.digest = self
            .new_rows
            .digest
            .map(|sum| sum.wrapping_add(block.digest()));
    }

    /// Notes that a row of those does not go into the table.
    pub(super) fn rejected(&mut self, digest: u128) {
        self.new_rows.digest = self.new_rows.digest.map(|sum| sum.wrapping_sub(digest));
    }

    /// Notes that the table will give back other cells, although they are worth the same.
    pub(super) fn inexact(&mut self) {
        self.new_rows.digest = None;
    }

    /// Notes that rows are not looked at after they were written.
    pub(super) fn unread(&mut self) {
        self.new_rows.unread = true;
    }

    /// Notes that triggers made something else of some rows.
    pub(super) fn altered(&mut self) {
        self.new_rows.altered = true;
    }

    /// Counts a chunk, inside of its transaction, unless somebody else did; `retried` rows of earlier chunks are no
    /// rejects any more. [`Self::committed`] follows its commit.
    pub(super) fn advance(
        &self,
        connection: &RawConnection<'_>,
        counts: ChunkCounts,
        retried: u64,
        last_key: Option<&[u8]>,
    ) -> Result<(), DatabaseError> {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let number = |number: u64| StoredRef::Integer(count(number));
        let flag = |flag: bool| StoredRef::Integer(flag.into());
        let digest = self.new_rows.digest.map(u128::to_be_bytes);
        let advanced = connection.execute(
            &format!(
                "UPDATE main.tombolo_ledger SET next_seq = next_seq + 1, last_key = coalesce(?, last_key), created = created + ?,
                 updated = updated + ?, same = same + ?, skipped = skipped + ?, failed = failed + ?, digest = ?,
                 unread = ?, altered = ?, snapshot = coalesce(?, snapshot), snapshots = snapshots + ?, updated_at = {NOW}
                 WHERE run = ? AND table_name = ? AND next_seq = ?"
            ),
            &[
                last_key.map_or(StoredRef::Null, StoredRef::Blob),
                number(counts.created),
                number(counts.updated),
                number(counts.same),
                number(counts.skipped),
                StoredRef::Integer(count(counts.failed) - count(retried)),
                StoredRef::Blob(digest.as_ref().map_or(&[], |digest| digest)),
                flag(self.new_rows.unread),
                flag(self.new_rows.altered),
                self.new_snapshot.as_deref().map_or(StoredRef::Null, StoredRef::Text),
                flag(self.new_snapshot.is_some()),
                StoredRef::Text(&self.run),
                StoredRef::Text(&self.table),
                StoredRef::Integer(self.next_seq),
            ],
        )?;
        match advanced {
            0 => Err(taken(&self.table)),
            _ => Ok(()),
        }
    }

    /// The chunk that was counted is committed.
    pub(super) fn committed(&mut self, counts: ChunkCounts, retried: u64) {
        self.next_seq += 1;
        self.counts += counts;
        self.counts.failed = self.counts.failed.saturating_sub(retried);
        self.rows = self.new_rows;
        if let Some(snapshot) = self.new_snapshot.take() {
            self.snapshot = Some(snapshot);
            self.snapshots += 1;
        }
    }

    /// What is known of the rows, those of the chunk under way included.
    pub(super) fn new_rows(&self) -> RowsSoFar {
        self.new_rows
    }

    /// What became known since is undone.
    pub(super) fn back_to(&mut self, rows: RowsSoFar) {
        self.new_rows = rows;
    }

    /// The chunk is gone.
    pub(super) fn rolled_back(&mut self) {
        self.new_rows = self.rows;
    }

    /// Marks the table as complete, unless somebody else has the run.
    pub(super) async fn finish(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), DatabaseError> {
        let finished = sqlx::query(AssertSqlSafe(format!(
            "UPDATE main.tombolo_ledger SET done = TRUE, updated_at = {NOW}
             WHERE run = ? AND table_name = ? AND next_seq = ?"
        )))
        .bind(self.run.clone())
        .bind(self.table.clone())
        .bind(self.next_seq)
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
        match finished.rows_affected() {
            0 => Err(taken(&self.table)),
            _ => Ok(()),
        }
    }

    /// What is known of the complete table, which has these triggers; `alone`: nobody else put rows into it.
    pub(super) fn loaded(&self, triggers: &[String], alone: bool) -> Loaded {
        let counts = self.counts;
        let only_created = counts.updated + counts.same + counts.skipped == 0;
        let digest = self.rows.digest.filter(|_| {
            self.made && alone && only_created && self.rows.unread && !self.rows.altered
        });
        Loaded {
            counts,
            snapshots: self.snapshots,
            stored: match (digest, self.rows) {
                (Some(_), _) => Stored::Unverified("it has to be read back".to_owned()),
                (None, RowsSoFar { altered: true, .. }) => Stored::ChangedBy(triggers.to_vec()),
                (None, RowsSoFar { unread: true, .. }) => Stored::Unverified(match self.done {
                    true => "an earlier attempt completed it".to_owned(),
                    false => {
                        "some of its rows cannot be told from others that are there".to_owned()
                    }
                }),
                (None, _) => Stored::Verified,
            },
            digest,
            changed: Vec::new(),
        }
    }
}

/// Runs statements without parameters.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    sql: String,
) -> Result<(), DatabaseError> {
    sqlx::query(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
    Ok(())
}

fn taken(table: &str) -> DatabaseError {
    DatabaseError::LedgerTaken {
        table: table.to_owned(),
    }
}
