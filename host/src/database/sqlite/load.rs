//! The rows of one table into it, chunk by chunk, each chunk one transaction with its step in the ledger.

use super::merge::Merge;
use super::raw::RawConnection;
use super::schema::Table;
use super::staging::Staging;
use super::storage::StoredRef;
use crate::database::{ChunkCounts, DatabaseError, Decision, StagedConflict, TableLoad};
use crate::rows::RowBlock;

/// The table under way.
pub(super) struct Load {
    run: String,
    table: String,
    merge: Merge,
    staging: Staging,
    next_seq: i64,
    /// Whether a chunk's transaction is open.
    open: bool,
}

impl Load {
    /// Makes the staging and the table's row in the ledger.
    pub(super) fn begin(
        connection: &RawConnection<'_>,
        load: TableLoad,
        local: &Table,
    ) -> Result<Self, DatabaseError> {
        let merge = Merge::new(&load.incoming, local, &load.plan)?;
        let staging = Staging::create(connection, &merge, load.incoming, local)?;
        let table = local.schema.table.clone();
        let place = [StoredRef::Text(&load.run), StoredRef::Text(&table)];
        connection.execute(
            "INSERT OR IGNORE INTO main.tombolo_ledger
             (run, table_name, next_seq, last_key, received, created, updated, same, skipped, done, updated_at)
             VALUES (?, ?, 0, NULL, 0, 0, 0, 0, 0, FALSE, strftime('%Y-%m-%dT%H:%M:%fZ'))",
            &place,
        )?;
        let next_seq = connection.integer(
            "SELECT next_seq FROM main.tombolo_ledger WHERE run = ? AND table_name = ?",
            &place,
        )?;
        Ok(Self {
            run: load.run,
            table,
            merge,
            staging,
            next_seq,
            open: false,
        })
    }

    /// Adds a block to the chunk under way, and begins it with the first.
    pub(super) fn stage(
        &mut self,
        connection: &RawConnection<'_>,
        block: &RowBlock,
    ) -> Result<(), DatabaseError> {
        if !self.open {
            connection.execute("BEGIN IMMEDIATE", &[])?;
            self.open = true;
            // Rows may refer to others that come later in the chunk. Holds until the transaction ends.
            connection.execute("PRAGMA defer_foreign_keys = ON", &[])?;
        }
        self.staging.stage(connection, block)
    }

    pub(super) fn conflicts(
        &self,
        connection: &RawConnection<'_>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        if !self.open || !self.merge.has_key() {
            return Ok(Vec::new());
        }
        self.staging
            .conflicts(connection, &self.merge, after, limit)
    }

    pub(super) fn settle(
        &mut self,
        connection: &RawConnection<'_>,
        decisions: &[(u64, Decision)],
    ) -> Result<(), DatabaseError> {
        for (position, decision) in decisions {
            self.staging
                .settle(connection, &self.merge, *position, decision)?;
        }
        Ok(())
    }

    /// Takes the chunk into the table and commits it.
    pub(super) fn commit_chunk(
        &mut self,
        connection: &RawConnection<'_>,
    ) -> Result<ChunkCounts, DatabaseError> {
        if !self.open {
            return Ok(ChunkCounts::default());
        }
        let counts = self.apply(connection)?;
        self.advance(connection, counts)?;
        connection.execute("DELETE FROM temp.tombolo_staging", &[])?;
        connection.execute("COMMIT", &[])?;
        self.next_seq += 1;
        self.open = false;
        self.staging.next_chunk();
        Ok(counts)
    }

    /// Forgets the chunk under way, whose transaction is no more.
    pub(super) fn forget_chunk(&mut self) {
        self.open = false;
        self.staging.forget_chunk();
    }

    /// Marks the table as complete. SQLite itself numbers new rows behind the greatest key.
    pub(super) fn finish(&self, connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
        if self.open {
            return Err(self
                .staging
                .unsuitable("its last chunk was neither committed nor given up"));
        }
        connection.execute(
            "UPDATE main.tombolo_ledger SET done = TRUE, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
             WHERE run = ? AND table_name = ?",
            &[StoredRef::Text(&self.run), StoredRef::Text(&self.table)],
        )?;
        Staging::drop(connection)
    }

    /// Takes the staged rows into the table.
    fn apply(&self, connection: &RawConnection<'_>) -> Result<ChunkCounts, DatabaseError> {
        let (merge, staging) = (&self.merge, &self.staging);
        if merge.has_key() && staging.may_repeat() && count(connection, &merge.repeated())? != 0 {
            return Err(staging.unsuitable("a key arrives twice in one chunk"));
        }
        // The first chunk of a new table needs no look at what exists.
        let merging = merge.has_key() && count(connection, &merge.is_empty())? == 0;
        let mut blocked = 0;
        let mut updated = 0;
        if merging {
            if let Some(sql) = merge.blocked() {
                blocked = count(connection, &sql)?;
            }
            if let Some(sql) = merge.update() {
                updated = connection.execute(&sql, &[])?;
            }
        }
        let created = connection.execute(&merge.insert(merging), &[])?;
        let rest = (staging.staged() - staging.kept_local()).saturating_sub(created + updated);
        let same = if merge.updates() {
            rest.saturating_sub(blocked)
        } else {
            0
        };
        Ok(ChunkCounts {
            created,
            updated,
            same,
            skipped: rest - same + staging.kept_local(),
        })
    }

    /// Advances the ledger by the chunk, unless somebody else did.
    fn advance(
        &self,
        connection: &RawConnection<'_>,
        counts: ChunkCounts,
    ) -> Result<(), DatabaseError> {
        let number = |count: u64| StoredRef::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        let last_key = self.staging.last_key();
        let advanced = connection.execute(
            "UPDATE main.tombolo_ledger SET next_seq = next_seq + 1, last_key = ?, received = received + ?,
             created = created + ?, updated = updated + ?, same = same + ?, skipped = skipped + ?,
             updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
             WHERE run = ? AND table_name = ? AND next_seq = ?",
            &[
                last_key.map_or(StoredRef::Null, StoredRef::Blob),
                number(self.staging.staged()),
                number(counts.created),
                number(counts.updated),
                number(counts.same),
                number(counts.skipped),
                StoredRef::Text(&self.run),
                StoredRef::Text(&self.table),
                StoredRef::Integer(self.next_seq),
            ],
        )?;
        match advanced {
            0 => Err(DatabaseError::LedgerTaken {
                table: self.table.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// A query's only number, which is a count.
fn count(connection: &RawConnection<'_>, sql: &str) -> Result<u64, DatabaseError> {
    let count = connection.integer(sql, &[])?;
    Ok(u64::try_from(count).unwrap_or_default())
}
