//! Where the columns of tables that were made here come from.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::bindings::types::{Generation, TableSchema};
use crate::database::DatabaseError;
use crate::database::sqlite::catalog::{Table, get, rows};
use crate::database::sqlite::error::refused;

/// Keeps the origins of a new table's columns, where they are not simply the types they now have, and whether they were
/// numbered there.
pub async fn keep(
    connection: &mut SqliteConnection,
    made: &Table,
    incoming: &TableSchema,
) -> Result<(), DatabaseError> {
    // A table of this name may have been here before.
    sqlx::query("DELETE FROM main.tombolo_columns WHERE table_name = ?")
        .bind(incoming.table.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    for (here, declared) in made.schema.columns.iter().zip(&made.declared) {
        let declared = format!("sqlite:{declared}");
        let mut columns = incoming.columns.iter();
        let Some(column) =
            columns.find(|column| column.name == here.name && column.origin != declared)
        else {
            continue;
        };
        let numbered = matches!(
            column.generation,
            Generation::IdentityAlways | Generation::IdentityDefault
        );
        sqlx::query(
            "INSERT INTO main.tombolo_columns (table_name, column_name, origin, numbered) VALUES (?, ?, ?, ?)",
        )
        .bind(incoming.table.clone())
        .bind(here.name.clone())
        .bind(column.origin.clone())
        .bind(numbered)
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// What a column was where it comes from.
pub struct Kept {
    /// Its type, with its database.
    pub origin: String,
    /// Whether its database numbered it.
    pub numbered: bool,
}

/// What Tombolo kept about where the columns of a table come from.
pub async fn of_table(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<HashMap<String, Kept>, DatabaseError> {
    let kept = rows(
        connection,
        "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name = ?",
        "tombolo_columns",
    )
    .await?;
    if kept.is_empty() {
        return Ok(HashMap::new());
    }
    rows(
        connection,
        "SELECT column_name, origin, numbered FROM main.tombolo_columns WHERE table_name = ?",
        table,
    )
    .await?
    .iter()
    .map(|row| {
        let kept = Kept {
            origin: get(row, 1)?,
            numbered: get(row, 2)?,
        };
        Ok((get(row, 0)?, kept))
    })
    .collect()
}
