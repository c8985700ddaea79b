//! The origins of columns that Tombolo created.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::bindings::types::{Generation, TableSchema};
use crate::database::sqlite::catalog::{Table, get, rows};
use crate::database::sqlite::error::refused;
use crate::database::sqlite::meta::tables::{COLUMNS, existing};
use crate::database::{DatabaseError, Origin};

/// Stores the origin of each column of a new table that differs from its declared type, and whether the column was
/// numbered there.
pub async fn store(
    connection: &mut SqliteConnection,
    created: &Table,
    incoming: &TableSchema,
) -> Result<(), DatabaseError> {
    // A table of this name may have existed before.
    sqlx::query("DELETE FROM main.tombolo_columns WHERE table_name = ?")
        .bind(incoming.table.clone())
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    for (local, declared) in created.schema.columns.iter().zip(&created.declared) {
        let declared = Origin::Sqlite(declared.clone()).to_string();
        let mut columns = incoming.columns.iter();
        let Some(column) =
            columns.find(|column| column.name == local.name && column.origin != declared)
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
        .bind(local.name.clone())
        .bind(column.origin.clone())
        .bind(numbered)
        .execute(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// What is stored for a column.
pub struct StoredOrigin {
    /// Its type in the database that it comes from.
    pub origin: String,
    /// Whether that database numbered it.
    pub numbered: bool,
}

/// Returns what is stored for the columns of a table, by column.
pub async fn of_table(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<HashMap<String, StoredOrigin>, DatabaseError> {
    if existing(connection, &[COLUMNS]).await?.is_empty() {
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
        let stored = StoredOrigin {
            origin: get(row, 1)?,
            numbered: get(row, 2)?,
        };
        Ok((get(row, 0)?, stored))
    })
    .collect()
}
