//! The reports with which a peer ends a session.

use super::{MAX_TABLES, is_name};
use crate::bindings::types::{ColumnChanges, Failure, Stored, TableReport};
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
        stored: printable_stored(report.stored),
        ..report
    };
    Ok(reports.into_iter().map(printable_report).collect())
}

fn printable_stored(stored: Stored) -> Stored {
    match stored {
        Stored::Verified => Stored::Verified,
        Stored::NothingArrived => Stored::NothingArrived,
        Stored::ChangedBy(triggers) => {
            Stored::ChangedBy(triggers.iter().map(|name| printable(name)).collect())
        }
        Stored::Unverified(why) => Stored::Unverified(printable(&why)),
        Stored::Other(other) => Stored::Other(printable(&other)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_text_of_a_report_is_printable() {
        const HOSTILE: &str = "a\u{1b}[2J\u{202e}";
        let stored = [
            Stored::ChangedBy(vec![HOSTILE.to_owned()]),
            Stored::Unverified(HOSTILE.to_owned()),
            Stored::Other(HOSTILE.to_owned()),
        ];
        let reports = stored.map(|stored| TableReport {
            table: HOSTILE.to_owned(),
            created: u64::MAX,
            updated: u64::MAX,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: 0,
            snapshots: 1,
            stored,
            changed: vec![ColumnChanges {
                column: HOSTILE.to_owned(),
                values: 1,
            }],
        });
        let json = serde_json::to_string(&check(reports.to_vec()).unwrap()).unwrap();
        assert!(
            !json.contains("u001b") && !json.contains('\u{202e}'),
            "{json}"
        );
    }
}
