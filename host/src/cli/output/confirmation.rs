//! The question before existing rows are changed.

use tombolo::bindings::transfers::TablePlan;
use tombolo::printable::printable;

use super::Output;
use super::plan::overview;
use super::report::number;
use crate::cli::input;
use crate::cli::signals::Signals;

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Existing rows may change.
    Yes,
    /// Nothing is done.
    No,
    /// Only to see what would change.
    DryRun,
}

/// Returns whether existing rows may change: yes if none would, or nobody can be asked; else what a person says.
///
/// `standard`: no plugin fills a role.
pub async fn ask(
    plans: &[TablePlan],
    standard: bool,
    output: &Output,
    signals: &mut Signals,
) -> Answer {
    let changing = changing(plans, standard);
    if changing.is_empty() || !output.can_ask() {
        return Answer::Yes;
    }
    output.note(&overview(plans).to_string());
    output.note(&warning(&changing));
    let answer = tokio::select! {
        answer = input::line(Some("Continue? y: yes, d: dry run first, else no:")) => answer,
        () = signals.next() => None,
    };
    if answer.is_none() {
        // The cursor is still behind the question.
        output.note("");
    }
    answer.map_or(Answer::No, |answer| read(&answer))
}

/// Says how many rows may change at most, and where. Whatever the names of tables are, it stays short.
fn warning(changing: &[&TablePlan]) -> String {
    let rows = changing.iter().map(|plan| plan.local_rows.min(plan.rows));
    let rows = rows.fold(0, u64::saturating_add);
    let names = changing.iter().map(|plan| plan.table.as_str());
    let names: Vec<&str> = names.collect();
    let text = format!(
        "Up to {} may change in: {}",
        existing(rows),
        names.join(", ")
    );
    printable(&text)
}

fn existing(rows: u64) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    format!("{} existing {noun}", number(rows))
}

/// Returns the tables whose existing rows may change. The standard strategies `skip` and `append` change none; of others
/// nothing is known.
fn changing(plans: &[TablePlan], standard: bool) -> Vec<&TablePlan> {
    plans
        .iter()
        .filter(|plan| {
            let harmless = standard && matches!(plan.strategy.as_str(), "skip" | "append");
            !plan.create && plan.local_rows > 0 && !harmless
        })
        .collect()
}

/// Returns true if an answer means yes.
pub fn is_yes(answer: &str) -> bool {
    matches!(read(answer), Answer::Yes)
}

fn read(answer: &str) -> Answer {
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        "d" | "dry" | "dry run" | "dry-run" => Answer::DryRun,
        _ => Answer::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(strategy: &str, create: bool, local_rows: u64) -> TablePlan {
        TablePlan {
            table: "orders".to_owned(),
            strategy: strategy.to_owned(),
            rows: 1_000,
            exact: false,
            create,
            local_rows,
            not_carried: Vec::new(),
            statements: Vec::new(),
            continued: false,
        }
    }

    #[test]
    fn people_are_asked_only_before_rows_change() {
        let asks = |plan: TablePlan, standard| !changing(&[plan], standard).is_empty();
        assert!(asks(planned("overwrite", false, 1), true));
        assert!(asks(planned("newest-wins", false, 1), true));
        assert!(!asks(planned("overwrite", false, 0), true));
        assert!(!asks(planned("overwrite", true, 0), true));
        assert!(!asks(planned("skip", false, 1), true));
        assert!(!asks(planned("append", false, 1), true));
        assert!(asks(planned("skip", false, 1), false), "another skip");
    }

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in [
            ("y\n", Answer::Yes),
            (" YES ", Answer::Yes),
            ("", Answer::No),
            ("n", Answer::No),
            ("yep", Answer::No),
            ("d\n", Answer::DryRun),
            ("Dry run", Answer::DryRun),
        ] {
            assert_eq!(read(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn the_question_says_how_many_rows_may_change() {
        let few = planned("overwrite", false, 12);
        let many = TablePlan {
            table: "items".to_owned(),
            ..planned("merge", false, 5_000)
        };
        assert_eq!(
            warning(&[&few, &many]),
            "Up to 1,012 existing rows may change in: orders, items"
        );
    }
}
