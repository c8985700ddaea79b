//! What Tombolo keeps in a target: how far each run came, and where columns came from.

use super::connection::{Session, column, query};
use super::schema::Description;
use crate::bindings::types::TableSchema;
use crate::database::{ChunkCounts, DatabaseError};

/// `CREATE … IF NOT EXISTS` fails when two sessions run it at once; this lock, named in ASCII, makes them take turns.
const PREPARE_LOCK: i64 = i64::from_be_bytes(*b"tombolo\0");

const CREATE: &str = "\
    CREATE SCHEMA IF NOT EXISTS tombolo; \
    CREATE TABLE IF NOT EXISTS tombolo.ledger ( \
      run text NOT NULL, table_name text NOT NULL, next_seq bigint NOT NULL DEFAULT 0, last_key bytea, \
      received bigint NOT NULL DEFAULT 0, created bigint NOT NULL DEFAULT 0, updated bigint NOT NULL DEFAULT 0, \
      same bigint NOT NULL DEFAULT 0, skipped bigint NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false, \
      updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, table_name)); \
    CREATE TABLE IF NOT EXISTS tombolo.columns ( \
      table_schema text NOT NULL, table_name text NOT NULL, column_name text NOT NULL, origin text NOT NULL, \
      stored_as text NOT NULL, PRIMARY KEY (table_schema, table_name, column_name))";

/// Makes both tables, where they are missing.
pub(super) async fn prepare(session: &mut Session) -> Result<(), DatabaseError> {
    let row = session
        .row(query(
            "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'tombolo' AND c.relname IN ('ledger', 'columns') AND c.relkind = 'r'",
        ))
        .await?;
    // CREATE asks for the right to create before it sees that there is nothing to do.
    let existing: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
    if existing == 2 {
        return Ok(());
    }
    session
        .run(format!(
            "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({PREPARE_LOCK}); {CREATE}; COMMIT"
        ))
        .await
        .map(|_| ())
}

/// Keeps the origins of a new table's columns, where they are not simply the types they now have.
pub(super) async fn keep_origins(
    session: &mut Session,
    made: &Description,
    wanted: &TableSchema,
) -> Result<(), DatabaseError> {
    let relation = &made.relation;
    session
        .execute(
            query("DELETE FROM tombolo.columns WHERE table_schema = $1 AND table_name = $2")
                .bind(relation.schema.clone())
                .bind(relation.table.clone()),
        )
        .await?;
    for wanted in &wanted.columns {
        let Some((_, kind)) = made.column(&wanted.name) else {
            continue;
        };
        if wanted.origin == kind.origin() {
            continue;
        }
        session
            .execute(
                query("INSERT INTO tombolo.columns VALUES ($1, $2, $3, $4, $5)")
                    .bind(relation.schema.clone())
                    .bind(relation.table.clone())
                    .bind(wanted.name.clone())
                    .bind(wanted.origin.clone())
                    .bind(kind.declared.clone()),
            )
            .await?;
    }
    Ok(())
}

/// One table of one run.
#[derive(Clone, Debug)]
pub(super) struct LedgerEntry {
    run: String,
    table: String,
    next: i64,
}

impl LedgerEntry {
    /// Finds the entry or makes it.
    pub(super) async fn enter(
        session: &mut Session,
        run: &str,
        table: &str,
    ) -> Result<Self, DatabaseError> {
        session
            .execute(
                query("INSERT INTO tombolo.ledger (run, table_name) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(run.to_owned())
                    .bind(table.to_owned()),
            )
            .await?;
        let row = session
            .row(
                query("SELECT next_seq FROM tombolo.ledger WHERE run = $1 AND table_name = $2")
                    .bind(run.to_owned())
                    .bind(table.to_owned()),
            )
            .await?;
        let next = row.map_or(Ok(0), |row| column(&row, 0))?;
        Ok(Self {
            run: run.to_owned(),
            table: table.to_owned(),
            next,
        })
    }

    /// Counts a chunk, inside of its transaction. [`Self::advanced`] follows its commit.
    pub(super) async fn advance(
        &self,
        session: &mut Session,
        received: u64,
        counts: ChunkCounts,
        last_key: Option<Vec<u8>>,
    ) -> Result<(), DatabaseError> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let changed = session
            .execute(
                query(
                    "UPDATE tombolo.ledger SET next_seq = next_seq + 1, last_key = $4, received = received + $5, \
                     created = created + $6, updated = updated + $7, same = same + $8, skipped = skipped + $9, \
                     updated_at = now() WHERE run = $1 AND table_name = $2 AND next_seq = $3",
                )
                .bind(self.run.clone())
                .bind(self.table.clone())
                .bind(self.next)
                .bind(last_key)
                .bind(number(received))
                .bind(number(counts.created))
                .bind(number(counts.updated))
                .bind(number(counts.same))
                .bind(number(counts.skipped)),
            )
            .await?;
        if changed == 1 {
            return Ok(());
        }
        Err(DatabaseError::LedgerTaken {
            table: self.table.clone(),
        })
    }

    /// The chunk that was counted is committed.
    pub(super) fn advanced(&mut self) {
        self.next += 1;
    }

    /// Marks the table as complete.
    pub(super) async fn finish(&self, session: &mut Session) -> Result<(), DatabaseError> {
        let changed = session
            .execute(
                query(
                    "UPDATE tombolo.ledger SET done = true, updated_at = now() \
                     WHERE run = $1 AND table_name = $2 AND next_seq = $3",
                )
                .bind(self.run.clone())
                .bind(self.table.clone())
                .bind(self.next),
            )
            .await?;
        if changed == 1 {
            return Ok(());
        }
        Err(DatabaseError::LedgerTaken {
            table: self.table.clone(),
        })
    }
}
