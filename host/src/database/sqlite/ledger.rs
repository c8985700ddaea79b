//! What Tombolo keeps in a target: how far each run came, what it rejected, and where columns came from.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::schema::Table;
use super::staging::execute;
use crate::bindings::types::{Stored, TableSchema};
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
            digest BLOB NOT NULL, snapshot TEXT, snapshots INTEGER NOT NULL DEFAULT 0,
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
            table_name TEXT NOT NULL, column_name TEXT NOT NULL, origin TEXT NOT NULL,
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

/// Keeps the origins of a new table's columns, where they are not simply the types they now have.
pub(super) async fn keep_origins(
    connection: &mut SqliteConnection,
    made: &Table,
    incoming: &TableSchema,
) -> Result<(), DatabaseError> {
    // A table of this name may have been here before.
    sqlx::query("DELETE FROM main.tombolo_columns WHERE table_name = ?")
        .bind(incoming.table.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    for (here, declared) in made.schema.columns.iter().zip(&made.declared) {
        let origin = incoming
            .columns
            .iter()
            .find(|column| column.name == here.name)
            .map(|column| &column.origin);
        let Some(origin) = origin.filter(|origin| **origin != format!("sqlite:{declared}")) else {
            continue;
        };
        sqlx::query(
            "INSERT INTO main.tombolo_columns (table_name, column_name, origin) VALUES (?, ?, ?)",
        )
        .bind(incoming.table.clone())
        .bind(here.name.clone())
        .bind(origin.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
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

/// One row of the ledger.
struct LedgerRow {
    next_seq: i64,
    digest: u128,
    entry: LedgerEntry,
}

async fn find(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerRow>, DatabaseError> {
    let row = sqlx::query(
        "SELECT next_seq, digest, created, updated, same, skipped, failed, last_key, snapshot, snapshots, made, done,
         description FROM main.tombolo_ledger WHERE run = ? AND table_name = ? COLLATE NOCASE",
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
        digest: digest.try_into().map_or(0, u128::from_be_bytes),
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
            description: row.try_get(12)?,
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
    /// The sum of the digests of all rows that were not rejected, committed and staged ones.
    digest: u128,
    staged_digest: u128,
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
            digest: row.digest,
            staged_digest: 0,
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

    /// Notes that a block is staged.
    pub(super) fn staged(&mut self, block: &RowBlock) {
        self.staged_digest = self.staged_digest.wrapping_add(block.digest());
    }

    /// Counts a chunk, inside of its transaction, unless somebody else did. [`Self::committed`] follows its commit.
    pub(super) async fn advance(
        &self,
        connection: &mut SqliteConnection,
        counts: ChunkCounts,
        last_key: Option<Vec<u8>>,
    ) -> Result<(), DatabaseError> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let advanced = sqlx::query(AssertSqlSafe(format!(
            "UPDATE main.tombolo_ledger SET next_seq = next_seq + 1, last_key = ?, created = created + ?,
             updated = updated + ?, same = same + ?, skipped = skipped + ?, failed = failed + ?, digest = ?,
             snapshot = coalesce(?, snapshot), snapshots = snapshots + ?, updated_at = {NOW}
             WHERE run = ? AND table_name = ? AND next_seq = ?"
        )))
        .bind(last_key)
        .bind(number(counts.created))
        .bind(number(counts.updated))
        .bind(number(counts.same))
        .bind(number(counts.skipped))
        .bind(number(counts.failed))
        .bind(self.digest.wrapping_add(self.staged_digest).to_be_bytes().to_vec())
        .bind(self.new_snapshot.clone())
        .bind(i64::from(self.new_snapshot.is_some()))
        .bind(self.run.clone())
        .bind(self.table.clone())
        .bind(self.next_seq)
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
        match advanced.rows_affected() {
            0 => Err(taken(&self.table)),
            _ => Ok(()),
        }
    }

    /// The chunk that was counted is committed.
    pub(super) fn committed(&mut self, counts: ChunkCounts) {
        self.next_seq += 1;
        self.counts += counts;
        self.digest = self
            .digest
            .wrapping_add(std::mem::take(&mut self.staged_digest));
        if let Some(snapshot) = self.new_snapshot.take() {
            self.snapshot = Some(snapshot);
            self.snapshots += 1;
        }
    }

    /// The chunk is gone.
    pub(super) fn rolled_back(&mut self) {
        self.staged_digest = 0;
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

    /// What is known of the complete table.
    pub(super) fn loaded(&self) -> Loaded {
        Loaded {
            counts: self.counts,
            snapshots: self.snapshots,
            stored: Stored::Unverified("this version does not look".to_owned()),
            digest: None,
        }
    }
}

fn taken(table: &str) -> DatabaseError {
    DatabaseError::LedgerTaken {
        table: table.to_owned(),
    }
}
