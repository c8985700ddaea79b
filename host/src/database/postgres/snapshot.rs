//! Reads tables in one consistent view of the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use super::catalog::{self, Description};
use super::connection::{Session, column, query};
use super::meta::tables::OwnTable;
use super::meta::trust;
use super::read::forms::Forms;
use super::read::{copy_out, query as read_query};
use super::server::{Purpose, Server};
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Read, Snapshot, without_computed};
use crate::rows::RowBlock;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction that keeps the view, and others that read in it.
///
/// A COPY that is not read to its end can only be ended by closing its connection. The view outlives that, except where
/// the connection that keeps it had to read, because no other one was free.
pub(super) struct PostgresSnapshot {
    server: Arc<Server>,
    token: String,
    /// Whether the origins of columns are read.
    origins: bool,
    /// The connection that keeps the view, while it is not used.
    keeper: Mutex<Option<Session>>,
    /// Others in the view that no read uses now.
    idle: Mutex<Vec<Session>>,
    /// Says that a connection is not used any more.
    returned: Notify,
    /// The tables that were described, by name: they do not change in the view.
    described: Mutex<HashMap<String, Arc<Description>>>,
}

/// A connection in the view, and where it belongs.
struct Reader {
    session: Session,
    keeps: bool,
}

impl PostgresSnapshot {
    /// Connects and begins the view.
    pub(super) async fn open(server: Arc<Server>) -> Result<Self, DatabaseError> {
        let mut keeper = server.connect(Purpose::Read).await?;
        let origins = trust::begin_to_read(&mut keeper, BEGIN, OwnTable::Columns).await?;
        let row = keeper
            .row(query("SELECT pg_catalog.pg_export_snapshot()"))
            .await?;
        let token = match row {
            Some(row) => column(&row, 0)?,
            None => String::new(),
        };
        Ok(Self {
            server,
            token,
            origins,
            keeper: Mutex::new(Some(keeper)),
            idle: Mutex::default(),
            returned: Notify::new(),
            described: Mutex::default(),
        })
    }

    /// Returns a connection in the view: one that is not used, a new one if there is one to spare, or the one that
    /// keeps the view. Fails with [`DatabaseError::TooManyConnections`] if there is none in time.
    async fn reader(&self) -> Result<Reader, DatabaseError> {
        if let Some(session) = lock(&self.idle).pop() {
            return Ok(self.other(session));
        }
        if let Some(session) = self.server.connect_if_free().await? {
            return self.join(session).await;
        }
        let mut connecting = std::pin::pin!(self.server.connect(Purpose::Read));
        loop {
            let returned = self.returned.notified();
            if let Some(reader) = self.free() {
                return Ok(reader);
            }
            tokio::select! {
                () = returned => {}
                session = &mut connecting => return self.join(session?).await,
            }
        }
    }

    fn free(&self) -> Option<Reader> {
        if let Some(session) = lock(&self.idle).pop() {
            return Some(self.other(session));
        }
        let session = lock(&self.keeper).take()?;
        Some(Reader {
            session,
            keeps: true,
        })
    }

    fn other(&self, session: Session) -> Reader {
        Reader {
            session,
            keeps: false,
        }
    }

    /// Brings a new connection into the view.
    async fn join(&self, mut session: Session) -> Result<Reader, DatabaseError> {
        let token = self.token.replace('\'', "''");
        session
            .run(format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{token}'"))
            .await?;
        Ok(self.other(session))
    }

    fn give_back(&self, reader: Reader) {
        match reader.keeps {
            true => *lock(&self.keeper) = Some(reader.session),
            false => lock(&self.idle).push(reader.session),
        }
        self.returned.notify_one();
    }

    async fn description(&self, table: &str) -> Result<Arc<Description>, DatabaseError> {
        if let Some(known) = lock(&self.described).get(table) {
            return Ok(Arc::clone(known));
        }
        let mut reader = match self.free() {
            Some(reader) => reader,
            None => self.reader().await?,
        };
        let place = self.server.place();
        let described = catalog::describe(&mut reader.session, place, table, self.origins).await;
        // A table that is not there, or not as it should be, leaves the view as it is; what the server refuses ends it.
        if !matches!(
            described,
            Err(DatabaseError::Refused(_) | DatabaseError::Unqualified(_) | DatabaseError::Busy(_))
        ) {
            self.give_back(reader);
        }
        let described = Arc::new(described?);
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
        let forms = Forms::of(&described, read);
        // Dropped, and so closed, unless the stream is read to its end.
        let mut reader = self.reader().await?;
        let table = &read.table.table;
        if copy_out::send_rows(
            &mut reader.session,
            &statement,
            &types,
            forms.as_ref(),
            table,
            blocks,
        )
        .await?
        {
            self.give_back(reader);
        }
        Ok(())
    }
}
