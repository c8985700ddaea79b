//! PostgreSQL: described by its catalog, read and written with `COPY` in binary format.

mod address;
mod catalog;
mod codec;
mod connection;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod meta;
mod pooler;
mod read;
mod server;
mod snapshot;
mod target;
#[cfg(test)]
mod tests;
mod write;

pub use address::AddressError;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;

use self::address::Address;
use self::catalog::{Description, Relation};
use self::connection::{Session, column, query};
use self::meta::tables::OwnTable;
use self::meta::{maintenance, trust};
use self::server::{Purpose, Server};
use self::snapshot::PostgresSnapshot;
use self::target::PostgresTarget;
use super::{
    Database, DatabaseError, LoginView, Omission, OmissionReason, Reject, Snapshot, Target,
};
use crate::bindings::database::{RowCount, TableSummary};
use crate::bindings::types::{ColumnValues, Dialect, TableFacts, TableSchema, ValueKind};
use crate::digest::sha256;

/// The SQLSTATE of a statement that took longer than `statement_timeout`.
const CANCELED: &str = "57014";

/// Which server runs where: its start in microseconds tells it from copies of its files, which have the same names.
const FINGERPRINT: &str = "\
    SELECT pg_catalog.concat_ws(':', 'postgres', extract(epoch FROM pg_catalog.pg_postmaster_start_time())::pg_catalog.numeric, \
      d.oid::pg_catalog.text, d.datname::pg_catalog.text, n.oid::pg_catalog.text) \
    FROM pg_catalog.pg_database d, pg_catalog.pg_namespace n \
    WHERE d.datname = pg_catalog.current_database() AND n.nspname = $1";

/// The most tables that are counted in one statement.
const COUNTED_TOGETHER: usize = 50;

/// Begins a transaction in which each statement sees what is committed.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// A PostgreSQL database: the tables of the login's current schema.
pub struct PostgresDatabase {
    server: Arc<Server>,
}

impl PostgresDatabase {
    /// Connects to the database that a `postgres://` URL names. Fails with [`DatabaseError::Unreachable`] if it does
    /// not exist or does not answer.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        Self::open_view(url, LoginView::Whole).await
    }

    /// Connects as [`Self::open`] does, and says what of tables with policies is read.
    pub async fn open_view(url: &str, view: LoginView) -> Result<Self, DatabaseError> {
        let server = Arc::new(Server::open(url, view).await?);
        Ok(Self { server })
    }

    /// Fails with [`AddressError`] if a text is not the URL of a database. Nothing is looked up.
    pub fn check_url(url: &str) -> Result<(), AddressError> {
        Address::parse(url).map(|_| ())
    }

    /// Describes tables, with what Tombolo's own tables say of them.
    async fn described(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<Description, DatabaseError>>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let origins = trust::begin_to_read(&mut session, BEGIN_READING, OwnTable::Columns).await?;
        let place = self.server.place();
        let described = catalog::describe_all(&mut session, place, tables, origins).await?;
        session.run("COMMIT").await?;
        self.server.keep_session(session);
        Ok(described)
    }

    async fn described_one(&self, table: &str) -> Result<Description, DatabaseError> {
        let described = self.described(&[table.to_owned()]).await?;
        catalog::only(described, self.server.place(), table)
    }

    /// Counts the rows of some tables in one statement; none if that takes too long, or if one of them cannot be counted.
    async fn count_together(
        session: &mut Session,
        relations: &[&Relation],
    ) -> Result<Option<Vec<u64>>, DatabaseError> {
        let counts: Vec<String> = relations
            .iter()
            .map(|relation| format!("(SELECT count(*) FROM {})", relation.only()))
            .collect();
        let sql = format!("SELECT ARRAY[{}]::int8[]", counts.join(", "));
        match in_time(session, sql).await {
            Ok(Some(row)) => {
                let counts: Vec<i64> = column(&row, 0)?;
                Ok(Some(counts.into_iter().map(number).collect()))
            }
            Ok(None) | Err(DatabaseError::Refused(_) | DatabaseError::Busy(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn identity(&self) -> String {
        self.server.identity()
    }

    async fn fingerprint(&self) -> Result<String, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let home = session.home().map(str::to_owned);
        let row = session.row(query(FINGERPRINT).bind(home)).await?;
        self.server.keep_session(session);
        let found: String = row.map_or(Ok(String::new()), |row| column(&row, 0))?;
        Ok(hex::encode(sha256(found.as_bytes())))
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let listed = catalog::list(&mut session).await?;
        self.server.keep_session(session);
        // A table with policies is offered, so that reading it says why it is refused.
        let offered = listed
            .into_iter()
            .filter(|one| matches!(one.omission, None | Some(OmissionReason::Filtered)));
        Ok(offered.map(|one| one.summary).collect())
    }

    async fn omissions(&self) -> Result<Vec<Omission>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let listed = catalog::list(&mut session).await?;
        self.server.keep_session(session);
        let whole = self.server.view() == LoginView::Whole;
        let omissions = listed.into_iter().filter_map(|one| {
            let reason = one.omission?;
            let left_out = reason != OmissionReason::Filtered || !whole;
            left_out.then_some(Omission {
                table: one.summary.table,
                reason,
            })
        });
        Ok(omissions.collect())
    }

    async fn tables_elsewhere(&self) -> Result<Vec<(String, u64)>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let schemas = catalog::elsewhere::count(&mut session).await?;
        self.server.keep_session(session);
        Ok(schemas)
    }

    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError> {
        Ok(self.described_one(table).await?.schema)
    }

    async fn describe_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<TableSchema, DatabaseError>>, DatabaseError> {
        let described = self.described(tables).await?;
        let schemas = described.into_iter();
        Ok(schemas
            .map(|described| described.map(|described| described.schema))
            .collect())
    }

    async fn facts(&self, table: &str) -> Result<Option<TableFacts>, DatabaseError> {
        let facts = self.facts_all(&[table.to_owned()]).await?;
        catalog::only(facts, self.server.place(), table)
    }

    async fn facts_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<Option<TableFacts>, DatabaseError>>, DatabaseError> {
        let described = self.described(tables).await?;
        let relations = described.iter().flatten();
        let relations: Vec<i64> = relations.map(|table| table.relation.oid).collect();
        let mut session = self.server.take_session().await?;
        let mut features = catalog::features::of_tables(&mut session, &relations).await?;
        self.server.keep_session(session);
        let facts = described.into_iter().map(|described| {
            let described = described?;
            // The type of every other column says what it holds.
            let wide = described.widened().into_iter();
            let values = wide.map(|column| ColumnValues {
                column,
                kinds: vec![ValueKind::Text, ValueKind::TextWithNul, ValueKind::Bytes],
            });
            let features = features.remove(&described.relation.oid);
            Ok(Some(TableFacts {
                values: values.collect(),
                features: features.unwrap_or_default(),
            }))
        });
        Ok(facts.collect())
    }

    async fn known_types(&self, types: &[String]) -> Result<Vec<String>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let known = catalog::known_types(&mut session, types).await?;
        self.server.keep_session(session);
        Ok(known)
    }

    async fn widened(&self, table: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(self.described_one(table).await?.widened())
    }

    async fn count(&self, table: &str) -> Result<RowCount, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let relation = catalog::find(&mut session, self.server.place(), table).await?;
        let counted = count(&mut session, &relation, self.server.view()).await?;
        self.server.keep_session(session);
        Ok(counted)
    }

    async fn count_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<RowCount, DatabaseError>>, DatabaseError> {
        let mut session = self.server.take_session().await?;
        let found = catalog::find_all(&mut session, self.server.place(), tables).await?;
        let relations: Vec<&Relation> = found.iter().flatten().collect();
        let mut counts = HashMap::with_capacity(relations.len());
        for together in relations.chunks(COUNTED_TOGETHER) {
            let whole = self.server.view() == LoginView::Whole;
            let counted = match whole && together.iter().any(|relation| relation.filtered) {
                true => None,
                false => Self::count_together(&mut session, together).await?,
            };
            match counted {
                Some(rows) => {
                    let exact = rows.into_iter().map(|rows| RowCount { rows, exact: true });
                    let oids = together.iter().map(|relation| relation.oid);
                    counts.extend(oids.zip(exact.map(Ok)));
                }
                None => {
                    for relation in together {
                        counts.insert(
                            relation.oid,
                            count(&mut session, relation, self.server.view()).await,
                        );
                    }
                }
            }
        }
        self.server.keep_session(session);
        let counted = found.into_iter().zip(tables).map(|(found, table)| {
            let counted = counts.remove(&found?.oid);
            counted.unwrap_or_else(|| Err(catalog::missing(self.server.place(), table)))
        });
        Ok(counted.collect())
    }

    fn writers(&self) -> usize {
        self.server.writers()
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError> {
        let snapshot = PostgresSnapshot::open(Arc::clone(&self.server)).await?;
        Ok(Box::new(snapshot))
    }

    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError> {
        let target = PostgresTarget::open(Arc::clone(&self.server)).await?;
        Ok(Box::new(target))
    }

    async fn rejects(&self, limit: u32) -> Result<Vec<Reject>, DatabaseError> {
        let mut session = self.server.connect(Purpose::Read).await?;
        maintenance::rejects(&mut session, limit).await
    }

    async fn clean(&self) -> Result<Vec<String>, DatabaseError> {
        let mut session = self.server.connect(Purpose::Write).await?;
        maintenance::clean(&mut session).await
    }
}

async fn count(
    session: &mut Session,
    relation: &Relation,
    view: LoginView,
) -> Result<RowCount, DatabaseError> {
    let only = relation.only();
    if relation.filtered && view == LoginView::Whole {
        return statistics(session, relation).await;
    }
    match in_time(session, format!("SELECT count(*) FROM {only}")).await? {
        Some(row) => Ok(RowCount {
            rows: number(column(&row, 0)?),
            exact: true,
        }),
        None => estimate(session, relation).await,
    }
}

/// Returns the planner's estimate, which follows the table's size; where a lock blocks even that, the statistics alone.
async fn estimate(session: &mut Session, relation: &Relation) -> Result<RowCount, DatabaseError> {
    let only = relation.only();
    let explained = in_time(session, format!("EXPLAIN (FORMAT JSON) SELECT FROM {only}")).await?;
    let planned = explained.as_ref().and_then(planned_rows);
    match planned {
        Some(rows) => Ok(RowCount { rows, exact: false }),
        None => statistics(session, relation).await,
    }
}

async fn statistics(session: &mut Session, relation: &Relation) -> Result<RowCount, DatabaseError> {
    let sql = "SELECT greatest(reltuples, 0)::float8::int8 FROM pg_catalog.pg_class WHERE oid = $1::int8::oid";
    let row = session.row(query(sql).bind(relation.oid)).await?;
    let rows = number(row.map_or(Ok(0), |row| column(&row, 0))?);
    Ok(RowCount { rows, exact: false })
}

fn planned_rows(explained: &PgRow) -> Option<u64> {
    let text = explained.try_get_raw(0).ok()?.as_str().ok()?;
    let plan: serde_json::Value = serde_json::from_str(text).ok()?;
    plan.pointer("/0/Plan/Plan Rows")?.as_u64()
}

/// Returns a statement's only row; none if it takes longer than 200 ms.
async fn in_time(session: &mut Session, sql: String) -> Result<Option<PgRow>, DatabaseError> {
    session
        .run("BEGIN READ ONLY; SET LOCAL statement_timeout = 200")
        .await?;
    let row = session.row(query(sql)).await;
    session.run("ROLLBACK").await?;
    match row {
        Err(error) if error::code(&error) == Some(CANCELED) => Ok(None),
        row => row,
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
