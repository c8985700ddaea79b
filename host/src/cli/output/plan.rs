//! The plan of a pull: what it will create, how it will treat existing rows, and what it leaves out.

use comfy_table::Table;
use tombolo::bindings::transfers::TablePlan;
use tombolo::printable::printable;

use super::Output;
use super::event::Event;
use super::report::{number, table};

/// Shows a complete plan: the event for programs, and for people whether it goes on.
pub fn show(run: &str, plans: &[TablePlan], output: &Output) {
    output.event(&Event::Planned {
        run,
        tables: plans.iter().map(Into::into).collect(),
    });
    if plans.iter().any(|plan| plan.continued) {
        output.note("Resuming the unfinished pull.");
    }
}

/// Shows what a pull would do with each table: the statements that create it, or the effect of its strategy.
pub fn show_effects(plans: &[TablePlan], output: &Output) {
    for plan in plans {
        let table = printable(&plan.table);
        if plan.create {
            output.note(&format!(
                "{table}: would create the table and insert all rows:"
            ));
            for statement in &plan.statements {
                output.note(&format!("  {};", printable(statement)));
            }
        } else {
            output.note(&format!("{table}: {}", effect(&plan.strategy)));
        }
    }
}

/// Returns what a strategy does with new and changed rows.
fn effect(strategy: &str) -> String {
    match strategy {
        "skip" => "would insert new rows and keep changed rows as they are".to_owned(),
        "overwrite" => "would insert new rows and overwrite changed rows".to_owned(),
        "merge" => {
            "would insert new rows and take the remote values that are not NULL in changed rows"
                .to_owned()
        }
        "append" => "would insert all rows with new keys".to_owned(),
        other => format!(
            "would insert new rows; the strategy {:?} decides about changed rows",
            printable(other)
        ),
    }
}

/// Returns one row for each table: strategy, whether it exists, and the rows of both sides.
pub fn overview(plans: &[TablePlan]) -> Table {
    let header = [
        "table",
        "strategy",
        "local table",
        "remote rows",
        "local rows",
    ];
    let rows = plans.iter().map(|plan| {
        let remote = number(plan.rows);
        vec![
            plan.table.clone(),
            plan.strategy.clone(),
            if plan.create {
                "will be created"
            } else {
                "exists"
            }
            .to_owned(),
            if plan.exact {
                remote
            } else {
                format!("about {remote}")
            },
            number(plan.local_rows),
        ]
    });
    table(&header, 3, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_marks_estimates() {
        let plan = TablePlan {
            table: "orders".to_owned(),
            strategy: "skip".to_owned(),
            rows: 1_000,
            exact: false,
            create: true,
            local_rows: 0,
            not_carried: Vec::new(),
            statements: Vec::new(),
            continued: false,
        };
        let table = overview(&[plan]).to_string();
        assert!(
            table.contains("about 1,000") && table.contains("will be created"),
            "{table}"
        );
    }
}
