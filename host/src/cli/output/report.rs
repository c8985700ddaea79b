//! Numbers, tables and the reports of transfers, formatted for people.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use tombolo::bindings::types::{Stored, TableReport};
use tombolo::printable::printable;

use super::Output;
use super::event::Event;

/// Returns a table. The columns from number `left` on are aligned to the right.
pub fn table(header: &[&str], left: usize, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let align = |(position, text): (usize, String)| {
        let cell = Cell::new(printable(&text));
        if position < left {
            cell
        } else {
            cell.set_alignment(CellAlignment::Right)
        }
    };
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    let header = header.iter().map(|&text| text.to_owned());
    table.set_header(header.enumerate().map(align));
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(align));
    }
    table
}

/// Formats a number: `100,000`.
pub fn number(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats a number of rows: `1 row`, `100,000 rows`.
pub fn count(count: u64) -> String {
    let noun = if count == 1 { "row" } else { "rows" };
    format!("{} {noun}", number(count))
}

/// Formats a size: `1.50 MiB`.
pub fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// Formats a time: `2.3 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Returns the number of all rows in a report.
pub fn rows(report: &TableReport) -> u64 {
    [
        report.created,
        report.updated,
        report.same,
        report.skipped,
        report.failed,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Returns the number of rejected rows, all tables together.
pub fn rejected(reports: &[TableReport]) -> u64 {
    let failed = reports.iter().map(|report| report.failed);
    failed.fold(0, u64::saturating_add)
}

/// Shows that everything is complete: the event for programs, and the counts of rows for people.
pub fn show(run: Option<&str>, reports: &[TableReport], output: &Output) {
    output.event(&Event::Done {
        run,
        rejected: rejected(reports),
        tables: reports.iter().map(Into::into).collect(),
    });
    output.result(&summary(reports, output.is_terminal()));
}

/// Returns the counts of rows: a table for a terminal, else one line for each table.
fn summary(reports: &[TableReport], terminal: bool) -> String {
    if terminal {
        summary_table(reports).to_string()
    } else {
        let lines: Vec<String> = reports.iter().map(line).collect();
        lines.join("\n")
    }
}

fn summary_table(reports: &[TableReport]) -> Table {
    let header = [
        "table", "created", "updated", "same", "skipped", "failed", "size",
    ];
    let mut table = table(
        &header,
        1,
        reports.iter().map(|report| {
            vec![
                report.table.clone(),
                number(report.created),
                number(report.updated),
                number(report.same),
                number(report.skipped),
                number(report.failed),
                bytes(report.bytes),
            ]
        }),
    );
    if reports.is_empty() {
        table.add_row(["no table"]);
    }
    table
}

/// Returns what the counts do not say: rejects, several snapshots, changed values, verification.
pub fn notes(reports: &[TableReport]) -> Vec<String> {
    let mut notes = Vec::new();
    for report in reports {
        let table = printable(&report.table);
        if report.failed > 0 {
            let verb = if report.failed == 1 { "was" } else { "were" };
            notes.push(format!(
                "{table}: {} {verb} rejected; `tombolo rejects DB` lists the reasons",
                count(report.failed)
            ));
        }
        if report.snapshots > 1 {
            notes.push(format!(
                "{table}: the rows come from {} snapshots, because the other site closed the first one",
                report.snapshots
            ));
        }
        for changes in &report.changed {
            let noun = if changes.values == 1 {
                "value"
            } else {
                "values"
            };
            notes.push(format!(
                "{table}: column {}: {} {noun} changed to fit",
                printable(&changes.column),
                number(changes.values)
            ));
        }
        match &report.stored {
            Stored::Verified | Stored::Other(_) => {}
            Stored::NothingArrived => {
                notes.push(format!(
                    "{table}: nothing arrived; all its rows were rejected"
                ));
            }
            Stored::ChangedBy(triggers) => notes.push(format!(
                "{table}: triggers changed rows while they were written: {}",
                printable(&triggers.join(", "))
            )),
            Stored::Unverified(why) => notes.push(format!(
                "{table}: the stored rows were not verified: {}",
                printable(why)
            )),
        }
    }
    notes
}

/// Formats one table's report in a line.
fn line(report: &TableReport) -> String {
    let TableReport {
        created,
        updated,
        same,
        skipped,
        failed,
        ..
    } = report;
    format!(
        "{}: {created} created, {updated} updated, {same} same, {skipped} skipped, {failed} failed, {} bytes",
        printable(&report.table),
        report.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::bindings::types::ColumnChanges;

    fn reported(table: &str) -> TableReport {
        TableReport {
            table: table.to_owned(),
            created: 50_000,
            updated: 1_000,
            same: 3,
            skipped: 0,
            failed: 0,
            bytes: 1_572_864,
            snapshots: 1,
            stored: Stored::Verified,
            changed: Vec::new(),
        }
    }

    #[test]
    fn a_summary_shows_every_count() {
        let reports = [reported("orders"), reported("order_items")];
        assert_eq!(
            summary(&reports, false),
            "orders: 50000 created, 1000 updated, 3 same, 0 skipped, 0 failed, 1572864 bytes\n\
             order_items: 50000 created, 1000 updated, 3 same, 0 skipped, 0 failed, 1572864 bytes"
        );
        let table = summary(&reports, true);
        for part in ["order_items", "50,000", "1,000", "1.50 MiB", "skipped"] {
            assert!(table.contains(part), "{part}: {table}");
        }
        let row = table.lines().nth(3).map(str::to_owned);
        assert!(row.is_some_and(|row| row.contains(" 50,000 ")), "{table}");
        assert_eq!(rows(&reported("orders")), 51_003);
    }

    #[test]
    fn changed_values_are_told_by_column() {
        let changes = |column: &str, values| ColumnChanges {
            column: column.to_owned(),
            values,
        };
        let report = TableReport {
            changed: vec![changes("a\u{1b}b", 1), changes("c", 3_000)],
            ..reported("t")
        };
        assert_eq!(
            notes(&[report]),
            [
                "t: column a b: 1 value changed to fit",
                "t: column c: 3,000 values changed to fit"
            ]
        );
    }

    #[test]
    fn a_peer_cannot_control_the_terminal() {
        let reports = [reported("a\u{1b}[2J\nb")];
        assert!(!summary(&reports, true).contains('\u{1b}'));
        assert_eq!(summary(&reports, false).lines().count(), 1);
    }
}
