//! Where a pull stands that ended early, and what to do about it.

use tombolo::bindings::types::Failure;
use tombolo::failure::ErrorCode;
use tombolo::printable::printable;

use super::report::number;

/// What of a pull is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standstill {
    /// How many tables are complete, and of how many.
    pub tables: (usize, usize),
    /// A table that is not complete, the rows of it that are in, and those at the other site.
    pub under_way: Option<(String, u64, u64)>,
}

impl Standstill {
    /// Adds to a failure what is in the target, and what to do.
    pub fn explain(&self, failure: &mut Failure) {
        if let Some(hint) = hint(failure) {
            hint.clone_into(&mut failure.hint);
        }
        let mut parts = Vec::new();
        let (complete, all) = self.tables;
        if complete > 0 && complete < all {
            let verb = if complete == 1 { "is" } else { "are" };
            parts.push(format!("{complete} of {all} tables {verb} complete"));
        }
        if let Some((table, rows, all)) = &self.under_way {
            parts.push(format!(
                "{} of {} rows of {} are in",
                number(*rows),
                number(*all),
                printable(table)
            ));
        }
        if !parts.is_empty() {
            failure.message = format!("{} ({})", failure.message, parts.join(", "));
        }
    }
}

/// Returns what to do about a failure that the place where it happened cannot know.
fn hint(failure: &Failure) -> Option<&'static str> {
    let full = ["disk is full", "No space left", "(code 53100)"];
    if full.iter().any(|text| failure.message.contains(text)) {
        return Some("free space and repeat the command: it goes on after what is in");
    }
    match failure.code.parse() {
        Ok(ErrorCode::Sender | ErrorCode::OwnerGone) => Some(
            "repeat the command with a new code from the other site: it goes on after what is in",
        ),
        Ok(ErrorCode::Busy) => Some(
            "another program holds a lock: end what writes to the target (in PostgreSQL, pg_stat_activity shows it), and repeat the command",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::failure::failure;

    #[test]
    fn a_failure_says_what_is_in_and_what_to_do() {
        let mut full = failure(ErrorCode::Database, "the disk is full", "");
        let standstill = Standstill {
            tables: (1, 3),
            under_way: Some(("orders".to_owned(), 450_000, 1_500_000)),
        };
        standstill.explain(&mut full);
        assert_eq!(
            full.message,
            "the disk is full (1 of 3 tables is complete, 450,000 of 1,500,000 rows of orders are in)"
        );
        assert!(full.hint.starts_with("free space"), "{full:?}");
        let mut gone = failure(ErrorCode::OwnerGone, "gone", "");
        Standstill::default().explain(&mut gone);
        assert!(
            gone.hint.contains("a new code") && gone.message == "gone",
            "{gone:?}"
        );
        let mut other = failure(ErrorCode::Denied, "no", "ask");
        Standstill::default().explain(&mut other);
        assert_eq!((other.message.as_str(), other.hint.as_str()), ("no", "ask"));
    }
}
