//! The report of a comparison: how many rows differ, table by table.

use tombolo::bindings::transfers::TableComparison;
use tombolo::printable::printable;

use super::Output;
use super::event::Event;
use super::report::{number, table};

/// Shows that all tables are compared: the event for programs, and the numbers of rows for people.
pub fn show(run: &str, tables: &[TableComparison], output: &Output) {
    output.event(&Event::Differences {
        run,
        tables: tables.iter().map(Into::into).collect(),
    });
    output.result(&summary(tables, output.is_terminal()));
}

/// Returns the numbers of rows: a table for a terminal, else one line for each table.
fn summary(tables: &[TableComparison], terminal: bool) -> String {
    if terminal {
        let header = [
            "table",
            "remote",
            "local",
            "new",
            "changed",
            "same",
            "local only",
        ];
        let rows = tables.iter().map(|one| {
            vec![
                one.table.clone(),
                number(one.remote),
                number(one.local),
                number(one.new),
                number(one.changed),
                number(one.same),
                number(one.local_only),
            ]
        });
        table(&header, 1, rows).to_string()
    } else {
        let lines: Vec<String> = tables.iter().map(line).collect();
        lines.join("\n")
    }
}

fn line(table: &TableComparison) -> String {
    let TableComparison {
        remote,
        local,
        new,
        changed,
        same,
        local_only,
        ..
    } = table;
    format!(
        "{}: {remote} remote, {local} local, {new} new, {changed} changed, {same} same, {local_only} local only",
        printable(&table.table)
    )
}

/// Returns true if any row differs.
pub fn differ(tables: &[TableComparison]) -> bool {
    tables
        .iter()
        .any(|table| table.new > 0 || table.changed > 0 || table.local_only > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(new: u64, changed: u64, local_only: u64) -> TableComparison {
        TableComparison {
            table: "orders".to_owned(),
            remote: 10,
            local: 9,
            new,
            changed,
            same: 7,
            local_only,
        }
    }

    #[test]
    fn every_number_is_shown() {
        let tables = [compared(2, 1, 3)];
        assert_eq!(
            summary(&tables, false),
            "orders: 10 remote, 9 local, 2 new, 1 changed, 7 same, 3 local only"
        );
        let shown = summary(&tables, true);
        for part in ["orders", "changed", "local only", "10"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn any_kind_of_difference_counts() {
        assert!(!differ(&[compared(0, 0, 0)]));
        assert!(differ(&[compared(0, 0, 0), compared(1, 0, 0)]));
        assert!(differ(&[compared(0, 1, 0)]));
        assert!(differ(&[compared(0, 0, 1)]));
    }
}
