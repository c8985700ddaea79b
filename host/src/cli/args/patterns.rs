//! `--tables GLOB,…`: patterns of table names, separated by commas, and what they match.

use std::str::FromStr;

use tombolo::bindings::database::{TableKind, TableSummary};
use tombolo::bindings::types::{Error, Failure};
use tombolo::failure::{ErrorCode, failure};
use tombolo::resources::Patterns;

/// A list of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePatterns(Vec<String>);

impl TablePatterns {
    /// The patterns, each of them usable.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for TablePatterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = split(text);
        if patterns.iter().any(String::is_empty) {
            return Err("a pattern is empty".to_owned());
        }
        match Patterns::new(&patterns) {
            Ok(_) => Ok(Self(patterns)),
            Err(Error::Invalid(reason) | Error::Limit(reason)) => Err(reason),
            Err(_) => Err("these are no patterns of table names".to_owned()),
        }
    }
}

/// Splits at the commas that are not within `{a,b}`.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut parts = vec![String::new()];
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// A pattern that no table matches.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// There are no tables at all.
    Everything,
    /// This pattern matches nothing.
    Nothing(String),
    /// This pattern matches a view only.
    View(String, String),
}

impl Unmatched {
    /// What to tell.
    pub fn failure(self, database: &str) -> Failure {
        let hint = "`tombolo tables DB` lists what is there";
        match self {
            Self::Everything => {
                let message = format!("there are no tables to share in {database}");
                failure(ErrorCode::NoSuchTable, message, hint)
            }
            Self::Nothing(pattern) => {
                let message = format!("no table in {database} matches {pattern:?}");
                failure(ErrorCode::NoSuchTable, message, hint)
            }
            Self::View(pattern, view) => failure(
                ErrorCode::NotATable,
                format!(
                    "{pattern:?} matches {view:?} in {database}, which is no table, and no other"
                ),
                "name the tables behind the view instead",
            ),
        }
    }
}

/// How many tables are shared; each pattern has to match one, or it is misspelt.
pub fn matching(listed: &[TableSummary], patterns: &[String]) -> Result<usize, Unmatched> {
    let matches = |pattern: &String, table: &TableSummary| {
        Patterns::new(std::slice::from_ref(pattern))
            .is_ok_and(|pattern| pattern.matches(&table.table))
    };
    let is_table = |one: &&TableSummary| matches!(one.kind, TableKind::Table);
    if !listed.iter().any(|one| is_table(&one)) {
        return Err(Unmatched::Everything);
    }
    for pattern in patterns {
        let mut found = listed.iter().filter(|one| matches(pattern, one)).peekable();
        let Some(&first) = found.peek() else {
            return Err(Unmatched::Nothing(pattern.clone()));
        };
        if !found.any(|one| is_table(&one)) {
            return Err(Unmatched::View(pattern.clone(), first.table.clone()));
        }
    }
    let shared = listed.iter().filter(is_table);
    Ok(shared
        .filter(|one| patterns.iter().any(|pattern| matches(pattern, one)))
        .count())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn commas_separate_except_within_braces() {
        let read = |text: &str| text.parse::<TablePatterns>().unwrap().0;
        assert_eq!(read("orders"), ["orders"]);
        assert_eq!(read("order*, {a,b}c,x?"), ["order*", "{a,b}c", "x?"]);
        for text in ["", "a,", ",a", "{", "[z-"] {
            assert!(text.parse::<TablePatterns>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_pattern_has_to_match_a_table() {
        let one = |table: &str, kind| TableSummary {
            table: table.to_owned(),
            kind,
        };
        let listed = [
            one("order_items", TableKind::Table),
            one("orders", TableKind::Table),
            one("orders_shown", TableKind::View),
        ];
        let shared = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
            matching(&listed, &patterns)
        };
        assert_eq!(shared(&["*"]), Ok(2));
        assert_eq!(shared(&["orders", "order*"]), Ok(2));
        assert_eq!(
            shared(&["orders", "ordrs"]),
            Err(Unmatched::Nothing("ordrs".to_owned()))
        );
        let view = Unmatched::View("*shown".to_owned(), "orders_shown".to_owned());
        assert_eq!(shared(&["*shown"]), Err(view));
        assert_eq!(matching(&[], &["*".to_owned()]), Err(Unmatched::Everything));
    }
}
