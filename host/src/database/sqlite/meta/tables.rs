//! Tombolo's own tables in a SQLite file: made where they are missing, and used only if they are exactly as they are made.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use crate::database::DatabaseError;
use crate::database::sqlite::error::refused;

/// The present time, as ISO 8601 in UTC.
pub const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ')";

/// How far each run is with each table.
pub const LEDGER: &str = "tombolo_ledger";

/// Rejected rows.
pub const REJECTS: &str = "tombolo_rejects";

/// The origins of columns.
pub const COLUMNS: &str = "tombolo_columns";

/// The names of Tombolo's own tables.
pub const ALL: [&str; 3] = [LEDGER, REJECTS, COLUMNS];

/// What follows the name in the statement that creates each table.
const DEFINITIONS: [(&str, &str); 3] = [
    (
        LEDGER,
        "(
            run TEXT NOT NULL, table_name TEXT NOT NULL, next_seq INTEGER NOT NULL DEFAULT 0, last_key BLOB,
            created INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL DEFAULT 0, same INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
            digest BLOB NOT NULL, unread INTEGER NOT NULL DEFAULT FALSE, altered INTEGER NOT NULL DEFAULT FALSE, snapshot TEXT, snapshots INTEGER NOT NULL DEFAULT 0,
            made INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT FALSE, description TEXT NOT NULL, updated_at TEXT NOT NULL,
            PRIMARY KEY (run, table_name))",
    ),
    (
        REJECTS,
        "(
            run TEXT NOT NULL, table_name TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
            cells BLOB NOT NULL, rejected_at TEXT NOT NULL, PRIMARY KEY (run, table_name, row))",
    ),
    (
        COLUMNS,
        "(
            table_name TEXT NOT NULL, column_name TEXT NOT NULL, origin TEXT NOT NULL, numbered INTEGER NOT NULL,
            PRIMARY KEY (table_name, column_name))",
    ),
];

/// Creates those of Tombolo's own tables that are missing. Fails with `NotAsMade` if one of them cannot be used.
pub async fn create(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    let existing = check_all(connection).await?;
    for (table, definition) in DEFINITIONS {
        if !existing.iter().any(|name| name == table) {
            execute(
                connection,
                format!("CREATE TABLE main.{table} {definition}"),
            )
            .await?;
        }
    }
    Ok(())
}

/// Checks all of Tombolo's own tables before they are written, and returns which exist, sorted by name. Fails with
/// `NotAsMade` as [`existing`] does, and if a table of others refers to one of them.
pub async fn check_all(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let found = existing(connection, &ALL).await?;
    if found.is_empty() {
        return Ok(found);
    }
    // A foreign key can delete rows of its own table.
    let sql = format!(
        "SELECT l.name, f.\"table\" FROM main.sqlite_schema AS l, pragma_foreign_key_list(l.name, 'main') AS f
         WHERE l.type = 'table' AND l.rootpage > 0 AND f.\"table\" COLLATE NOCASE IN ({}) LIMIT 1",
        quoted(&ALL)
    );
    let referring = sqlx::query(AssertSqlSafe(sql))
        .fetch_optional(connection)
        .await
        .map_err(|error| refused(&error))?;
    match referring {
        None => Ok(found),
        Some(row) => {
            let (table, own) = (text(&row, 0)?, text(&row, 1)?);
            Err(DatabaseError::NotAsMade {
                object: format!("table {table:?}"),
                problem: format!("it has a foreign key to {own:?}"),
            })
        }
    }
}

/// Returns which of these tables of Tombolo exist, sorted by name.
///
/// Fails with `NotAsMade` if one of the names is that of something else, if a table has other columns or constraints than
/// Tombolo gives it, or if it has triggers or indexes.
pub async fn existing(
    connection: &mut SqliteConnection,
    tables: &[&str],
) -> Result<Vec<String>, DatabaseError> {
    let names = quoted(tables);
    let sql = format!(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema
         WHERE name COLLATE NOCASE IN ({names}) OR tbl_name COLLATE NOCASE IN ({names}) ORDER BY name"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(|error| refused(&error))?;
    let mut found = Vec::new();
    for row in &rows {
        let (kind, name, table) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
        let sql: Option<String> = row.try_get(3).map_err(|error| refused(&error))?;
        let problem = match (kind.as_str(), sql) {
            // The index of a primary key has no statement.
            ("index", None) => continue,
            ("table", Some(sql)) if is_as_made(&name, &sql) => {
                found.push(name);
                continue;
            }
            ("table", _) => "Tombolo makes it with other columns and constraints".to_owned(),
            ("view", _) => "Tombolo has a table of this name".to_owned(),
            _ => format!("Tombolo makes nothing of this kind for {table:?}"),
        };
        return Err(DatabaseError::NotAsMade {
            object: format!("{kind} {name:?}"),
            problem,
        });
    }
    Ok(found)
}

/// Returns whether a stored statement is the one that creates an own table.
fn is_as_made(name: &str, sql: &str) -> bool {
    let mut definitions = DEFINITIONS.iter();
    let definition = definitions.find(|(table, _)| *table == name);
    let written = sql.strip_prefix("CREATE TABLE ");
    let written = written.and_then(|rest| rest.strip_prefix(name));
    match (definition, written) {
        (Some((_, definition)), Some(written)) => written
            .split_ascii_whitespace()
            .eq(definition.split_ascii_whitespace()),
        _ => false,
    }
}

fn quoted(tables: &[&str]) -> String {
    let names: Vec<_> = tables.iter().map(|table| format!("'{table}'")).collect();
    names.join(", ")
}

fn text(row: &SqliteRow, index: usize) -> Result<String, DatabaseError> {
    row.try_get(index).map_err(|error| refused(&error))
}

/// Runs statements without parameters.
pub async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), DatabaseError> {
    sqlx::query(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(|error| refused(&error))?;
    Ok(())
}
