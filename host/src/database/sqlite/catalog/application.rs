//! What only the application of a database has: a table that needs it can be read, and not written.

use sqlx::SqliteConnection;

use super::{Table, get, rows};
use crate::bindings::types::Generation;
use crate::database::sqlite::collations::is_built_in;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{DatabaseError, quote};

/// Fails with `Unsuitable` if a table cannot be written without its application: an index has an unknown collation, or an
/// index or a generated column calls an unknown function. What a check needs is told by each row that it refuses.
pub async fn check(connection: &mut SqliteConnection, table: &Table) -> Result<(), DatabaseError> {
    let name = &table.schema.table;
    let unsuitable = |what: String| DatabaseError::Unsuitable {
        table: name.clone(),
        reason: format!("only its own application can write it: {what}"),
    };
    let found = rows(
        connection,
        "SELECT DISTINCT x.coll FROM pragma_index_list(?, 'main') AS i, pragma_index_xinfo(i.name, 'main') AS x
         WHERE x.key AND x.coll IS NOT NULL ORDER BY 1",
        name,
    )
    .await?;
    for row in &found {
        let collation: String = get(row, 0)?;
        if !is_built_in(&collation) {
            return Err(unsuitable(format!(
                "its index needs the collation {collation:?}"
            )));
        }
    }
    let columns = table.schema.columns.iter();
    let columns = columns.filter(|column| column.generation != Generation::Computed);
    let columns: Vec<_> = columns.map(|column| quote(&column.name)).collect();
    if columns.is_empty() {
        return Ok(());
    }
    // It is prepared, and never run.
    let insert = format!(
        "INSERT INTO main.{} ({}) VALUES ({})",
        quote(name),
        columns.join(", "),
        vec!["?"; columns.len()].join(", ")
    );
    let locked = RawConnection::lock(connection).await?;
    let prepared = locked.prepare(&insert).map(|_| ());
    prepared.map_err(|error| unsuitable(error.message))
}
