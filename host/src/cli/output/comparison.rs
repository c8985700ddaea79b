//! What differs between two sites, for people.

use tombolo::bindings::transfers::{TableComparison, TablePlan};
use tombolo::failure::printable;

use super::Output;
use super::report::{number, table};

/// The numbers of rows, in a table for a terminal, else a line a table.
pub fn summary(tables: &[TableComparison], terminal: bool) -> String {
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

/// Whether any row differs.
pub fn differ(tables: &[TableComparison]) -> bool {
    tables
        .iter()
        .any(|table| table.new + table.changed + table.local_only > 0)
}

/// What a pull would do with each table: what it creates, and what its strategy means.
pub fn show_plan(plans: &[TablePlan], output: &Output) {
    for plan in plans {
        let table = printable(&plan.table);
        if plan.create {
            output.note(&format!(
                "{table}: would be created and filled with all rows:"
            ));
            for statement in &plan.statements {
                output.note(&format!("  {};", printable(statement)));
            }
        } else {
            output.note(&format!("{table}: {}", meaning(&plan.strategy)));
        }
    }
}

/// What a strategy does with new and changed rows; rows that are gone at the peer always stay here.
fn meaning(strategy: &str) -> String {
    match strategy {
        "skip" => "new rows would be added; changed rows stay as they are here".to_owned(),
        "overwrite" => "new rows would be added; changed rows become as they are there".to_owned(),
        "merge" => "new rows would be added; changed rows take the values there that are not NULL"
            .to_owned(),
        "append" => "all rows would be added, with new keys".to_owned(),
        other => format!(
            "new rows would be added; strategy {:?} decides on changed ones",
            printable(other)
        ),
    }
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
