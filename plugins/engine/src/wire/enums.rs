//! The limits on the enums that a peer's table brings.

use std::collections::BTreeSet;

use super::is_name;
use crate::bindings::types::EnumType;

/// The most enums of a table.
const MAX_ENUMS: usize = 100;

/// The most labels of all of them.
const MAX_LABELS: usize = 2_000;

/// The longest label, in bytes.
const MAX_LABEL: usize = 63;

/// Checks the enums of one table; else what about them cannot be.
pub(super) fn check(enums: &[EnumType]) -> Result<(), &'static str> {
    let labels: usize = enums.iter().map(|kind| kind.labels.len()).sum();
    if enums.len() > MAX_ENUMS || labels > MAX_LABELS {
        return Err("the number of its enums or of their labels");
    }
    let mut names = BTreeSet::new();
    for kind in enums {
        let distinct: BTreeSet<&String> = kind.labels.iter().collect();
        let is_label = |label: &String| label.len() <= MAX_LABEL && !label.contains('\0');
        if !is_name(&kind.name)
            || !names.insert(&kind.name)
            || distinct.len() < kind.labels.len()
            || !kind.labels.iter().all(is_label)
        {
            return Err("an enum");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, labels: &[&str]) -> EnumType {
        EnumType {
            name: name.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        }
    }

    #[test]
    fn possible_enums_pass() {
        for enums in [
            vec![],
            vec![
                kind("mood", &["sad", "", &"x".repeat(MAX_LABEL)]),
                kind("none", &[]),
            ],
        ] {
            assert_eq!(check(&enums), Ok(()));
        }
    }

    #[test]
    fn impossible_enums_are_refused() {
        let numbers: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        for (what, enums) in [
            (
                "too many",
                numbers
                    .iter()
                    .take(101)
                    .map(|name| kind(name, &[]))
                    .collect(),
            ),
            (
                "too many labels",
                vec![kind("a", &numbers), kind("b", &numbers)],
            ),
            ("one twice", vec![kind("a", &[]), kind("a", &[])]),
            ("one without a name", vec![kind("", &[])]),
            ("a label twice", vec![kind("a", &["x", "x"])]),
            ("a label with NUL", vec![kind("a", &["\0"])]),
            (
                "a long label",
                vec![kind("a", &[&"x".repeat(MAX_LABEL + 1)])],
            ),
        ] {
            assert!(check(&enums).is_err(), "{what}");
        }
    }
}
