//! The report of a comparison: how many rows differ, table by table.

use tombolo::bindings::transfers::{DecidedRows, StrategyEffect, TableComparison, TablePlan};
use tombolo::bindings::types::{SetPlan, ValueSource};
use tombolo::printable::printable;

use super::Output;
use super::event::Event;
use super::report::{number, table};

/// The strategies whose effect the plan shows.
const STANDARD: [&str; 4] = ["skip", "overwrite", "merge", "append"];

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

/// Shows what the strategies of plugins would do with the rows that are on both sides with different values.
pub fn show_effects(tables: &[TableComparison], plans: &[TablePlan], output: &Output) {
    for compared in tables {
        let plan = plans.iter().find(|plan| plan.table == compared.table);
        let strategy = plan.map_or("", |plan| plan.strategy.as_str());
        let what = match &compared.effect {
            Some(StrategyEffect::Decided(decided)) => decisions(*decided),
            Some(StrategyEffect::Rule(rule)) if !STANDARD.contains(&strategy) => rule_text(rule),
            _ => continue,
        };
        output.note(&format!(
            "{}: strategy {} would {what}",
            printable(&compared.table),
            printable(strategy)
        ));
    }
}

fn decisions(decided: DecidedRows) -> String {
    let mut text = format!(
        "keep {} changed rows as they are here, take {} from the other site and write {} of its own",
        number(decided.keep_local),
        number(decided.take_incoming),
        number(decided.write)
    );
    if decided.not_asked > 0 {
        text.push_str(&format!(
            "; {} more are too large to ask about all of them",
            number(decided.not_asked)
        ));
    }
    text
}

fn rule_text(rule: &SetPlan) -> String {
    let Some(update) = &rule.update else {
        return "keep changed rows as they are here".to_owned();
    };
    let columns = update.columns.iter().map(|column| {
        let name = printable(&column.column);
        match &column.source {
            ValueSource::KeepLocal => format!("keep {name}"),
            ValueSource::TakeIncoming => format!("take {name}"),
            ValueSource::Coalesce => format!("take {name} where it is not NULL"),
            ValueSource::Greatest => format!("take the greater {name}"),
            ValueSource::Least => format!("take the lesser {name}"),
            ValueSource::Other(_) => {
                format!("change {name} in a way that this version does not know")
            }
        }
    });
    let mut text = columns.collect::<Vec<_>>().join(", ");
    if let Some(column) = &update.only_if_newer {
        text.push_str(&format!(
            ", only if the other site's {} is greater",
            printable(column)
        ));
    }
    match text.is_empty() {
        true => "keep changed rows as they are here".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use tombolo::bindings::types::{ColumnRule, UpdateRule};

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
            effect: None,
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

    #[test]
    fn what_a_strategy_would_do_is_said() {
        let mut decided = DecidedRows {
            keep_local: 1,
            take_incoming: 1_200,
            write: 0,
            not_asked: 0,
        };
        let text = decisions(decided);
        assert_eq!(
            text,
            "keep 1 changed rows as they are here, take 1,200 from the other site and write 0 of its own"
        );
        decided.not_asked = 3;
        assert!(decisions(decided).contains("3 more"));
        let mut rule = SetPlan {
            key: vec!["id".to_owned()],
            regenerate_key: false,
            update: None,
        };
        assert_eq!(rule_text(&rule), "keep changed rows as they are here");
        let column = |column: &str, source| ColumnRule {
            column: column.to_owned(),
            source,
        };
        rule.update = Some(UpdateRule {
            columns: vec![
                column("body", ValueSource::TakeIncoming),
                column("n", ValueSource::Greatest),
            ],
            only_if_newer: Some("at".to_owned()),
        });
        let text = rule_text(&rule);
        assert_eq!(
            text,
            "take body, take the greater n, only if the other site's at is greater"
        );
    }
}
