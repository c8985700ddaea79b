//! Reads tables in one consistent view of the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use super::catalog::{self, Description};
use super::codec::local_cells::CellForm;
use super::connection::{Session, column, query};
use super::meta::tables::OwnTable;
use super::meta::trust;
use super::read::{copy_out, query as read_query};
use super::server::{Purpose, Server};
use crate::bindings::database::TableKind;
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Read, Snapshot, without_computed};
use crate::rows::RowBlock;

/// The tables that are described with one that is asked for.
const DESCRIBED_TOGETHER: usize = 100;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Begins what a read does in a transaction.
const BEGIN_READ: &str = "SAVEPOINT read";

/// Ends it: the locks that it took go, the view stays.
const END_READ: &str = "ROLLBACK TO SAVEPOINT read";

/// A table that was rewritten since the view began is empty in it, or has other rows. The first oid is that of the
/// table as it is in the view, the function tells of the table as it is now.
const REWRITTEN: &str = "\
    SELECT 1 FROM pg_catalog.pg_class c \
    WHERE (c.oid = $1::int8::oid OR c.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree($1::int8::oid::regclass) p)) \
    AND c.relkind = 'r' AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)";

/// The table of origins as it is now, whatever the view.
const ORIGINS: &str = "SELECT 'tombolo.columns'::pg_catalog.regclass::oid::int8";

/// A read-only transaction that keeps the view, and others that read in it. Between reads none of them holds a lock
/// on a table.
///
/// A COPY that is not read to its end can only be ended by closing its connection. The view outlives that, except where
/// the connection that keeps it had to read, because no other one was free.
pub(super) struct PostgresSnapshot {
    server: Arc<Server>,
    token: String,
    /// The table of the columns' origins, if it is read.
    origins: Option<i64>,
    /// The connection that keeps the view, while it is not used.
    keeper: Mutex<Option<Session>>,
    /// Others in the view that no read uses now.
    idle: Mutex<Vec<Session>>,
    /// Says that a connection is not used any more.
    returned: Notify,
    /// The tables that were described, by name: they do not change in the view.
    described: Mutex<HashMap<String, Arc<Description>>>,
    /// All names in the view, sorted; none before the second table is described.
    names: Mutex<Option<Arc<Vec<String>>>>,
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
        let begin = format!("{BEGIN}; {BEGIN_READ}");
        let readable = trust::begin_to_read(&mut keeper, &begin, OwnTable::Columns).await?;
        let origins = match readable {
            true => origins(&mut keeper).await?,
            false => None,
        };
        // Only a transaction without a savepoint can export its view.
        keeper
            .run(format!("{END_READ}; RELEASE SAVEPOINT read"))
            .await?;
        let row = keeper
            .row(query("SELECT pg_catalog.pg_export_snapshot()"))
            .await?;
        keeper.run(BEGIN_READ).await?;
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
            names: Mutex::default(),
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
            .run(format!(
                "{BEGIN}; SET TRANSACTION SNAPSHOT '{token}'; {BEGIN_READ}"
            ))
            .await?;
        Ok(self.other(session))
    }

    /// Ends a read, and keeps its connection for the next one unless it broke.
    async fn give_back(&self, mut reader: Reader) {
        if reader.session.run(END_READ).await.is_ok() {
            match reader.keeps {
                true => *lock(&self.keeper) = Some(reader.session),
                false => lock(&self.idle).push(reader.session),
            }
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
        let described = self.describe_with_next(&mut reader.session, table).await;
        self.give_back(reader).await;
        described
    }

    /// Describes a table. From the second one on, those that follow it by name are described with it: whoever reads
    /// several reads them in about that order.
    async fn describe_with_next(
        &self,
        session: &mut Session,
        table: &str,
    ) -> Result<Arc<Description>, DatabaseError> {
        let mut names = vec![table.to_owned()];
        if !lock(&self.described).is_empty() {
            let all = self.names(session).await?;
            let known = lock(&self.described);
            let next = all
                .iter()
                .skip(all.partition_point(|name| name.as_str() <= table));
            let next = next.take(DESCRIBED_TOGETHER);
            names.extend(next.filter(|name| !known.contains_key(*name)).cloned());
        }
        let place = self.server.place();
        let described = self.describe_all(session, &names).await?;
        let mut described = described.into_iter();
        let first = described.next();
        let first = Arc::new(first.unwrap_or_else(|| Err(catalog::missing(place, table)))?);
        let mut known = lock(&self.described);
        known.insert(table.to_owned(), Arc::clone(&first));
        // What cannot be described is looked at again when it is asked for.
        for next in described.flatten() {
            known.insert(next.relation.table.clone(), Arc::new(next));
        }
        Ok(first)
    }

    async fn names(&self, session: &mut Session) -> Result<Arc<Vec<String>>, DatabaseError> {
        if let Some(names) = lock(&self.names).as_ref() {
            return Ok(Arc::clone(names));
        }
        let tables = catalog::list(session).await?.into_iter();
        let tables = tables.filter(|table| table.summary.kind == TableKind::Table);
        let mut names: Vec<String> = tables.map(|table| table.summary.table).collect();
        names.sort_unstable();
        let names = Arc::new(names);
        *lock(&self.names) = Some(Arc::clone(&names));
        Ok(names)
    }

    async fn describe_all(
        &self,
        session: &mut Session,
        tables: &[String],
    ) -> Result<Vec<Result<Description, DatabaseError>>, DatabaseError> {
        if self.origins.is_some() {
            // Only its owner may have replaced it since, and another table would not be the one that was checked.
            trust::lock_to_read_again(session, OwnTable::Columns).await?;
            if origins(session).await? != self.origins {
                return Err(DatabaseError::Rewritten {
                    table: "tombolo.columns".to_owned(),
                });
            }
        }
        let place = self.server.place();
        catalog::describe_all(session, place, tables, self.origins.is_some()).await
    }
}

/// Returns the object identifier of the table of origins.
async fn origins(session: &mut Session) -> Result<Option<i64>, DatabaseError> {
    let row = session.row(query(ORIGINS)).await?;
    row.map(|row| column(&row, 0)).transpose()
}

/// Fails with [`DatabaseError::Rewritten`] if the rows that were read are not those of the view. The table is locked.
async fn check_storage(
    session: &mut Session,
    described: &Description,
) -> Result<(), DatabaseError> {
    let rewritten = query(REWRITTEN).bind(described.relation.oid);
    match session.row(rewritten).await? {
        None => Ok(()),
        Some(_) => Err(DatabaseError::Rewritten {
            table: described.relation.table.clone(),
        }),
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
        let (statement, types) = read_query::copy_statement(&described, read, self.server.view())?;
        let columns = read.table.columns.iter().zip(&types);
        let forms: Vec<Option<CellForm>> = columns
            .map(|(wanted, kind)| CellForm::of(kind, wanted))
            .collect();
        // Dropped, and so closed, unless the stream is read to its end.
        let mut reader = self.reader().await?;
        let table = &read.table.table;
        let session = &mut reader.session;
        let sent = copy_out::send_rows(session, &statement, &types, &forms, table, blocks).await?;
        if !sent {
            return Ok(());
        }
        let checked = check_storage(&mut reader.session, &described).await;
        self.give_back(reader).await;
        checked
    }
}
