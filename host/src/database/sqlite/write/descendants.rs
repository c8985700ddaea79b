//! Rejects the rows that refer to rejected rows: they would be attached to other rows of the table.

use super::apply::Application;
use super::staging;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::{DatabaseError, descendants};
use crate::rows::{CellRef, RowBlock};

/// Rejects staged rows that refer to rejected rows of other chunks and tables. Rows that exist and refer to the same row
/// already stay.
pub fn reject_orphans(application: &mut Application<'_>) -> Result<(), DatabaseError> {
    let parents = &application.plan.rejected_parents;
    for (number, key) in application.chunk.orphans.clone() {
        if is_attaching(application, number, key)? {
            application.reject(number, &parents.reason(key))?;
        }
    }
    Ok(())
}

/// Returns the staged rows that descend from rejected rows of the chunk, in a table that refers to itself: their numbers,
/// and those of the foreign keys.
pub fn of_rejected(application: &Application<'_>) -> Result<Vec<(i64, usize)>, DatabaseError> {
    let (connection, plan, chunk) = (application.connection, application.plan, &application.chunk);
    let mut rows = Vec::new();
    if chunk.rejected.is_empty() {
        return Ok(Vec::new());
    }
    for number in staging::numbers(connection)? {
        if chunk.attached.contains(&number) {
            continue;
        }
        let row = staging::encoded(connection, &plan.layout, number)?;
        let cells = RowBlock::parse_row(&row).unwrap_or_default();
        let cells = cells.iter().map(CellRef::from);
        let number = u64::try_from(number).unwrap_or_default();
        rows.push(plan.rejected_parents.relative(number, cells));
    }
    let found = descendants(&chunk.rejected, &rows).into_iter();
    let found = found.map(|(number, key)| (i64::try_from(number).unwrap_or_default(), key));
    Ok(found.collect())
}

/// Rejects descendants of rejected rows in a chunk that is not applied. Where some of them are attached already, these are
/// noted and nothing is rejected: they are not descendants, and others may not be.
pub fn reject(
    application: &mut Application<'_>,
    found: &[(i64, usize)],
) -> Result<(), DatabaseError> {
    let mut attached = Vec::new();
    for (number, key) in found {
        if !is_attaching(application, *number, *key)? {
            attached.push(*number);
        }
    }
    if !attached.is_empty() {
        application.chunk.attached.extend(attached);
        return Ok(());
    }
    let parents = &application.plan.rejected_parents;
    for (number, key) in found {
        application.reject(*number, &parents.reason(*key))?;
    }
    Ok(())
}

/// Returns true if a staged row would refer to a row that it does not refer to already.
fn is_attaching(
    application: &Application<'_>,
    number: i64,
    key: usize,
) -> Result<bool, DatabaseError> {
    let plan = application.plan;
    let sql = plan.merge.changing(plan.rejected_parents.child(key));
    let mut select = application.connection.prepare(&sql)?;
    let number = [SqliteValueRef::Integer(number)];
    let mut rows = select.query(&number)?;
    Ok(rows.next()?.is_some())
}
