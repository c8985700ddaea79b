//! A connection that takes rows into a SQLite file.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::ledger::{self, Ledger};
use super::merge::Merge;
use super::schema;
use super::staging::{Staging, execute};
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, Decision, LedgerEntry, Loaded, StagedConflict,
    TableLoad, Target,
};
use crate::rows::RowBlock;

/// A connection that writes.
pub(super) struct SqliteTarget {
    connection: SqliteConnection,
    database: String,
    load: Option<Load>,
}

/// The table under way.
struct Load {
    ledger: Ledger,
    merge: Merge,
    staging: Staging,
    /// Whether a chunk's transaction is open.
    open: bool,
}

impl SqliteTarget {
    pub(super) fn new(connection: SqliteConnection, database: String) -> Self {
        Self {
            connection,
            database,
            load: None,
        }
    }

    /// Makes the table, where this run does, and its ledger row, or finds both.
    async fn enter(&mut self, load: &TableLoad) -> Result<(schema::Table, Ledger), DatabaseError> {
        let connection = &mut self.connection;
        let name = &load.incoming.table;
        let entry = ledger::entry(connection, &load.run, name).await?;
        if entry.is_none()
            && let Some(statements) = &load.create
        {
            for statement in statements {
                execute(connection, statement.sql().to_owned()).await?;
            }
            let made = schema::table(connection, &self.database, name).await?;
            ledger::keep_origins(connection, &made, &load.incoming).await?;
        }
        let local = schema::table(connection, &self.database, name).await?;
        let ledger = Ledger::enter(connection, load, &local.schema.table).await?;
        Ok((local, ledger))
    }

    async fn run_all(&mut self, statements: &[CheckedStatement]) -> Result<(), DatabaseError> {
        for statement in statements {
            execute(&mut self.connection, statement.sql().to_owned()).await?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), DatabaseError> {
        execute(&mut self.connection, "BEGIN IMMEDIATE".to_owned())
            .await
            .map(|_| ())
    }

    /// Ends the transaction that `result` came from.
    async fn end<T>(&mut self, result: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        match result {
            Ok(value) => self.commit().await.map(|()| value),
            Err(error) => {
                self.undo().await;
                Err(error)
            }
        }
    }

    async fn commit(&mut self) -> Result<(), DatabaseError> {
        let done = execute(&mut self.connection, "COMMIT".to_owned()).await;
        if done.is_err() {
            self.undo().await;
        }
        done.map(|_| ())
    }

    /// Ends a transaction if one is open. SQLite ended it itself after some errors, and then says so: no matter.
    async fn undo(&mut self) {
        let _ = execute(&mut self.connection, "ROLLBACK".to_owned()).await;
    }
}

fn load<'a>(load: &'a mut Option<Load>, database: &str) -> Result<&'a mut Load, DatabaseError> {
    load.as_mut().ok_or_else(|| DatabaseError::Unsuitable {
        table: String::new(),
        reason: format!("no table of {database} is being loaded"),
    })
}

#[async_trait]
impl Target for SqliteTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        self.begin().await?;
        let made = ledger::create(&mut self.connection).await;
        self.end(made).await
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        ledger::entry(&mut self.connection, run, table).await
    }

    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError> {
        self.load = None;
        self.begin().await?;
        let entered = self.enter(&load).await;
        let (local, ledger) = self.end(entered).await?;
        let merge = Merge::new(&load.incoming, &local, &load.plan)?;
        let connection = &mut self.connection;
        let staging = Staging::create(connection, &merge, load.incoming, &local).await?;
        self.load = Some(Load {
            ledger,
            merge,
            staging,
            open: false,
        });
        Ok(())
    }

    fn read_from(&mut self, snapshot: &str) {
        if let Some(load) = &mut self.load {
            load.ledger.read_from(snapshot);
        }
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError> {
        let load = load(&mut self.load, &self.database)?;
        if !load.open {
            execute(&mut self.connection, "BEGIN IMMEDIATE".to_owned()).await?;
            load.open = true;
            // Rows may refer to others that come later in the chunk. Holds until the transaction ends.
            execute(
                &mut self.connection,
                "PRAGMA defer_foreign_keys = ON".to_owned(),
            )
            .await?;
        }
        load.staging
            .stage(&mut self.connection, &load.merge, block)
            .await?;
        load.ledger.staged(block);
        Ok(())
    }

    async fn conflicts(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        let load = load(&mut self.load, &self.database)?;
        if !load.open || !load.merge.has_key() {
            return Ok(Vec::new());
        }
        load.staging
            .conflicts(&mut self.connection, &load.merge, after, limit)
            .await
    }

    async fn settle(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError> {
        let load = load(&mut self.load, &self.database)?;
        for (position, decision) in decisions {
            load.staging
                .settle(&mut self.connection, &load.merge, position, decision)
                .await?;
        }
        Ok(())
    }

    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError> {
        let load = load(&mut self.load, &self.database)?;
        if !load.open {
            return Ok(ChunkCounts::default());
        }
        let counts = apply(&mut self.connection, load).await?;
        let last_key = load.staging.last_key();
        load.ledger
            .advance(&mut self.connection, counts, last_key)
            .await?;
        execute(
            &mut self.connection,
            "DELETE FROM temp.tombolo_staging".to_owned(),
        )
        .await?;
        execute(&mut self.connection, "COMMIT".to_owned()).await?;
        load.ledger.committed(counts);
        load.open = false;
        load.staging.next_chunk();
        Ok(counts)
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.undo().await;
        if let Some(load) = &mut self.load {
            load.open = false;
            load.ledger.rolled_back();
            load.staging.forget_chunk();
        }
        Ok(())
    }

    async fn finish_table(&mut self, after: &[CheckedStatement]) -> Result<Loaded, DatabaseError> {
        let load = self.load.take().ok_or_else(|| DatabaseError::Unsuitable {
            table: String::new(),
            reason: format!("no table of {} is being loaded", self.database),
        })?;
        if load.open {
            return Err(load
                .staging
                .unsuitable("its last chunk was neither committed nor given up"));
        }
        self.begin().await?;
        let done = match self.run_all(after).await {
            Ok(()) => load.ledger.finish(&mut self.connection).await,
            Err(error) => Err(error),
        };
        self.end(done).await?;
        // SQLite itself numbers new rows behind the greatest key.
        Staging::drop(&mut self.connection).await?;
        Ok(load.ledger.loaded())
    }
}

/// Takes the staged rows into the table.
async fn apply(
    connection: &mut SqliteConnection,
    load: &Load,
) -> Result<ChunkCounts, DatabaseError> {
    let (merge, staging) = (&load.merge, &load.staging);
    if merge.has_key() && staging.may_repeat() && scalar(connection, merge.repeated()).await? != 0 {
        return Err(staging.unsuitable("a key arrives twice in one chunk"));
    }
    // The first chunk of a new table needs no look at what exists.
    let merging = merge.has_key() && scalar(connection, merge.is_empty()).await? == 0;
    let mut blocked = 0;
    let mut updated = 0;
    if merging {
        if let Some(sql) = merge.blocked() {
            blocked = scalar(connection, sql).await?;
        }
        if let Some(sql) = merge.update() {
            updated = execute(connection, sql).await?;
        }
    }
    let created = execute(connection, merge.insert(merging)).await?;
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
        failed: 0,
    })
}

async fn scalar(connection: &mut SqliteConnection, sql: String) -> Result<u64, DatabaseError> {
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .map_err(|error| refused(&error))?;
    let number: i64 = row.try_get(0).map_err(|error| refused(&error))?;
    Ok(u64::try_from(number).unwrap_or_default())
}
