//! Creates Tombolo's own tables in a target.

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::database::DatabaseError;
use crate::database::sqlite::error::refused;

/// The present time, as ISO 8601 in UTC.
pub const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ')";

/// The names of Tombolo's own tables, with the statements that create them.
pub const OWN_TABLES: [(&str, &str); 3] = [
    (
        "tombolo_ledger",
        "CREATE TABLE IF NOT EXISTS main.tombolo_ledger (
            run TEXT NOT NULL, table_name TEXT NOT NULL, next_seq INTEGER NOT NULL DEFAULT 0, last_key BLOB,
            created INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL DEFAULT 0, same INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
            digest BLOB NOT NULL, unread INTEGER NOT NULL DEFAULT FALSE, altered INTEGER NOT NULL DEFAULT FALSE, snapshot TEXT, snapshots INTEGER NOT NULL DEFAULT 0,
            made INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT FALSE, description TEXT NOT NULL, updated_at TEXT NOT NULL,
            PRIMARY KEY (run, table_name))",
    ),
    (
        "tombolo_rejects",
        "CREATE TABLE IF NOT EXISTS main.tombolo_rejects (
            run TEXT NOT NULL, table_name TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
            cells BLOB NOT NULL, rejected_at TEXT NOT NULL, PRIMARY KEY (run, table_name, row))",
    ),
    (
        "tombolo_columns",
        "CREATE TABLE IF NOT EXISTS main.tombolo_columns (
            table_name TEXT NOT NULL, column_name TEXT NOT NULL, origin TEXT NOT NULL, numbered INTEGER NOT NULL,
            PRIMARY KEY (table_name, column_name))",
    ),
];

/// Creates those of Tombolo's own tables that are missing.
pub async fn create(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    for (_, statement) in OWN_TABLES {
        execute(connection, statement.to_owned()).await?;
    }
    Ok(())
}

/// Returns which of Tombolo's own tables exist, sorted by name.
pub async fn own_tables(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let names: Vec<_> = OWN_TABLES
        .iter()
        .map(|(table, _)| format!("'{table}'"))
        .collect();
    let sql = format!(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name IN ({}) ORDER BY name",
        names.join(", ")
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))
}

/// Runs statements without parameters.
pub async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), DatabaseError> {
    sqlx::query(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
    Ok(())
}
