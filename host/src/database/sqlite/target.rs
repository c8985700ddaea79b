//! A connection that takes rows into a SQLite file.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use super::load::Load;
use super::raw::{self, RawConnection};
use super::schema::{self, Table};
use super::storage::StoredRef;
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
    /// Of a call that was given up, until it has ended.
    connection: Arc<Mutex<SqliteConnection>>,
    database: String,
    /// None as well after a call that was given up.
    load: Option<Load>,
}

impl SqliteTarget {
    pub(super) fn new(connection: SqliteConnection, database: String) -> Self {
        Self {
            connection: Arc::new(Mutex::new(connection)),
            database,
            load: None,
        }
    }

    async fn table(&self, name: &str) -> Result<Table, DatabaseError> {
        let mut connection = self.connection.lock().await;
        schema::table(&mut connection, &self.database, name).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RawConnection<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        raw::work(connection, |connection| work(connection)).await
    }

    async fn create_and_keep_origins(
        &self,
        statements: Vec<CheckedStatement>,
        table: &TableSchema,
    ) -> Result<(), DatabaseError> {
        self.work(move |connection| {
            connection.execute("BEGIN IMMEDIATE", &[])?;
            for statement in &statements {
                connection.execute(statement.sql(), &[])?;
            }
            Ok(())
        })
        .await?;
        let made = self.table(&table.table).await?;
        let table = table.clone();
        self.work(move |connection| {
            keep_origins(connection, &made, &table)?;
            connection.execute("COMMIT", &[])?;
            Ok(())
        })
        .await
    }

    /// Ends a transaction if one is open.
    async fn undo(&self) -> Result<(), DatabaseError> {
        self.work(|connection| {
            if connection.in_transaction() {
                connection.execute("ROLLBACK", &[])?;
            }
            Ok(())
        })
        .await
    }

    /// Works on the table under way.
    async fn load<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&RawConnection<'_>, &mut Load) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let mut load = self.load.take().ok_or_else(|| DatabaseError::Unsuitable {
            table: String::new(),
            reason: format!("no table of {} is being loaded", self.database),
        })?;
        let (load, done) = self
            .work(|connection| {
                let done = work(connection, &mut load);
                Ok((load, done))
            })
            .await?;
        self.load = Some(load);
        done
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        let made = self
            .work(|connection| {
                connection.execute("BEGIN IMMEDIATE", &[])?;
                for sql in OWN_TABLES {
                    connection.execute(sql, &[])?;
                }
                connection.execute("COMMIT", &[])?;
                Ok(())
            })
            .await;
        if made.is_err() {
            self.undo().await?;
        }
        made
    }

    async fn create(
        &mut self,
        statements: &[CheckedStatement],
        table: &TableSchema,
    ) -> Result<(), DatabaseError> {
        let made = self
            .create_and_keep_origins(statements.to_vec(), table)
            .await;
        if made.is_err() {
            self.undo().await?;
        }
        made
    }

    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError> {
        self.load = None;
        let local = self.table(&load.local.table).await?;
        let load = self
            .work(move |connection| Load::begin(connection, load, &local))
            .await?;
        self.load = Some(load);
        Ok(())
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError> {
        let block = block.clone();
        self.load(move |connection, load| load.stage(connection, &block))
            .await
    }

    async fn conflicts(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StagedConflict>, DatabaseError> {
        self.load(move |connection, load| load.conflicts(connection, after, limit))
            .await
    }

    async fn settle(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError> {
        self.load(move |connection, load| load.settle(connection, &decisions))
            .await
    }

    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError> {
        self.load(|connection, load| load.commit_chunk(connection))
            .await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.undo().await?;
        if let Some(load) = &mut self.load {
            load.forget_chunk();
        }
        Ok(())
    }

    async fn finish_table(&mut self) -> Result<(), DatabaseError> {
        self.load(|connection, load| load.finish(connection))
            .await?;
        self.load = None;
        Ok(())
    }
}

/// Keeps where the columns of a table come from, unless their declared types say so.
fn keep_origins(
    connection: &RawConnection<'_>,
    made: &Table,
    table: &TableSchema,
) -> Result<(), DatabaseError> {
    let name = StoredRef::Text(&table.table);
    // A table of this name may have been here before.
    connection.execute(
        "DELETE FROM main.tombolo_columns WHERE table_name = ?",
        &[name],
    )?;
    for (here, declared) in made.schema.columns.iter().zip(&made.declared) {
        let origin = table
            .columns
            .iter()
            .find(|column| column.name == here.name)
            .map(|column| &column.origin);
        if let Some(origin) = origin.filter(|origin| **origin != format!("sqlite:{declared}")) {
            connection.execute(
                "INSERT INTO main.tombolo_columns (table_name, column_name, origin) VALUES (?, ?, ?)",
                &[name, StoredRef::Text(&here.name), StoredRef::Text(origin)],
            )?;
        }
    }
    Ok(())
}
