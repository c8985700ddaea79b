//! The rows of one table into it, chunk by chunk, each chunk one transaction with its step in the ledger.

use super::deferred_fks::Deferred;
use super::foreign_keys::{ForeignKeyCheck, ForeignKeys};
use super::merge_sql::Merge;
use super::staging;
use crate::database::sqlite::codec::encode::RowLayout;
use crate::database::sqlite::codec::storage::{SqliteValue, SqliteValueRef};
use crate::database::sqlite::meta::ledger::Ledger;
use crate::database::sqlite::meta::rejects::{Rejects, fault_of_row};
use crate::database::sqlite::raw::RawConnection;
use crate::database::{ChunkCounts, DatabaseError, Decision, Loaded, StagedConflict, TableLoad};
use crate::rows::{RowBlock, RowRef};

/// The table under way.
pub struct Load {
    pub layout: RowLayout,
    pub merge: Merge,
    pub foreign_keys: Vec<ForeignKeyCheck>,
    pub deferred: Deferred,
    pub triggers: Vec<String>,
    pub rejects: Rejects,
    pub ledger: Ledger,
    pub chunk: Chunk,
    /// Whether rows go into the table as they come.
    pub direct: bool,
    /// Whether nobody else put rows into the table.
    alone: bool,
    /// Whether a chunk's transaction is open.
    open: bool,
}

/// The rows of the chunk under way.
#[derive(Debug)]
pub struct Chunk {
    /// The number of the last row before it, and of the last row that arrived: both from the run's first row on.
    pub before: u64,
    pub arrived: u64,
    /// Rows that are in the staging, or directly in the table.
    pub held: u64,
    /// Rows that stay as they are here.
    pub skipped: u64,
    /// The last row that was shown as a conflict.
    shown: u64,
    last_key: Option<Vec<u8>>,
    /// The last key, while all of them are single integers and rise: then none can be there twice.
    ascending: Option<i64>,
}

impl Chunk {
    fn after(before: u64) -> Self {
        Self {
            before,
            arrived: before,
            held: 0,
            skipped: 0,
            shown: 0,
            last_key: None,
            ascending: Some(i64::MIN),
        }
    }

    /// Whether a key may have arrived twice.
    pub fn may_repeat(&self) -> bool {
        self.ascending.is_none()
    }
}

impl Load {
    /// Begins or goes on with a table whose ledger row is there.
    pub fn begin(
        connection: &RawConnection<'_>,
        load: &TableLoad,
        ledger: Ledger,
        (layout, merge): (RowLayout, Merge),
        foreign_keys: ForeignKeys,
    ) -> Result<Self, DatabaseError> {
        staging::create(connection, &merge)?;
        let counts = ledger.counts();
        let triggers = triggers(connection, ledger.table())?;
        // Others may have written while the run rested; what this process writes itself it need not count.
        let alone = ledger.is_filling() && {
            let sql = format!("SELECT count(*) FROM {}", merge.table());
            let rows = connection.integer(&sql, &[])?;
            u64::try_from(rows).is_ok_and(|rows| rows == counts.created)
        };
        let direct =
            load.direct && alone && !load.retry && triggers.is_empty() && !merge.regenerates();
        Ok(Self {
            rejects: Rejects::new(
                ledger.run(),
                ledger.table(),
                load.reject_limit,
                counts.failed,
                load.retry,
            ),
            layout,
            merge,
            foreign_keys: foreign_keys.staged,
            deferred: foreign_keys.deferred,
            triggers,
            chunk: Chunk::after(counts.received()),
            ledger,
            direct,
            alone,
            open: false,
        })
    }

    /// Adds a block to the chunk under way, and begins it with the first.
    pub fn stage(
        &mut self,
        connection: &RawConnection<'_>,
        block: &RowBlock,
    ) -> Result<(), DatabaseError> {
        if block.column_count() != self.layout.width() {
            return Err(self.unsuitable("the rows have another number of cells than announced"));
        }
        if !self.open {
            connection.execute("BEGIN IMMEDIATE", &[])?;
            self.open = true;
            // Rows may refer to others that come later in the chunk. Holds until the transaction ends.
            connection.execute("PRAGMA defer_foreign_keys = ON", &[])?;
            self.rejects.begin(connection)?;
        }
        self.ledger.arrived(block);
        if self.direct {
            self.ledger.unread();
        }
        let mut insert = connection.prepare(&match self.direct {
            true => self.merge.direct(),
            false => self.merge.stage(),
        })?;
        let mut values = Vec::with_capacity(self.layout.width());
        let mut last = None;
        for row in block.rows() {
            self.chunk.arrived += 1;
            last = Some(row);
            let exact = match self.layout.store(row, &mut values) {
                Ok(exact) => exact,
                Err(reason) => {
                    self.reject(connection, row, &reason)?;
                    continue;
                }
            };
            let stored = values.iter().map(SqliteValue::borrow);
            if !self.direct {
                let number = SqliteValueRef::Integer(position(self.chunk.arrived));
                let cells = match exact {
                    true => SqliteValueRef::Null,
                    false => SqliteValueRef::Blob(row.bytes()),
                };
                insert.run([number, cells].into_iter().chain(stored))?;
                self.note_key(&values);
            } else if !exact {
                return Err(self.needs_staging());
            } else if let Err(error) = insert.run(stored) {
                match fault_of_row(connection, &error) {
                    // Somebody else may have put a row with this key there: what then, the plan says.
                    Some(_) if error.is_about_keys() => return Err(self.needs_staging()),
                    Some(reason) => {
                        self.reject(connection, row, &reason)?;
                        continue;
                    }
                    None => return Err(error.into()),
                }
            }
            if !exact {
                self.ledger.inexact();
            }
            self.chunk.held += 1;
        }
        if let Some(row) = last {
            self.chunk.last_key = self.layout.primary_key(row);
        }
        Ok(())
    }

    fn reject(
        &mut self,
        connection: &RawConnection<'_>,
        row: RowRef<'_>,
        reason: &str,
    ) -> Result<(), DatabaseError> {
        let number = position(self.chunk.arrived);
        self.rejects
            .keep(connection, &self.layout, number, row.bytes(), reason)?;
        self.ledger.rejected(row.digest());
        Ok(())
    }

    fn note_key(&mut self, values: &[SqliteValue<'_>]) {
        let mut key = self.merge.key_positions();
        let key = match (key.next(), key.next()) {
            (Some(index), None) => values.get(index),
            _ => None,
        };
        self.chunk.ascending = match (self.chunk.ascending, key) {
            (Some(last), Some(SqliteValue::Integer(key))) if *key > last => Some(*key),
            _ => None,
        };
    }

    /// The next page of staged rows that exist with another image.
    pub fn conflicts(
        &mut self,
        connection: &RawConnection<'_>,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        if !self.open || self.direct || !self.merge.has_key() {
            return Ok(Vec::new());
        }
        let after = position(self.chunk.shown);
        let page = staging::conflicts(connection, &self.layout, &self.merge, after, limit)?;
        if let Some(last) = page.last() {
            self.chunk.shown = last.position;
        }
        Ok(page)
    }

    /// Settles staged rows singly.
    pub fn resolve(
        &mut self,
        connection: &RawConnection<'_>,
        decisions: &[(u64, Decision)],
    ) -> Result<(), DatabaseError> {
        for (row, decision) in decisions {
            let number = position(*row);
            if !staging::resolve(connection, &self.layout, &self.merge, number, decision)? {
                self.chunk.held -= 1;
                self.chunk.skipped += 1;
            }
        }
        Ok(())
    }

    /// Takes the chunk into the table and commits it.
    pub fn commit_chunk(
        &mut self,
        connection: &RawConnection<'_>,
    ) -> Result<ChunkCounts, DatabaseError> {
        if !self.open {
            return Ok(ChunkCounts::default());
        }
        loop {
            let staged = self.remember(connection)?;
            let mut counts = ChunkCounts {
                created: self.chunk.held,
                ..ChunkCounts::default()
            };
            if !self.direct {
                counts = self.apply(connection)?;
                self.applied(connection)?;
                staging::clear(connection)?;
            }
            counts.failed = self.rejects.in_chunk();
            let retried = self.rejects.retried();
            // Rows that were rejected before say nothing about how far the run is.
            let last_key = self.chunk.last_key.as_deref();
            let last_key = last_key.filter(|_| !self.rejects.are_retried());
            self.ledger.advance(connection, counts, retried, last_key)?;
            match connection.execute("COMMIT", &[]) {
                // A row refers to one that did not come: which, the staging tells.
                Err(error) if self.direct && error.is_constraint() => {
                    return Err(self.needs_staging());
                }
                Err(error) if error.is_constraint() => {
                    self.reject_unresolved(connection, &staged, error)?;
                    continue;
                }
                done => done?,
            };
            self.ledger.committed(counts, retried);
            self.rejects.committed();
            self.open = false;
            self.chunk = Chunk::after(self.chunk.arrived);
            return Ok(counts);
        }
    }

    /// Forgets the chunk under way, whose transaction is no more.
    pub fn forget_chunk(&mut self) {
        self.ledger.rolled_back();
        self.rejects.rolled_back();
        self.open = false;
        self.chunk = Chunk::after(self.chunk.before);
    }

    /// Whether a chunk is under way.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What is known of the table.
    pub fn loaded(&self) -> Loaded {
        self.ledger.loaded(&self.triggers, self.alone)
    }

    pub fn unsuitable(&self, reason: &str) -> DatabaseError {
        staging::unsuitable(&self.layout, reason)
    }

    fn needs_staging(&self) -> DatabaseError {
        DatabaseError::NeedsStaging {
            table: self.layout.table().to_owned(),
        }
    }
}

/// No run has 2^63 rows.
pub fn position(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

fn triggers(connection: &RawConnection<'_>, table: &str) -> Result<Vec<String>, DatabaseError> {
    let mut select = connection.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name",
    )?;
    let table = [SqliteValueRef::Text(table)];
    let mut rows = select.query(&table)?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        if let Ok(SqliteValueRef::Text(name)) = row.get(0) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
