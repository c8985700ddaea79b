//! Lists rejected rows, and removes all that Tombolo keeps in a target.

use super::tables;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, Reject};

/// Returns rejected rows, oldest first, at most `limit`.
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
            let number: i64 = column(row, "row")?;
            Ok(Reject {
                run: column(row, "run")?,
                table: column(row, "table_name")?,
                row: u64::try_from(number).unwrap_or_default(),
                key: column(row, "key")?,
                reason: column(row, "reason")?,
                cells: column(row, "cells")?,
            })
        })
        .collect()
}

/// Removes Tombolo's own tables and their schema. Returns the tables' names. Fails with [`DatabaseError::Refused`] if
/// the schema holds anything else.
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
