//! Removes Tombolo's own tables.

use sqlx::SqliteConnection;

use super::tables::{execute, own_tables};
use crate::database::DatabaseError;

/// Drops all of Tombolo's own tables. Returns their names.
pub async fn clean(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
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
