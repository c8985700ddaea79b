//! Removes Tombolo's own tables.

use sqlx::SqliteConnection;

use super::tables::{check_all, execute};
use crate::database::DatabaseError;

/// Drops all of Tombolo's own tables. Returns their names. Fails with `NotAsMade` if one of them is something else.
pub async fn clean(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let tables = check_all(connection).await?;
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
