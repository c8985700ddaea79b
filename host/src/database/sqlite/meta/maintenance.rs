//! What operators see of Tombolo's own tables: rejected rows, and their removal with all the rest.

use sqlx::SqliteConnection;

use super::tables::{execute, own_tables};
use crate::database::DatabaseError;

/// Removes all of Tombolo's own tables.
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
