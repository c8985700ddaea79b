//! One consistent view of a database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::catalog::{self, Description};
use super::connection::{Server, Session, column, query};
use super::read::query;
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Read, Snapshot, without_computed};
use crate::rows::RowBlock;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction that keeps the view, and others that look through it.
///
/// A COPY that is left early can only be ended by closing its connection; the view outlives that.
pub(super) struct PostgresSnapshot {
    server: Arc<Server>,
    keeper: AsyncMutex<Session>,
    token: String,
    /// Connections that nobody reads through now.
    idle: Mutex<Vec<Session>>,
    /// Tables that were described, by name; within the view they do not change.
    described: Mutex<HashMap<String, Arc<Description>>>,
}

impl PostgresSnapshot {
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

    async fn reader(&self) -> Result<Session, DatabaseError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
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
        let known = self.described().get(table).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let mut keeper = self.keeper.lock().await;
        let found = catalog::describe(&mut keeper, self.server.place(), table).await?;
        let found = Arc::new(found);
        self.described()
            .insert(table.to_owned(), Arc::clone(&found));
        Ok(found)
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn described(&self) -> MutexGuard<'_, HashMap<String, Arc<Description>>> {
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
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
        let (statement, types) = query::copy_statement(&described, read)?;
        // Owned here, so that it is closed unless the stream is read to its end.
        let mut reader = self.reader().await?;
        if query::send_rows(&mut reader, &statement, &types, &read.table.table, blocks).await? {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(reader);
        }
        Ok(())
    }
}
