//! `--strategy NAME` for all tables, `--strategy TABLE=NAME` for one.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What wins where nobody says anything: rows that exist stay.
const DEFAULT: &str = "skip";

/// One `--strategy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyArgument {
    table: Option<String>,
    strategy: String,
}

impl FromStr for StrategyArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The name of a table may contain anything, the name of a strategy no equals sign.
        let (table, strategy) = match text.rsplit_once('=') {
            Some((table, strategy)) => (Some(table.to_owned()), strategy),
            None => (None, text),
        };
        if strategy.is_empty() || table.as_ref().is_some_and(String::is_empty) {
            return Err("write it as NAME or TABLE=NAME");
        }
        Ok(Self {
            table,
            strategy: strategy.to_owned(),
        })
    }
}

/// All of them put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategies {
    /// For tables without one of their own.
    pub general: String,
    /// By table.
    pub by_table: BTreeMap<String, String>,
}

impl Strategies {
    /// Puts the arguments together; an error says what is named twice.
    pub fn new(arguments: &[StrategyArgument]) -> Result<Self, String> {
        let mut general = None;
        let mut by_table = BTreeMap::new();
        for StrategyArgument { table, strategy } in arguments {
            let before = match table {
                Some(table) => by_table.insert(table.clone(), strategy.clone()),
                None => general.replace(strategy.clone()),
            };
            if let Some(before) = before {
                let whom = table
                    .as_ref()
                    .map_or("all tables".to_owned(), |table| format!("table {table:?}"));
                return Err(format!(
                    "two strategies for {whom}: {before} and {strategy}; use TABLE=NAME for single tables"
                ));
            }
        }
        Ok(Self {
            general: general.unwrap_or_else(|| DEFAULT.to_owned()),
            by_table,
        })
    }

    /// The names that are used.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.general)
            .chain(self.by_table.values())
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(texts: &[&str]) -> Result<Strategies, String> {
        let arguments: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Strategies::new(&arguments)
    }

    #[test]
    fn the_last_equals_sign_separates() {
        let strategies = read(&["merge", "a=b=overwrite", "c=skip"]).unwrap();
        assert_eq!(strategies.general, "merge");
        let tables: Vec<_> = strategies.by_table.iter().collect();
        assert_eq!(
            format!("{tables:?}"),
            r#"[("a=b", "overwrite"), ("c", "skip")]"#
        );
    }

    #[test]
    fn rows_that_exist_stay_by_default() {
        assert_eq!(read(&[]).unwrap().general, "skip");
    }

    #[test]
    fn nothing_is_named_twice() {
        assert!(read(&["skip", "merge"]).unwrap_err().contains("all tables"));
        assert!(read(&["a=skip", "a=skip"]).unwrap_err().contains("\"a\""));
    }

    #[test]
    fn both_parts_are_needed() {
        for text in ["", "=", "a=", "=skip"] {
            assert!(text.parse::<StrategyArgument>().is_err(), "{text}");
        }
    }
}
