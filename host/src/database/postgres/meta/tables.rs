//! Creates Tombolo's own tables in a target, one session at a time.

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;

/// `CREATE … IF NOT EXISTS` fails when two sessions run it at once; this lock, named in ASCII, lets only one of them run.
const PREPARE_LOCK: i64 = i64::from_be_bytes(*b"tombolo\0");

const CREATE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS tombolo; ";

const CREATE_TABLES: &str = "\
    CREATE TABLE IF NOT EXISTS tombolo.ledger ( \
      run text NOT NULL, table_name text NOT NULL, next_seq bigint NOT NULL DEFAULT 0, last_key bytea, \
      created bigint NOT NULL DEFAULT 0, updated bigint NOT NULL DEFAULT 0, same bigint NOT NULL DEFAULT 0, \
      skipped bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0, digest bytea NOT NULL, snapshot text, \
      snapshots int NOT NULL DEFAULT 0, direct boolean NOT NULL DEFAULT true, \
      unread boolean NOT NULL DEFAULT false, altered boolean NOT NULL DEFAULT false, changed text NOT NULL DEFAULT '{}', \
      made boolean NOT NULL, done boolean NOT NULL DEFAULT false, \
      description text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, table_name)); \
    CREATE TABLE IF NOT EXISTS tombolo.rejects ( \
      run text NOT NULL, table_name text NOT NULL, \"row\" bigint NOT NULL, key text NOT NULL, reason text NOT NULL, \
      cells bytea NOT NULL, rejected_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, table_name, \"row\")); \
    CREATE TABLE IF NOT EXISTS tombolo.columns ( \
      table_schema text NOT NULL, table_name text NOT NULL, column_name text NOT NULL, origin text NOT NULL, \
      stored_as text NOT NULL, widened boolean NOT NULL DEFAULT false, PRIMARY KEY (table_schema, table_name, column_name))";

/// The number of Tombolo's own tables.
const OWN_TABLES: usize = 3;

/// Creates Tombolo's own tables where they are missing. Fails with [`DatabaseError::NoLedger`] if the login may not.
pub(in crate::database::postgres) async fn prepare(
    session: &mut Session,
) -> Result<(), DatabaseError> {
    // CREATE needs the privilege even where there is nothing to create.
    if existing(session).await?.len() == OWN_TABLES {
        return Ok(());
    }
    session.run("BEGIN").await?;
    let created = create(session).await;
    session.end_transaction(created).await
}

async fn create(session: &mut Session) -> Result<(), DatabaseError> {
    let create_schema = match has_schema(session).await? {
        true => "",
        false => CREATE_SCHEMA,
    };
    lock(session).await?;
    let created = session.run(format!("{create_schema}{CREATE_TABLES}")).await;
    created.map(|_| ()).map_err(|error| match error {
        DatabaseError::Refused(refusal) if refusal.code.as_deref() == Some(error::DENIED) => {
            DatabaseError::NoLedger(refusal)
        }
        error => error,
    })
}

async fn has_schema(session: &mut Session) -> Result<bool, DatabaseError> {
    let schema = query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'tombolo'");
    Ok(session.row(schema).await?.is_some())
}

/// Waits until no other session creates what several need, and keeps others waiting until the transaction's end.
pub(in crate::database::postgres) async fn lock(
    session: &mut Session,
) -> Result<(), DatabaseError> {
    session
        .run(format!(
            "SELECT pg_catalog.pg_advisory_xact_lock({PREPARE_LOCK})"
        ))
        .await
        .map(|_| ())
}

/// Returns the names of the tables that exist, with their schema, sorted.
pub(in crate::database::postgres) async fn existing(
    session: &mut Session,
) -> Result<Vec<String>, DatabaseError> {
    let rows = session
        .rows(query(
            "SELECT 'tombolo.' || c.relname AS name FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'tombolo' AND c.relname IN ('ledger', 'rejects', 'columns') AND c.relkind = 'r' \
             ORDER BY c.relname",
        ))
        .await?;
    rows.iter().map(|row| column(row, "name")).collect()
}
