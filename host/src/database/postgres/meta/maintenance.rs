//! What operators see of Tombolo's own tables: rejected rows, and their removal with all the rest.

use super::tables;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, Reject};

/// Rejected rows, oldest first.
pub(in crate::database::postgres) async fn rejects(
    session: &mut Session,
    limit: u32,
) -> Result<Vec<Reject>, DatabaseError> {
    if tables::existing(session).await?.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session
        .rows(
            query(
                "SELECT run, table_name, \"row\", key, reason, cells FROM tombolo.rejects \
                 ORDER BY rejected_at, run, table_name, \"row\" LIMIT $1",
            )
            .bind(i64::from(limit)),
        )
        .await?;
    rows.iter()
        .map(|row| {
            let number: i64 = column(row, 2)?;
            Ok(Reject {
                run: column(row, 0)?,
                table: column(row, 1)?,
                row: u64::try_from(number).unwrap_or_default(),
                key: column(row, 3)?,
                reason: column(row, 4)?,
                cells: column(row, 5)?,
            })
        })
        .collect()
}

/// Removes all of Tombolo's own tables and their schema, as far as nobody else uses it.
pub(in crate::database::postgres) async fn clean(
    session: &mut Session,
) -> Result<Vec<String>, DatabaseError> {
    let tables = tables::existing(session).await?;
    if tables.is_empty() {
        return Ok(tables);
    }
    let drops: String = tables
        .iter()
        .map(|table| format!("DROP TABLE {table}; "))
        .collect();
    session
        .run(format!("BEGIN; {drops} DROP SCHEMA tombolo; COMMIT"))
        .await?;
    Ok(tables)
}
