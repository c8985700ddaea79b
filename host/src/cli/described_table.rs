//! A table that was named on the command line.

use tombolo::bindings::types::{Failure, TableSchema};
use tombolo::database::Database;
use tombolo::failure::{ErrorCode, nearest};

/// Describes a table. If there is none of this name, the hint proposes the nearest one.
pub async fn describe(database: &dyn Database, table: &str) -> Result<TableSchema, Failure> {
    let error = match database.describe(table).await {
        Ok(schema) => return Ok(schema),
        Err(error) => error,
    };
    let mut failure = Failure::from(error);
    if failure.code == ErrorCode::NoSuchTable
        && let Ok(listed) = database.tables().await
        && let Some(meant) = nearest(table, listed.iter().map(|one| one.table.as_str()))
    {
        failure.hint = format!("did you mean {meant:?}?");
    }
    Err(failure)
}
