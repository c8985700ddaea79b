//! Numbers, tables and the reports of transfers, formatted for people.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use tombolo::bindings::types::{Stored, TableReport};
use tombolo::printable::printable;

use super::Output;
use super::event::Event;
use super::shell::quoted;
use super::width::{elided, fitting, terminal_width, width};

/// The narrowest that a column gets to make a table fit.
const NARROWEST: usize = 8;

/// What a table takes for the border and the space of each column.
const PADDING: usize = 3;

/// Returns a table that fits the terminal. The columns from number `left` on are aligned to the right; in those before,
/// texts that are too long are shortened in the middle.
pub fn table(header: &[&str], left: usize, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    fitted(header, left, rows, terminal_width())
}

fn fitted(
    header: &[&str],
    left: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
    columns: usize,
) -> Table {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|text| printable(text)).collect())
        .collect();
    let widest = |(position, title): (usize, &&str)| {
        let texts = rows.iter().filter_map(|row| row.get(position));
        let texts = texts.map(|text| width(text)).max();
        texts.unwrap_or(0).max(width(title))
    };
    let widths: Vec<usize> = header.iter().enumerate().map(widest).collect();
    let available = columns.saturating_sub(header.len() * PADDING + 1);
    let widths = fitting(&widths, left, available, NARROWEST);
    let align = |(position, text): (usize, &str)| {
        if position < left {
            let columns = widths.get(position).copied().unwrap_or(usize::MAX);
            Cell::new(elided(text, columns))
        } else {
            Cell::new(text).set_alignment(CellAlignment::Right)
        }
    };
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(header.iter().copied().enumerate().map(align));
    for row in &rows {
        table.add_row(row.iter().map(String::as_str).enumerate().map(align));
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

/// Returns the columns that are not zero in every row.
fn summary_table(reports: &[TableReport]) -> Table {
    type Count = fn(&TableReport) -> u64;
    let counts: [(&str, Count); 5] = [
        ("created", |report| report.created),
        ("updated", |report| report.updated),
        ("same", |report| report.same),
        ("skipped", |report| report.skipped),
        ("failed", |report| report.failed),
    ];
    let mut shown: Vec<(&str, Count)> = counts
        .into_iter()
        .filter(|(_, of)| reports.iter().any(|report| of(report) > 0))
        .collect();
    if shown.is_empty() {
        // Of empty tables, this is to be seen.
        shown.extend(counts.first());
    }
    let titles = shown.iter().map(|(title, _)| *title);
    let header: Vec<&str> = std::iter::once("table")
        .chain(titles)
        .chain(["size"])
        .collect();
    let rows = reports.iter().map(|report| {
        let counts = shown.iter().map(|(_, of)| number(of(report)));
        let name = std::iter::once(report.table.clone());
        name.chain(counts).chain([bytes(report.bytes)]).collect()
    });
    let mut table = table(&header, 1, rows);
    if reports.is_empty() {
        table.add_row(["no table"]);
    }
    table
}

/// Returns what the counts do not say: several snapshots, changed values, verification.
pub fn notes(reports: &[TableReport]) -> Vec<String> {
    let mut notes = Vec::new();
    for report in reports {
        let table = printable(&report.table);
        if report.snapshots > 1 {
            notes.push(format!(
                "{table}: the rows come from {} snapshots; the other site closed the first",
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

/// Returns what to do next about rows that did not arrive: commands that can be pasted. `database` is the argument that
/// names the target.
pub fn next_steps(reports: &[TableReport], database: &str) -> Vec<String> {
    let failed = rejected(reports);
    if failed == 0 {
        return Vec::new();
    }
    let verb = if failed == 1 { "was" } else { "were" };
    vec![format!(
        "{} {verb} rejected. To see why: tombolo rejects {}",
        count(failed),
        quoted(database)
    )]
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
        for part in ["order_items", "50,000", "1,000", "1.50 MiB", "same"] {
            assert!(table.contains(part), "{part}: {table}");
        }
        for part in ["skipped", "failed"] {
            assert!(!table.contains(part), "{part} is zero: {table}");
        }
        let row = table.lines().nth(3).map(str::to_owned);
        assert!(row.is_some_and(|row| row.contains(" 50,000 ")), "{table}");
        assert_eq!(rows(&reported("orders")), 51_003);
    }

    #[test]
    fn a_table_fits_its_terminal() {
        let long = "a_very_long_name_of_a_table_that_nobody_would_type_by_hand_again";
        let row = |name: &str| vec![name.to_owned(), number(12_345_678), bytes(1 << 40)];
        let shown = fitted(&["table", "created", "size"], 1, [row(long), row("b")], 50);
        for line in shown.to_string().lines() {
            assert_eq!(width(line), 50, "{line}");
        }
        assert!(shown.to_string().contains("again ") && shown.to_string().contains("12,345,678"));
        let empty = summary_table(&[TableReport {
            created: 0,
            updated: 0,
            same: 0,
            ..reported("t")
        }]);
        assert!(empty.to_string().contains("created"), "{empty}");
    }

    #[test]
    fn rejected_rows_have_a_command_that_can_be_pasted() {
        let report = |failed| TableReport {
            failed,
            ..reported("t")
        };
        assert!(next_steps(&[report(0)], "copy.db").is_empty());
        assert_eq!(
            next_steps(&[report(1), report(1_000)], "my copy.db"),
            ["1,001 rows were rejected. To see why: tombolo rejects 'my copy.db'"]
        );
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
