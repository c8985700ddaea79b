//! The ledger: how far each run is with each table.

use futures::executor::block_on;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::tables::NOW;
use crate::bindings::types::Stored;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::error::refused;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{
    ChunkCounts, DatabaseError, Evidence, LedgerEntry, TableWrite, WriteOutcome,
};
use crate::rows::RowBlock;

/// Returns how far a run is with a table; none if it never began the table.
pub async fn entry(
    connection: &mut SqliteConnection,
    run: &str,
    table: &str,
) -> Result<Option<LedgerEntry>, DatabaseError> {
    Ok(find(connection, run, table).await?.map(|row| row.entry))
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

/// One row of the ledger.
struct LedgerRow {
    next_seq: i64,
    rows: RowsSoFar,
    entry: LedgerEntry,
}

/// What is known of the rows that were taken in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowsSoFar {
    /// The sum of their digests; none if the table gives some values back in another form.
    digest: Option<u128>,
    /// Whether some went directly into the table and were not read there.
    unread: bool,
    /// Whether triggers changed some.
    altered: bool,
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
    row.map(|row| read(&row).map_err(|error| refused(&error)))
        .transpose()
}

fn read(row: &SqliteRow) -> Result<LedgerRow, sqlx::Error> {
    let number = |column: &str| -> Result<u64, sqlx::Error> {
        let number: i64 = row.try_get(column)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let digest: Vec<u8> = row.try_get("digest")?;
    let last_key: Option<Vec<u8>> = row.try_get("last_key")?;
    Ok(LedgerRow {
        next_seq: row.try_get("next_seq")?,
        rows: RowsSoFar {
            digest: digest.try_into().ok().map(u128::from_be_bytes),
            unread: row.try_get("unread")?,
            altered: row.try_get("altered")?,
        },
        entry: LedgerEntry {
            counts: ChunkCounts {
                created: number("created")?,
                updated: number("updated")?,
                same: number("same")?,
                skipped: number("skipped")?,
                failed: number("failed")?,
            },
            last_key: last_key.and_then(|key| RowBlock::parse_row(&key)),
            snapshot: row.try_get("snapshot")?,
            snapshots: u32::try_from(number("snapshots")?).unwrap_or(u32::MAX),
            made: row.try_get("made")?,
            done: row.try_get("done")?,
            retry_context: row.try_get("description")?,
        },
    })
}

/// One table of one run.
#[derive(Debug)]
pub struct Ledger {
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
    /// Finds the run's row for a table or inserts it, inside of a transaction. Fails with `LedgerTaken` if it is gone
    /// at once.
    pub fn enter(
        connection: &mut SqliteConnection,
        write: &TableWrite,
        table: &str,
    ) -> Result<Self, DatabaseError> {
        RawConnection::lock_blocking(connection)?.execute_named(
            &format!(
                "INSERT OR IGNORE INTO main.tombolo_ledger (run, table_name, digest, made, description, updated_at)
                 VALUES (:run, :table, :digest, :made, :description, {NOW})"
            ),
            &[
                (c":run", SqliteValueRef::Text(&write.run)),
                (c":table", SqliteValueRef::Text(table)),
                (c":digest", SqliteValueRef::Blob(&0u128.to_be_bytes())),
                (c":made", flag(write.create.is_some())),
                (c":description", SqliteValueRef::Text(&write.retry_context)),
            ],
        )?;
        let row = block_on(find(connection, &write.run, table))?;
        let row = row.ok_or_else(|| taken(table))?;
        Ok(Self {
            run: write.run.clone(),
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

    /// Says which snapshot the rows come from that are staged from now on.
    pub fn read_from(&mut self, snapshot: String) {
        let another = self.snapshot.as_ref() != Some(&snapshot);
        self.new_snapshot = another.then_some(snapshot);
    }

    /// Returns the table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns the run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns what became of the committed rows.
    pub fn counts(&self) -> ChunkCounts {
        self.counts
    }

    /// Returns true if the run made the table and has not completed it.
    pub fn is_filling(&self) -> bool {
        self.made && !self.done
    }

    /// Notes that a block arrived.
    pub fn arrived(&mut self, block: &RowBlock) {
        self.new_rows.digest = self
            .new_rows
            .digest
            .map(|sum| sum.wrapping_add(block.digest()));
    }

    /// Notes that a row that arrived does not go into the table.
    pub fn rejected(&mut self, digest: u128) {
        self.new_rows.digest = self.new_rows.digest.map(|sum| sum.wrapping_sub(digest));
    }

    /// Notes that the table gives some values back in another form.
    pub fn inexact(&mut self) {
        self.new_rows.digest = None;
    }

    /// Notes that rows are not read after they were written.
    pub fn unread(&mut self) {
        self.new_rows.unread = true;
    }

    /// Notes that triggers changed some rows.
    pub fn altered(&mut self) {
        self.new_rows.altered = true;
    }

    /// Adds a chunk, inside of its transaction; `retried` rows of earlier chunks are no rejects any more.
    /// [`Self::committed`] follows its commit. Fails with `LedgerTaken` if another process advanced the row.
    pub fn advance(
        &self,
        connection: &RawConnection<'_>,
        counts: ChunkCounts,
        retried: u64,
        last_key: Option<&[u8]>,
    ) -> Result<(), DatabaseError> {
        let digest = self.new_rows.digest.map(u128::to_be_bytes);
        let failed = signed(counts.failed) - signed(retried);
        let snapshot = self.new_snapshot.as_deref();
        let advanced = connection.execute_named(
            &format!(
                "UPDATE main.tombolo_ledger SET next_seq = next_seq + 1, last_key = coalesce(:last_key, last_key),
                 created = created + :created, updated = updated + :updated, same = same + :same,
                 skipped = skipped + :skipped, failed = failed + :failed, digest = :digest, unread = :unread,
                 altered = :altered, snapshot = coalesce(:snapshot, snapshot), snapshots = snapshots + :new_snapshot,
                 updated_at = {NOW} WHERE run = :run AND table_name = :table AND next_seq = :next_seq"
            ),
            &[
                (c":last_key", last_key.map_or(SqliteValueRef::Null, SqliteValueRef::Blob)),
                (c":created", number(counts.created)),
                (c":updated", number(counts.updated)),
                (c":same", number(counts.same)),
                (c":skipped", number(counts.skipped)),
                (c":failed", SqliteValueRef::Integer(failed)),
                (c":digest", SqliteValueRef::Blob(digest.as_ref().map_or(&[], |digest| digest))),
                (c":unread", flag(self.new_rows.unread)),
                (c":altered", flag(self.new_rows.altered)),
                (c":snapshot", snapshot.map_or(SqliteValueRef::Null, SqliteValueRef::Text)),
                (c":new_snapshot", flag(snapshot.is_some())),
                (c":run", SqliteValueRef::Text(&self.run)),
                (c":table", SqliteValueRef::Text(&self.table)),
                (c":next_seq", SqliteValueRef::Integer(self.next_seq)),
            ],
        )?;
        match advanced {
            0 => Err(taken(&self.table)),
            _ => Ok(()),
        }
    }

    /// Notes that the chunk that was added is committed.
    pub fn committed(&mut self, counts: ChunkCounts, retried: u64) {
        self.next_seq += 1;
        self.counts += counts;
        self.counts.failed = self.counts.failed.saturating_sub(retried);
        self.rows = self.new_rows;
        if let Some(snapshot) = self.new_snapshot.take() {
            self.snapshot = Some(snapshot);
            self.snapshots += 1;
        }
    }

    /// Returns what is known of the rows, including those of the chunk under way.
    pub fn new_rows(&self) -> RowsSoFar {
        self.new_rows
    }

    /// Takes back what was noted since [`Self::new_rows`].
    pub fn back_to(&mut self, rows: RowsSoFar) {
        self.new_rows = rows;
    }

    /// Takes back what was noted of the chunk under way.
    pub fn rolled_back(&mut self) {
        self.new_rows = self.rows;
    }

    /// Marks the table as complete, inside of a transaction. Fails with `LedgerTaken` if another process advanced the
    /// row.
    pub fn finish(&self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        let finished = connection.execute_named(
            &format!(
                "UPDATE main.tombolo_ledger SET done = TRUE, updated_at = {NOW}
                 WHERE run = :run AND table_name = :table AND next_seq = :next_seq"
            ),
            &[
                (c":run", SqliteValueRef::Text(&self.run)),
                (c":table", SqliteValueRef::Text(&self.table)),
                (c":next_seq", SqliteValueRef::Integer(self.next_seq)),
            ],
        )?;
        match finished {
            0 => Err(taken(&self.table)),
            _ => Ok(()),
        }
    }

    /// Returns what is known of the complete table. `triggers` are the table's; `alone` is true if only this run put
    /// rows into it.
    pub fn outcome(&self, triggers: &[String], alone: bool) -> WriteOutcome {
        let counts = self.counts;
        let only_created = counts.updated + counts.same + counts.skipped == 0;
        let direct = self.rows.digest.filter(|_| {
            self.made && alone && only_created && self.rows.unread && !self.rows.altered
        });
        let evidence = match (direct, self.rows) {
            (Some(digest), _) => Evidence::Direct {
                digest: Some(digest),
                followed: None,
            },
            (None, RowsSoFar { altered: true, .. }) => {
                Evidence::Known(Stored::ChangedBy(triggers.to_vec()))
            }
            (None, RowsSoFar { unread: true, .. }) => {
                let reason = match self.done {
                    true => "an earlier attempt completed it",
                    false => "some of its rows cannot be told from others that are there",
                };
                Evidence::Known(Stored::Unverified(reason.to_owned()))
            }
            (None, _) => Evidence::Known(Stored::Verified),
        };
        WriteOutcome {
            counts,
            snapshots: self.snapshots,
            evidence,
            changed: Vec::new(),
        }
    }
}

fn number<'a>(count: u64) -> SqliteValueRef<'a> {
    SqliteValueRef::Integer(signed(count))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn flag<'a>(flag: bool) -> SqliteValueRef<'a> {
    SqliteValueRef::Integer(flag.into())
}

fn taken(table: &str) -> DatabaseError {
    DatabaseError::LedgerTaken {
        table: table.to_owned(),
    }
}
