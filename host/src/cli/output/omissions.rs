//! Tables that are not shared, or not whole, and why.

use std::collections::BTreeMap;

use tombolo::bindings::types::Failure;
use tombolo::database::{Database, Omission, OmissionReason};
use tombolo::printable::printable;
use tombolo::resources::Patterns;

use super::Output;
use super::event::Event;

/// The most tables that a line for people names.
const NAMED: usize = 5;

/// Returns the omissions among the tables that patterns select.
pub async fn of(database: &dyn Database, patterns: &Patterns) -> Result<Vec<Omission>, Failure> {
    let mut omissions = database.omissions().await?;
    omissions.retain(|one| patterns.matches(&one.table));
    Ok(omissions)
}

/// Shows them: an event each, and a line a reason for people.
pub fn show(omissions: &[Omission], output: &Output) {
    for Omission { table, reason } in omissions {
        let reason = reason.to_string();
        output.event(&Event::LeftOut {
            table,
            reason: &reason,
        });
    }
    for line in lines(omissions) {
        output.note(&line);
    }
}

/// Adds to an error why tables that exist are not found.
pub fn explain(mut failure: Failure, omissions: &[Omission]) -> Failure {
    let lines = lines(omissions);
    if !lines.is_empty() {
        failure.message = format!("{}. {}", failure.message, lines.join(" "));
    }
    failure
}

fn lines(omissions: &[Omission]) -> Vec<String> {
    let mut groups: BTreeMap<&OmissionReason, Vec<&str>> = BTreeMap::new();
    for Omission { table, reason } in omissions {
        groups.entry(reason).or_default().push(table);
    }
    let line = |(reason, tables): (&OmissionReason, Vec<&str>)| {
        let named = tables.iter().take(NAMED);
        let mut named = named
            .map(|table| format!("{:?}", printable(table)))
            .collect::<Vec<_>>()
            .join(", ");
        if tables.len() > NAMED {
            named.push_str(&format!(" and {} more", tables.len() - NAMED));
        }
        let what = match reason {
            OmissionReason::Filtered => "Not shared whole",
            _ => "Not shared",
        };
        format!("{what}: {named}: {reason}.")
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn tables_are_named_by_reason() {
        let omission = |number: usize| Omission {
            table: format!("t{number}"),
            reason: OmissionReason::Unreadable,
        };
        let mut omissions: Vec<Omission> = (0..7).map(omission).collect();
        omissions.push(Omission {
            table: "tombolo_x".to_owned(),
            reason: OmissionReason::Reserved,
        });
        let lines = lines(&omissions);
        assert_eq!(
            lines[0],
            r#"Not shared: "t0", "t1", "t2", "t3", "t4" and 2 more: this login may not read it."#
        );
        assert!(
            lines[1].contains(r#""tombolo_x": names that begin with tombolo_"#),
            "{lines:?}"
        );
    }
}
