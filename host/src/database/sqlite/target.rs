//! A connection that takes rows into a SQLite file.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use super::checks;
use super::ledger::{self, Ledger, execute};
use super::load::Load;
use super::merge::Merge;
use super::origins;
use super::raw::{self, RawConnection};
use super::row_layout::RowLayout;
use super::schema::{self, Table};
use super::staging;
use crate::database::{
    CheckedStatement, ChunkCounts, DatabaseError, Decision, LedgerEntry, Loaded, OldTarget,
    StagedConflict, TableLoad,
};
use crate::rows::RowBlock;

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

    /// Works with the connection on a thread that may block.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RawConnection<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        raw::work(connection, |connection| work(connection)).await
    }

    /// Works on the table under way.
    async fn load<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&RawConnection<'_>, &mut Load) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let mut load = self.taken()?;
        let (load, done) = self
            .work(|connection| {
                let done = work(connection, &mut load);
                Ok((load, done))
            })
            .await?;
        self.load = Some(load);
        done
    }

    fn taken(&mut self) -> Result<Load, DatabaseError> {
        self.load.take().ok_or_else(|| DatabaseError::Unsuitable {
            table: String::new(),
            reason: format!("no table of {} is being loaded", self.database),
        })
    }
}

#[async_trait]
impl OldTarget for SqliteTarget {
    async fn prepare(&mut self) -> Result<(), DatabaseError> {
        let mut connection = self.connection.lock().await;
        begin(&mut connection).await?;
        let made = ledger::create(&mut connection).await;
        end(&mut connection, made).await
    }

    async fn ledger_entry(
        &mut self,
        run: &str,
        table: &str,
    ) -> Result<Option<LedgerEntry>, DatabaseError> {
        ledger::entry(&mut *self.connection.lock().await, run, table).await
    }

    async fn begin_table(&mut self, load: TableLoad) -> Result<(), DatabaseError> {
        self.load = None;
        let mut connection = self.connection.lock().await;
        begin(&mut connection).await?;
        let entered = enter(&mut connection, &self.database, &load).await;
        let (local, ledger) = end(&mut connection, entered).await?;
        let merge = Merge::new(&load.incoming, &local, &load.plan)?;
        let arriving: Vec<_> = load
            .incoming
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let foreign_keys =
            checks::foreign_keys(&mut connection, &self.database, &local, &arriving, &merge)
                .await?;
        drop(connection);
        let layout = RowLayout::new(load.incoming.clone(), &local);
        let load = self
            .work(move |connection| {
                Load::begin(connection, &load, ledger, (layout, merge), foreign_keys)
            })
            .await?;
        self.load = Some(load);
        Ok(())
    }

    fn read_from(&mut self, snapshot: &str) {
        if let Some(load) = &mut self.load {
            load.ledger.read_from(snapshot);
        }
    }

    async fn stage(&mut self, block: &RowBlock) -> Result<(), DatabaseError> {
        let block = block.clone();
        self.load(move |connection, load| load.stage(connection, &block))
            .await
    }

    async fn conflicts(&mut self, limit: u32) -> Result<Vec<StagedConflict>, DatabaseError> {
        self.load(move |connection, load| load.conflicts(connection, limit))
            .await
    }

    async fn resolve(&mut self, decisions: Vec<(u64, Decision)>) -> Result<(), DatabaseError> {
        self.load(move |connection, load| load.resolve(connection, &decisions))
            .await
    }

    async fn commit_chunk(&mut self) -> Result<ChunkCounts, DatabaseError> {
        self.load(|connection, load| load.commit_chunk(connection))
            .await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        undo(&mut *self.connection.lock().await).await;
        if let Some(load) = &mut self.load {
            load.forget_chunk();
        }
        Ok(())
    }

    async fn finish_table(&mut self, after: &[CheckedStatement]) -> Result<Loaded, DatabaseError> {
        let load = self.taken()?;
        if load.is_open() {
            return Err(load.unsuitable("its last chunk was neither committed nor given up"));
        }
        let mut connection = self.connection.lock().await;
        begin(&mut connection).await?;
        let done = match run_all(&mut connection, after).await {
            Ok(()) => load.ledger.finish(&mut connection).await,
            Err(error) => Err(error),
        };
        end(&mut connection, done).await?;
        drop(connection);
        // SQLite itself numbers new rows behind the greatest key.
        self.work(staging::remove).await?;
        Ok(load.loaded())
    }

    async fn read_back(&mut self, run: &str, table: &str) -> Result<(), DatabaseError> {
        ledger::read_back(&mut *self.connection.lock().await, run, table).await
    }
}

/// Makes the table, where this run does, and its ledger row, or finds both.
async fn enter(
    connection: &mut SqliteConnection,
    database: &str,
    load: &TableLoad,
) -> Result<(Table, Ledger), DatabaseError> {
    let name = &load.incoming.table;
    let entry = ledger::entry(connection, &load.run, name).await?;
    if entry.is_none()
        && let Some(statements) = &load.create
    {
        run_all(connection, statements).await?;
        let made = schema::table(connection, database, name).await?;
        origins::keep(connection, &made, &load.incoming).await?;
    }
    let local = schema::table(connection, database, name).await?;
    let ledger = Ledger::enter(connection, load, &local.schema.table).await?;
    Ok((local, ledger))
}

async fn run_all(
    connection: &mut SqliteConnection,
    statements: &[CheckedStatement],
) -> Result<(), DatabaseError> {
    for statement in statements {
        execute(connection, statement.sql().to_owned()).await?;
    }
    Ok(())
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    execute(connection, "BEGIN IMMEDIATE".to_owned()).await
}

/// Ends the transaction that `result` came from.
async fn end<T>(
    connection: &mut SqliteConnection,
    result: Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let done = match result {
        Ok(value) => execute(connection, "COMMIT".to_owned())
            .await
            .map(|()| value),
        error => error,
    };
    if done.is_err() {
        undo(connection).await;
    }
    done
}

/// Ends a transaction if one is open. SQLite ended it itself after some errors, and then says so: no matter.
async fn undo(connection: &mut SqliteConnection) {
    let _ = execute(connection, "ROLLBACK".to_owned()).await;
}
