//! Reads tables in one consistent view of the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::catalog::{self, Description};
use super::connection::{Server, Session, column, query};
use super::read::{copy_out, query as read_query};
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Read, Snapshot, without_computed};
use crate::rows::RowBlock;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction that keeps the view, and others that read in it.
///
/// A COPY that is not read to its end can only be ended by closing its connection; the view outlives that.
pub(super) struct PostgresSnapshot {
    server: Arc<Server>,
    keeper: AsyncMutex<Session>,
    token: String,
    /// Connections in the view that no read uses now.
    idle: Mutex<Vec<Session>>,
    /// The tables that were described, by name: they do not change in the view.
    described: Mutex<HashMap<String, Arc<Description>>>,
}

impl PostgresSnapshot {
    /// Connects and begins the view.
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let mut keeper = server.connect().await?;
        keeper.run(BEGIN).await?;
        let row = keeper
            .row(query("SELECT pg_catalog.pg_export_snapshot()"))
            .await?;
        let token = match row {
            Some(row) => column(&row, 0)?,
            None => String::new(),
        };
        Ok(Self {
            server,
            keeper: AsyncMutex::new(keeper),
            token,
            idle: Mutex::default(),
            described: Mutex::default(),
        })
    }

    /// Returns a connection in the view.
    async fn reader(&self) -> Result<Session, DatabaseError> {
        let idle = lock(&self.idle).pop();
        if let Some(reader) = idle {
            return Ok(reader);
        }
        let mut reader = self.server.connect().await?;
        let token = self.token.replace('\'', "''");
        reader
            .run(format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{token}'"))
            .await?;
        Ok(reader)
    }

    async fn description(&self, table: &str) -> Result<Arc<Description>, DatabaseError> {
        if let Some(known) = lock(&self.described).get(table) {
            return Ok(Arc::clone(known));
        }
        let mut keeper = self.keeper.lock().await;
        let described = catalog::describe(&mut keeper, self.server.place(), table).await?;
        let described = Arc::new(described);
        lock(&self.described).insert(table.to_owned(), Arc::clone(&described));
        Ok(described)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError> {
        let described = self.description(table).await?;
        Ok(without_computed(described.schema.clone()))
    }

    async fn read(
        &self,
        read: Read<'_>,
        blocks: mpsc::Sender<RowBlock>,
    ) -> Result<(), DatabaseError> {
        let described = self.description(&read.table.table).await?;
        let (statement, types) = read_query::copy_statement(&described, read)?;
        // Dropped, and so closed, unless the stream is read to its end.
        let mut reader = self.reader().await?;
        let table = &read.table.table;
        if copy_out::send_rows(&mut reader, &statement, &types, table, blocks).await? {
            lock(&self.idle).push(reader);
        }
        Ok(())
    }
}
