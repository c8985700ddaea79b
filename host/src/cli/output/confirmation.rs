//! The question before existing rows are changed.

use tombolo::bindings::transfers::TablePlan;
use tombolo::printable::printable;

use super::Output;
use super::plan::overview;
use crate::cli::input;
use crate::cli::signals::Signals;

/// Returns true if existing rows may change: none would, nobody can be asked, or a person says yes.
///
/// `standard`: no plugin fills a role.
pub async fn confirmed(
    plans: &[TablePlan],
    standard: bool,
    output: &Output,
    signals: &mut Signals,
) -> bool {
    let changing = changing(plans, standard);
    if changing.is_empty() || !output.can_ask() {
        return true;
    }
    output.note(&overview(plans).to_string());
    // Whatever the names of tables are, the question itself is seen.
    let question = format!("Existing rows may change in: {}", changing.join(", "));
    output.note(&printable(&question));
    let answer = tokio::select! {
        answer = input::line(Some("Continue? [y/N]")) => answer,
        () = signals.next() => None,
    };
    if answer.is_none() {
        // The cursor is still behind the question.
        output.note("");
    }
    answer.is_some_and(|answer| is_yes(&answer))
}

/// Returns the tables whose existing rows may change. The standard strategies `skip` and `append` change none; of others
/// nothing is known.
fn changing(plans: &[TablePlan], standard: bool) -> Vec<&str> {
    plans
        .iter()
        .filter(|plan| {
            let harmless = standard && matches!(plan.strategy.as_str(), "skip" | "append");
            !plan.create && plan.local_rows > 0 && !harmless
        })
        .map(|plan| plan.table.as_str())
        .collect()
}

/// Returns true if an answer means yes.
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
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
        for (answer, yes) in [
            ("y\n", true),
            (" YES ", true),
            ("", false),
            ("n", false),
            ("yep", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
