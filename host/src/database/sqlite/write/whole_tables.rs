//! Creates and fills several small tables in one transaction.

use sqlx::SqliteConnection;

use super::table_state::TableState;
use crate::database::sqlite::connection::transaction;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{DatabaseError, WholeTable, WholeTables};

/// Writes tables in one transaction, as [`crate::database::Target::write_whole`] says.
pub fn write(
    connection: &mut SqliteConnection,
    database: &str,
    tables: &[WholeTable],
) -> Result<WholeTables, DatabaseError> {
    let mut one_by_one = None;
    let written = transaction(connection, |connection| {
        // Rows may refer to others that come later. Holds until the transaction ends.
        RawConnection::lock_blocking(connection)?.execute("PRAGMA defer_foreign_keys = ON", &[])?;
        let mut outcomes = Vec::with_capacity(tables.len());
        for (place, table) in tables.iter().enumerate() {
            match TableState::write_whole(connection, database, table)? {
                Some(outcome) => outcomes.push(outcome),
                None => {
                    one_by_one = Some(place);
                    return Err(unsuitable(table));
                }
            }
        }
        Ok(WholeTables::Written(outcomes))
    });
    match one_by_one {
        Some(place) => Ok(WholeTables::OneByOne(vec![place])),
        None => written,
    }
}

/// Rolls the transaction back.
fn unsuitable(table: &WholeTable) -> DatabaseError {
    DatabaseError::Unsuitable {
        table: table.write.incoming.table.clone(),
        reason: "it needs a writer of its own".to_owned(),
    }
}
