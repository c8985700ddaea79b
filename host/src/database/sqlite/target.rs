//! A connection that takes rows into a SQLite file.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::merge::Merge;
use super::schema;
use super::staging::{Staging, execute};
use crate::bindings::types::TableSchema;
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, Decision, StagedConflict, TableLoad, Target,
};
use crate::rows::RowBlock;

/// What Tombolo keeps in a target. Times are ISO 8601 in UTC.
const OWN_TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS main.tombolo_ledger (
        run TEXT NOT NULL, table_name TEXT NOT NULL, next_seq INTEGER NOT NULL, last_key BLOB,
        received INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, same INTEGER NOT NULL,
        skipped INTEGER NOT NULL, done INTEGER NOT NULL, updated_at TEXT NOT NULL,
        PRIMARY KEY (run, table_name))",
    "CREATE TABLE IF NOT EXISTS main.tombolo_columns (
        table_name TEXT NOT NULL, column_name TEXT NOT NULL, origin TEXT NOT NULL,
        PRIMARY KEY (table_name, column_name))",
];

/// A connection that writes.
pub(super) struct SqliteTarget {
    connection: SqliteConnection,
    database: String,
    load: Option<Load>,
}

/// The table under way.
struct Load {
    run: String,
    table: String,
    merge: Merge,
    staging: Staging,
    next_seq: i64,
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

    async fn create_and_keep_origins(
        &mut self,
        statements: &[CheckedStatement],
        table: &TableSchema,
    ) -> Result<(), DatabaseError> {
        for statement in statements {
            execute(&mut self.connection, statement.sql().to_owned()).await?;
        }
        let made = schema::table(&mut self.connection, &self.database, &table.table).await?;
        // A table of this name may have been here before.
        sqlx::query("DELETE FROM main.tombolo_columns WHERE table_name = ?")
            .bind(table.table.clone())
            .execute(&mut self.connection)
            .await
            .map_err(|error| refused(&error))?;
        for (here, declared) in made.schema.columns.iter().zip(&made.declared) {
            let origin = table
                .columns
                .iter()
                .find(|column| column.name == here.name)
                .map(|column| &column.origin);
            let Some(origin) = origin.filter(|origin| **origin != format!("sqlite:{declared}"))
            else {
                continue;
            };
            sqlx::query("INSERT INTO main.tombolo_columns (table_name, column_name, origin) VALUES (?, ?, ?)")
                .bind(table.table.clone())
                .bind(here.name.clone())
                .bind(origin.clone())
                .execute(&mut self.connection)
                .await
                .map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    async fn in_transaction(&mut self, sql: &[&'static str]) -> Result<(), DatabaseError> {
        execute(&mut self.connection, "BEGIN IMMEDIATE".to_owned()).await?;
        for statement in sql {
            if let Err(error) = execute(&mut self.connection, (*statement).to_owned()).await {
                self.undo().await;
                return Err(error);
            }
        }
        self.commit().await
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
        self.in_transaction(&OWN_TABLES).await
    }

    async fn create(
        &mut self,
        statements: &[CheckedStatement],
        table: &TableSchema,
    ) -> Result<(), DatabaseError> {
        execute(&mut self.connection, "BEGIN IMMEDIATE".to_owned()).await?;
        let made = self.create_and_keep_origins(statements, table).await;
        if let Err(error) = made {
            self.undo().await;
            return Err(error);
        }
        self.commit().await
    }

    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError> {
        self.load = None;
        let connection = &mut self.connection;
        let local = schema::table(connection, &self.database, &load.local.table).await?;
        let merge = Merge::new(&load.incoming, &local, &load.plan)?;
        let staging = Staging::create(connection, &merge, load.incoming, &local).await?;
        let table = local.schema.table;
        sqlx::query(
            "INSERT OR IGNORE INTO main.tombolo_ledger
             (run, table_name, next_seq, last_key, received, created, updated, same, skipped, done, updated_at)
             VALUES (?, ?, 0, NULL, 0, 0, 0, 0, 0, FALSE, strftime('%Y-%m-%dT%H:%M:%fZ'))",
        )
        .bind(load.run.clone())
        .bind(table.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
        let next_seq = sqlx::query_scalar(
            "SELECT next_seq FROM main.tombolo_ledger WHERE run = ? AND table_name = ?",
        )
        .bind(load.run.clone())
        .bind(table.clone())
        .fetch_one(connection)
        .await
        .map_err(|error| refused(&error))?;
        self.load = Some(Load {
            run: load.run,
            table,
            merge,
            staging,
            next_seq,
            open: false,
        });
        Ok(())
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
            .await
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
        advance(&mut self.connection, load, counts).await?;
        execute(
            &mut self.connection,
            "DELETE FROM temp.tombolo_staging".to_owned(),
        )
        .await?;
        execute(&mut self.connection, "COMMIT".to_owned()).await?;
        load.next_seq += 1;
        load.open = false;
        load.staging.next_chunk();
        Ok(counts)
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.undo().await;
        if let Some(load) = &mut self.load {
            load.open = false;
            load.staging.forget_chunk();
        }
        Ok(())
    }

    async fn finish_table(&mut self) -> Result<(), DatabaseError> {
        let load = load(&mut self.load, &self.database)?;
        if load.open {
            return Err(load
                .staging
                .unsuitable("its last chunk was neither committed nor given up"));
        }
        sqlx::query(
            "UPDATE main.tombolo_ledger SET done = TRUE, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
             WHERE run = ? AND table_name = ?",
        )
        .bind(load.run.clone())
        .bind(load.table.clone())
        .execute(&mut self.connection)
        .await
        .map_err(|error| refused(&error))?;
        self.load = None;
        // SQLite itself numbers new rows behind the greatest key.
        Staging::drop(&mut self.connection).await
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
    })
}

/// Advances the ledger by the chunk, unless somebody else did.
async fn advance(
    connection: &mut SqliteConnection,
    load: &Load,
    counts: ChunkCounts,
) -> Result<(), DatabaseError> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let advanced = sqlx::query(
        "UPDATE main.tombolo_ledger SET next_seq = next_seq + 1, last_key = ?, received = received + ?,
         created = created + ?, updated = updated + ?, same = same + ?, skipped = skipped + ?,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
         WHERE run = ? AND table_name = ? AND next_seq = ?",
    )
    .bind(load.staging.last_key())
    .bind(number(load.staging.staged()))
    .bind(number(counts.created))
    .bind(number(counts.updated))
    .bind(number(counts.same))
    .bind(number(counts.skipped))
    .bind(load.run.clone())
    .bind(load.table.clone())
    .bind(load.next_seq)
    .execute(connection)
    .await
    .map_err(|error| refused(&error))?;
    match advanced.rows_affected() {
        0 => Err(DatabaseError::LedgerTaken {
            table: load.table.clone(),
        }),
        _ => Ok(()),
    }
}

async fn scalar(connection: &mut SqliteConnection, sql: String) -> Result<u64, DatabaseError> {
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .map_err(|error| refused(&error))?;
    let number: i64 = row.try_get(0).map_err(|error| refused(&error))?;
    Ok(u64::try_from(number).unwrap_or_default())
}
