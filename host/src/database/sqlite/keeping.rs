//! What operators see of Tombolo's own tables: rejected rows, and their removal with all the rest.

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::error::refused;
use super::ledger::{OWN_TABLES, execute};
use crate::database::{DatabaseError, Reject};

/// Rejected rows, oldest first.
pub(super) async fn rejects(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<Reject>, DatabaseError> {
    let own = own_tables(connection).await?;
    if !own.iter().any(|table| table == "tombolo_rejects") {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT run, table_name, row, key, reason, cells FROM main.tombolo_rejects
         ORDER BY rejected_at, run, table_name, row LIMIT ?",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(|error| refused(&error))?;
    rows.iter()
        .map(|row| {
            let number: i64 = row.try_get(2)?;
            Ok(Reject {
                run: row.try_get(0)?,
                table: row.try_get(1)?,
                row: u64::try_from(number).unwrap_or_default(),
                key: row.try_get(3)?,
                reason: row.try_get(4)?,
                cells: row.try_get(5)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| refused(&error))
}

/// Removes all of Tombolo's own tables.
pub(super) async fn clean(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let tables = own_tables(connection).await?;
    if tables.is_empty() {
        return Ok(tables);
    }
    let drops: String = tables
        .iter()
        .map(|table| format!("DROP TABLE main.{table}; "))
        .collect();
    let dropped = execute(connection, format!("BEGIN IMMEDIATE; {drops} COMMIT")).await;
    dropped.map(|()| tables)
}

async fn own_tables(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
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
