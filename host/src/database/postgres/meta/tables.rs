//! Tombolo's own tables in a target: what they are, and how they are created, one session at a time.

use super::trust;
use crate::database::DatabaseError;
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;

/// `CREATE … IF NOT EXISTS` fails when two sessions run it at once; this lock, named in ASCII, lets only one of them
/// run.
const PREPARE_LOCK: i64 = i64::from_be_bytes(*b"tombolo\0");

/// One of Tombolo's own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum OwnTable {
    Columns,
    Ledger,
    Rejects,
}

/// A column of one of them: its type as `format_type` prints it, whether it may be NULL, and its default as
/// `pg_get_expr` prints it.
pub(super) struct OwnColumn {
    pub name: &'static str,
    pub kind: &'static str,
    pub nullable: bool,
    pub default: Option<&'static str>,
}

const fn required(name: &'static str, kind: &'static str) -> OwnColumn {
    OwnColumn {
        name,
        kind,
        nullable: false,
        default: None,
    }
}

const fn nullable(name: &'static str, kind: &'static str) -> OwnColumn {
    OwnColumn {
        nullable: true,
        ..required(name, kind)
    }
}

const fn with_default(name: &'static str, kind: &'static str, default: &'static str) -> OwnColumn {
    OwnColumn {
        default: Some(default),
        ..required(name, kind)
    }
}

const LEDGER: &[OwnColumn] = &[
    required("run", "text"),
    required("table_name", "text"),
    with_default("next_seq", "bigint", "0"),
    nullable("last_key", "bytea"),
    with_default("created", "bigint", "0"),
    with_default("updated", "bigint", "0"),
    with_default("same", "bigint", "0"),
    with_default("skipped", "bigint", "0"),
    with_default("failed", "bigint", "0"),
    required("digest", "bytea"),
    nullable("snapshot", "text"),
    with_default("snapshots", "integer", "0"),
    with_default("direct", "boolean", "true"),
    with_default("unread", "boolean", "false"),
    with_default("altered", "boolean", "false"),
    with_default("changed", "text", "'{}'::text"),
    required("made", "boolean"),
    with_default("done", "boolean", "false"),
    required("description", "text"),
    with_default("updated_at", "timestamp with time zone", "now()"),
];

const REJECTS: &[OwnColumn] = &[
    required("run", "text"),
    required("table_name", "text"),
    required("row", "bigint"),
    required("key", "text"),
    required("reason", "text"),
    required("cells", "bytea"),
    with_default("rejected_at", "timestamp with time zone", "now()"),
];

const COLUMNS: &[OwnColumn] = &[
    required("table_schema", "text"),
    required("table_name", "text"),
    required("column_name", "text"),
    required("origin", "text"),
    required("stored_as", "text"),
    with_default("widened", "boolean", "false"),
];

impl OwnTable {
    /// All of them, sorted by name.
    pub const ALL: [Self; 3] = [Self::Columns, Self::Ledger, Self::Rejects];

    /// Returns its name without its schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Ledger => "ledger",
            Self::Rejects => "rejects",
        }
    }

    pub(super) fn columns(self) -> &'static [OwnColumn] {
        match self {
            Self::Columns => COLUMNS,
            Self::Ledger => LEDGER,
            Self::Rejects => REJECTS,
        }
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Columns => "table_schema, table_name, column_name",
            Self::Ledger => "run, table_name",
            Self::Rejects => "run, table_name, \"row\"",
        }
    }

    fn create(self) -> String {
        let columns: String = self
            .columns()
            .iter()
            .map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                let default = column.default.map(|default| format!(" DEFAULT {default}"));
                let default = default.unwrap_or_default();
                format!("\"{}\" {}{null}{default}, ", column.name, column.kind)
            })
            .collect();
        format!(
            "CREATE TABLE tombolo.{} ({columns}PRIMARY KEY ({}))",
            self.name(),
            self.key()
        )
    }
}

/// Creates Tombolo's own tables where they are missing. Fails with [`DatabaseError::NoLedger`] if the login may not,
/// and with [`DatabaseError::NotAsMade`] if something else has their names.
pub(in crate::database::postgres) async fn prepare(
    session: &mut Session,
) -> Result<(), DatabaseError> {
    // CREATE needs the privilege even where there is nothing to create.
    if trust::verify(session).await?.tables.len() == OwnTable::ALL.len() {
        return Ok(());
    }
    session.run("BEGIN").await?;
    let created = create(session).await;
    session.end_transaction(created).await
}

async fn create(session: &mut Session) -> Result<(), DatabaseError> {
    lock(session).await?;
    let found = trust::verify(session).await?;
    let refused = |error| match error {
        DatabaseError::Refused(refusal) if refusal.code.as_deref() == Some(error::DENIED) => {
            DatabaseError::NoLedger(refusal)
        }
        error => error,
    };
    if !found.schema {
        let schema = session.run("CREATE SCHEMA tombolo").await;
        schema.map_err(refused)?;
        trust::withdraw_from_schema(session).await?;
    }
    let missing = || OwnTable::ALL.into_iter().filter(|table| !found.has(*table));
    for table in missing() {
        session.run(table.create()).await.map_err(refused)?;
    }
    for table in missing() {
        trust::withdraw_from_table(session, table).await?;
    }
    // Whatever another login made meanwhile.
    trust::lock_to_write(session).await
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
