//! The checks on the enums of a table that a peer describes.

use std::collections::BTreeSet;

use super::is_name;
use crate::bindings::types::EnumType;
use crate::error::printable;

/// The most enums of a table.
const MAX_ENUMS: usize = 100;

/// The most labels of all enums of a table.
const MAX_LABELS: usize = 2_000;

/// The longest label, in bytes.
const MAX_LABEL: usize = 63;

/// Returns what is wrong with the enums of one table; none if they are possible.
pub(super) fn find_fault(enums: &[EnumType]) -> Option<String> {
    let labels: usize = enums.iter().map(|kind| kind.labels.len()).sum();
    if enums.len() > MAX_ENUMS || labels > MAX_LABELS {
        return Some(format!(
            "it has {} enums with {labels} labels instead of at most {MAX_ENUMS} with {MAX_LABELS}",
            enums.len()
        ));
    }
    let mut names = BTreeSet::new();
    let is_label = |label: &String| label.len() <= MAX_LABEL && !label.contains('\0');
    for kind in enums {
        let distinct: BTreeSet<&String> = kind.labels.iter().collect();
        if !is_name(&kind.name) || !names.insert(&kind.name) {
            return Some(format!(
                "{:?} is not a valid enum name, or occurs twice",
                printable(&kind.name)
            ));
        }
        if distinct.len() < kind.labels.len() || !distinct.into_iter().all(is_label) {
            return Some(format!(
                "enum {:?} has a label twice, or one with NUL or more than {MAX_LABEL} bytes",
                printable(&kind.name)
            ));
        }
    }
    None
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
            assert_eq!(find_fault(&enums), None);
        }
    }

    #[test]
    fn impossible_enums_are_refused() {
        let numbers: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        for (what, enums) in [
            (
                "too many enums",
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
            ("an enum twice", vec![kind("a", &[]), kind("a", &[])]),
            ("an enum without a name", vec![kind("", &[])]),
            ("a label twice", vec![kind("a", &["x", "x"])]),
            ("a label with NUL", vec![kind("a", &["\0"])]),
            (
                "a long label",
                vec![kind("a", &[&"x".repeat(MAX_LABEL + 1)])],
            ),
        ] {
            assert!(find_fault(&enums).is_some(), "{what}");
        }
    }
}
