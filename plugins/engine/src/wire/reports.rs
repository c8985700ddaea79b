//! The reports with which a peer ends a session.

use super::{MAX_TABLES, is_name};
use crate::bindings::types::{ColumnChanges, Failure, TableReport};
use crate::error::{ErrorCode, SAME_VERSION, failure, printable};

/// Returns a peer's reports with printable names.
///
/// Fails with `bad-request` if there are more than 10 000 reports, or if one names an impossible table.
pub fn check(reports: Vec<TableReport>) -> Result<Vec<TableReport>, Failure> {
    let limit = usize::try_from(MAX_TABLES).unwrap_or(usize::MAX);
    if reports.len() > limit || !reports.iter().all(|report| is_name(&report.table)) {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "the {} reports are more than {MAX_TABLES}, or one of them has no valid table name",
                reports.len()
            ),
            SAME_VERSION,
        ));
    }
    let printable_column = |changes: ColumnChanges| ColumnChanges {
        column: printable(&changes.column),
        ..changes
    };
    let printable_report = |report: TableReport| TableReport {
        table: printable(&report.table),
        changed: report.changed.into_iter().map(printable_column).collect(),
        ..report
    };
    Ok(reports.into_iter().map(printable_report).collect())
}
