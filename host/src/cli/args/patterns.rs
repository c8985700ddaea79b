//! The option `--tables GLOB,…`: patterns of table names, and the tables that they match.

use std::str::FromStr;

use tombolo::bindings::database::{TableKind, TableSummary};
use tombolo::bindings::types::{Error, Failure};
use tombolo::failure::{ErrorCode, failure, nearest};
use tombolo::resources::Patterns;

use crate::cli::output::shell::quoted;

/// A list of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePatterns(Vec<String>);

impl TablePatterns {
    /// Returns the patterns, each of them valid.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for TablePatterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = split(text);
        if patterns.iter().any(String::is_empty) {
            return Err(format!(
                "empty pattern in {text:?}: put one comma between two patterns"
            ));
        }
        match Patterns::new(&patterns) {
            Ok(_) => Ok(Self(patterns)),
            Err(Error::Invalid(reason) | Error::Limit(reason)) => Err(reason),
            Err(_) => Err(format!("invalid patterns {text:?}")),
        }
    }
}

/// Splits a list at the commas outside of `{a,b}`. A text is one pattern if it has no comma, or if what stands between its
/// commas are no plain names: those have neither blanks nor quotation marks nor parentheses.
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
    let parts: Vec<String> = match parts.len() {
        1 => parts,
        _ => parts.iter().map(|part| part.trim().to_owned()).collect(),
    };
    let no_name = |sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | '(' | ')');
    match parts.iter().any(|part| part.contains(no_name)) {
        true => vec![text.to_owned()],
        false => parts,
    }
}

/// Why the patterns select no tables.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// The database has no tables.
    Everything,
    /// This pattern matches no name; this table may have been meant.
    Nothing(String, Option<String>),
    /// All tables are left out.
    Excluded,
    /// This pattern matches only names that are not tables, such as this view.
    View(String, String),
}

impl Unmatched {
    /// Returns the failure: `no-such-table` or `not-a-table`.
    pub fn failure(self, database: &str) -> Failure {
        let hint = format!("to see them: tombolo tables {}", quoted(database));
        match self {
            Self::Everything => {
                let message = format!("{database} has no tables to share");
                failure(ErrorCode::NoSuchTable, message, hint)
            }
            Self::Nothing(pattern, meant) => {
                let message = format!("no table in {database} matches {pattern:?}");
                let hint = meant.map_or(hint, |meant| format!("did you mean {meant:?}?"));
                failure(ErrorCode::NoSuchTable, message, hint)
            }
            Self::Excluded => {
                let message = format!("--exclude leaves no table of {database} to share");
                failure(ErrorCode::NoSuchTable, message, hint)
            }
            Self::View(pattern, view) => failure(
                ErrorCode::NotATable,
                format!("{pattern:?} matches {view:?} in {database}, which is not a table"),
                "name the tables behind the view instead",
            ),
        }
    }
}

/// Returns how many tables the patterns select, without those that are excluded. Fails if one of the patterns matches no
/// table: it is misspelt.
pub fn matching(
    listed: &[TableSummary],
    patterns: &[String],
    excluded: &[String],
) -> Result<usize, Unmatched> {
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
            return Err(misspelt(listed, pattern));
        };
        if !found.any(|one| is_table(&one)) {
            return Err(Unmatched::View(pattern.clone(), first.table.clone()));
        }
    }
    for pattern in excluded {
        if !listed.iter().any(|one| matches(pattern, one)) {
            return Err(misspelt(listed, pattern));
        }
    }
    let shared = listed.iter().filter(is_table);
    let shared = shared.filter(|one| patterns.iter().any(|pattern| matches(pattern, one)));
    let shared = shared.filter(|one| !excluded.iter().any(|pattern| matches(pattern, one)));
    match shared.count() {
        0 => Err(Unmatched::Excluded),
        shared => Ok(shared),
    }
}

fn misspelt(listed: &[TableSummary], pattern: &str) -> Unmatched {
    let names = listed.iter().map(|one| one.table.as_str());
    let meant = nearest(pattern, names).map(str::to_owned);
    Unmatched::Nothing(pattern.to_owned(), meant)
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
        for name in [
            " a ",
            "the \"second\", a",
            "l'un,l'autre",
            "x DECIMAL(10,2)",
            "f(a,b)",
        ] {
            assert_eq!(read(name), [name]);
        }
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
            matching(&listed, &patterns, &[])
        };
        assert_eq!(shared(&["*"]), Ok(2));
        assert_eq!(shared(&["orders", "order*"]), Ok(2));
        assert_eq!(
            shared(&["orders", "ordrs"]),
            Err(Unmatched::Nothing(
                "ordrs".to_owned(),
                Some("orders".to_owned())
            ))
        );
        let view = Unmatched::View("*shown".to_owned(), "orders_shown".to_owned());
        assert_eq!(shared(&["*shown"]), Err(view));
        assert_eq!(
            matching(&[], &["*".to_owned()], &[]),
            Err(Unmatched::Everything)
        );
        let without = |excluded: &str| matching(&listed, &["*".to_owned()], &[excluded.to_owned()]);
        assert_eq!(without("*items"), Ok(1));
        assert_eq!(without("order*"), Err(Unmatched::Excluded));
        assert_eq!(without("x"), Err(Unmatched::Nothing("x".to_owned(), None)));
    }
}
