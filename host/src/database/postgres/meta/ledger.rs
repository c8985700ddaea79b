//! What Tombolo keeps in a target: how far each run came, what it rejected, and where columns came from.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use xxhash_rust::xxh3::xxh3_128;

use crate::bindings::types::{ColumnChanges, Stored};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{ChunkCounts, DatabaseError, LedgerEntry, Loaded, TableLoad};
use crate::rows::RowBlock;

/// What the looks at stored rows found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::database::postgres) struct Verification {
    /// Some rows could not be looked at.
    pub unread: bool,
    /// Triggers made something else of some rows.
    pub altered: bool,
}

impl std::ops::BitOrAssign for Verification {
    fn bitor_assign(&mut self, other: Self) {
        self.unread |= other.unread;
        self.altered |= other.altered;
    }
}

/// One row of the ledger.
struct LedgerRow {
    next: i64,
    digest: u128,
    direct: bool,
    seen: Verification,
    changed: Changed,
    entry: LedgerEntry,
}

/// How many values were changed to fit, by column.
pub(in crate::database::postgres) type Changed = BTreeMap<String, u64>;

/// How far a run is with a table.
pub(in crate::database::postgres) async fn entry(
    session: &mut Session,
    run: &str,
    table: &str,
) -> Result<Option<LedgerEntry>, DatabaseError> {
    Ok(find(session, run, table).await?.map(|row| row.entry))
}

/// Keeps that a complete table holds what went directly into it.
pub(in crate::database::postgres) async fn read_back(
    session: &mut Session,
    run: &str,
    table: &str,
) -> Result<(), DatabaseError> {
    session
        .execute(
            query("UPDATE tombolo.ledger SET direct = false WHERE run = $1 AND table_name = $2 AND done")
                .bind(run.to_owned())
                .bind(table.to_owned()),
        )
        .await
        .map(|_| ())
}

async fn find(
    session: &mut Session,
    run: &str,
    table: &str,
) -> Result<Option<LedgerRow>, DatabaseError> {
    let found = session
        .row(
            query(
                "SELECT next_seq, digest, created, updated, same, skipped, failed, last_key, snapshot, snapshots, made, \
                 done, description, direct, unread, altered, changed FROM tombolo.ledger WHERE run = $1 AND table_name = $2",
            )
            .bind(run.to_owned())
            .bind(table.to_owned()),
        )
        .await?;
    found.map(|row| read(&row)).transpose()
}

fn read(row: &PgRow) -> Result<LedgerRow, DatabaseError> {
    let number = |index| -> Result<u64, DatabaseError> {
        let number: i64 = column(row, index)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let digest: Vec<u8> = column(row, 1)?;
    let last_key: Option<Vec<u8>> = column(row, 7)?;
    let snapshots: i32 = column(row, 9)?;
    Ok(LedgerRow {
        next: column(row, 0)?,
        direct: column(row, 13)?,
        seen: Verification {
            unread: column(row, 14)?,
            altered: column(row, 15)?,
        },
        changed: serde_json::from_str(&column::<String>(row, 16)?).unwrap_or_default(),
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
            snapshot: column(row, 8)?,
            snapshots: u32::try_from(snapshots).unwrap_or_default(),
            made: column(row, 10)?,
            done: column(row, 11)?,
            retry_context: column(row, 12)?,
        },
    })
}

/// One table of one run.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Ledger {
    run: String,
    table: String,
    next: i64,
    /// Whether all rows so far went directly into the table, and were not read back.
    direct: bool,
    /// The chunk under way included.
    seen: Verification,
    /// Without the chunk under way.
    seen_before: Verification,
    counts: ChunkCounts,
    /// The chunk under way included.
    changed: Changed,
    /// Without the chunk under way.
    changed_before: Changed,
    /// What is not reported: changed before the rows of now.
    unreported: Changed,
    /// The sum of the digests of all rows that were not rejected, committed and staged ones.
    digest: u128,
    staged_digest: u128,
    snapshot: Option<String>,
    snapshots: u32,
    /// The snapshot of the rows that are staged, if it is another.
    new_snapshot: Option<String>,
}

impl Ledger {
    /// Finds the row or makes it.
    pub async fn enter(
        session: &mut Session,
        load: &TableLoad,
        table: &str,
    ) -> Result<Self, DatabaseError> {
        session
            .execute(
                query(
                    "INSERT INTO tombolo.ledger (run, table_name, digest, made, description) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                )
                .bind(load.run.clone())
                .bind(table.to_owned())
                .bind(0u128.to_be_bytes().to_vec())
                .bind(load.create.is_some())
                .bind(load.description.clone()),
            )
            .await?;
        let row = find(session, &load.run, table).await?;
        let row = row.ok_or_else(|| taken(table))?;
        Ok(Self {
            run: load.run.clone(),
            table: table.to_owned(),
            next: row.next,
            direct: row.direct,
            seen: row.seen,
            seen_before: row.seen,
            unreported: match load.retry {
                true => row.changed.clone(),
                false => Changed::new(),
            },
            changed_before: row.changed.clone(),
            changed: row.changed,
            counts: row.entry.counts,
            digest: row.digest,
            staged_digest: 0,
            snapshot: row.entry.snapshot,
            snapshots: row.entry.snapshots,
            new_snapshot: None,
        })
    }

    /// The rows that are staged from now on come from this snapshot.
    pub fn read_from(&mut self, snapshot: &str) {
        let another = self.snapshot.as_deref() != Some(snapshot);
        self.new_snapshot = another.then(|| snapshot.to_owned());
    }

    /// Whether rows may go directly into the table.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// From now on rows go through a staging. `retry`: only the rows of now are reported.
    pub fn end_direct(&mut self, retry: bool) {
        // Nobody looked at those that went directly in, and what is there is not theirs alone any more.
        let unread = self.direct && !retry && self.counts.received() > 0;
        self.seen.unread |= unread;
        self.seen_before.unread |= unread;
        self.direct = false;
    }

    /// What a look at rows of the chunk under way found.
    pub fn saw(&mut self, seen: Verification) {
        self.seen |= seen;
    }

    /// Counts values that were changed to fit in rows of the chunk under way.
    pub fn changed(&mut self, changed: &Changed) {
        for (column, values) in changed {
            let counted = self.changed.entry(column.clone()).or_default();
            *counted = counted.saturating_add(*values);
        }
    }

    /// Notes that a block is staged.
    pub fn staged(&mut self, block: &RowBlock) {
        self.staged_digest = self.staged_digest.wrapping_add(block.digest());
    }

    /// How many rows arrived in earlier chunks.
    pub fn received(&self) -> u64 {
        self.counts.received()
    }

    /// How many of them were rejected.
    pub fn failed(&self) -> u64 {
        self.counts.failed
    }

    /// A staged row is rejected, so it is not among those that the table holds.
    pub fn not_staged(&mut self, row: &[u8]) {
        self.staged_digest = self.staged_digest.wrapping_sub(xxh3_128(row));
    }

    /// Counts a chunk, inside of its transaction, unless somebody else did. [`Self::committed`] follows its commit.
    /// `retried`: rejects of earlier chunks that arrived again in this one.
    pub async fn advance(
        &self,
        session: &mut Session,
        counts: ChunkCounts,
        last_key: Option<Vec<u8>>,
        retried: u64,
    ) -> Result<(), DatabaseError> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let digest = self.digest.wrapping_add(self.staged_digest);
        let changed = session
            .execute(
                query(
                    "UPDATE tombolo.ledger SET next_seq = next_seq + 1, last_key = $4, created = created + $5, \
                     updated = updated + $6, same = same + $7, skipped = skipped + $8, failed = failed + $9 - $14, \
                     digest = $10, snapshot = coalesce($11, snapshot), snapshots = snapshots + $12, \
                     direct = direct AND $13, unread = $15, altered = $16, changed = $17, \
                     updated_at = now() WHERE run = $1 AND table_name = $2 AND next_seq = $3",
                )
                .bind(self.run.clone())
                .bind(self.table.clone())
                .bind(self.next)
                .bind(last_key)
                .bind(number(counts.created))
                .bind(number(counts.updated))
                .bind(number(counts.same))
                .bind(number(counts.skipped))
                .bind(number(counts.failed))
                .bind(digest.to_be_bytes().to_vec())
                .bind(self.new_snapshot.clone())
                .bind(i32::from(self.new_snapshot.is_some()))
                .bind(self.direct)
                .bind(number(retried))
                .bind(self.seen.unread)
                .bind(self.seen.altered)
                .bind(serde_json::json!(self.changed).to_string()),
            )
            .await?;
        if changed == 1 {
            return Ok(());
        }
        Err(taken(&self.table))
    }

    /// The chunk that was counted is committed.
    pub fn committed(&mut self, counts: ChunkCounts, retried: u64) {
        self.next += 1;
        self.seen_before = self.seen;
        self.changed_before.clone_from(&self.changed);
        self.counts += counts;
        self.counts.failed -= retried.min(self.counts.failed);
        self.digest = self
            .digest
            .wrapping_add(std::mem::take(&mut self.staged_digest));
        if let Some(snapshot) = self.new_snapshot.take() {
            self.snapshot = Some(snapshot);
            self.snapshots += 1;
        }
    }

    /// The chunk is gone.
    pub fn rolled_back(&mut self) {
        self.seen = self.seen_before;
        self.changed.clone_from(&self.changed_before);
        self.staged_digest = 0;
    }

    /// Marks the table as complete, unless somebody else has the run.
    pub async fn finish(&self, session: &mut Session) -> Result<(), DatabaseError> {
        let changed = session
            .execute(
                query(
                    "UPDATE tombolo.ledger SET done = true, updated_at = now() \
                     WHERE run = $1 AND table_name = $2 AND next_seq = $3",
                )
                .bind(self.run.clone())
                .bind(self.table.clone())
                .bind(self.next),
            )
            .await?;
        if changed == 1 {
            return Ok(());
        }
        Err(taken(&self.table))
    }

    /// Keeps that the complete table holds what went directly into it.
    pub async fn was_read_back(&self, session: &mut Session) -> Result<(), DatabaseError> {
        read_back(session, &self.run, &self.table).await
    }

    /// What is known of the complete table, which has these triggers.
    pub fn loaded(&self, triggers: Vec<String>) -> Loaded {
        let stored = if self.direct {
            Stored::Unverified("it has to be read back".to_owned())
        } else if self.seen.altered {
            Stored::ChangedBy(triggers)
        } else if self.seen.unread {
            Stored::Unverified("some of its rows could not be looked at again".to_owned())
        } else {
            Stored::Verified
        };
        Loaded {
            counts: self.counts,
            snapshots: self.snapshots,
            stored,
            digest: self.direct.then_some(self.digest),
            changed: self.reported_changes(),
        }
    }

    fn reported_changes(&self) -> Vec<ColumnChanges> {
        let before = |column| self.unreported.get(column).copied().unwrap_or_default();
        let changes = self.changed.iter().map(|(column, values)| ColumnChanges {
            column: column.clone(),
            values: values.saturating_sub(before(column)),
        });
        changes.filter(|changes| changes.values > 0).collect()
    }
}

fn taken(table: &str) -> DatabaseError {
    DatabaseError::LedgerTaken {
        table: table.to_owned(),
    }
}
