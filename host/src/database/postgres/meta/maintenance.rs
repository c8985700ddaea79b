//! Lists rejected rows, and removes all that Tombolo keeps in a target.

use super::tables::OwnTable;
use super::{rejects, trust};
use crate::database::postgres::connection::{Session, query};
use crate::database::{DatabaseError, Reject};

/// Returns rejected rows, oldest first, at most `limit`.
pub(in crate::database::postgres) async fn rejects(
    session: &mut Session,
    limit: u32,
) -> Result<Vec<Reject>, DatabaseError> {
    if !trust::verify(session).await?.has(OwnTable::Rejects) {
        return Ok(Vec::new());
    }
    session.run("BEGIN READ ONLY").await?;
    trust::lock_to_read(session, OwnTable::Rejects).await?;
    let rows = session
        .rows(
            query(
                "SELECT run, table_name, \"row\", key, reason, cells FROM tombolo.rejects \
                 ORDER BY rejected_at, run, table_name, \"row\" LIMIT $1",
            )
            .bind(i64::from(limit)),
        )
        .await?;
    session.run("COMMIT").await?;
    rejects::read(&rows)
}

/// Removes Tombolo's own tables and their schema. Returns the tables' names. Fails with [`DatabaseError::Refused`] if
/// the schema holds anything else, and with [`DatabaseError::NotAsMade`] if somebody else may have written the tables.
pub(in crate::database::postgres) async fn clean(
    session: &mut Session,
) -> Result<Vec<String>, DatabaseError> {
    if trust::verify(session).await?.tables.is_empty() {
        return Ok(Vec::new());
    }
    session.run("BEGIN").await?;
    let removed = remove(session).await;
    session.end_transaction(removed).await
}

async fn remove(session: &mut Session) -> Result<Vec<String>, DatabaseError> {
    let tables = trust::verify(session).await?.tables;
    trust::lock(session, &tables, "ACCESS EXCLUSIVE").await?;
    let tables = trust::verify(session).await?.tables;
    for table in &tables {
        session.run(format!("DROP TABLE tombolo.{table}")).await?;
    }
    session.run("DROP SCHEMA tombolo").await?;
    let names = tables.iter().map(|table| format!("tombolo.{table}"));
    Ok(names.collect())
}
