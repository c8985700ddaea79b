//! The option `--strategy`: `NAME` for all tables, `TABLE=NAME` for one.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The strategy where no option names one: existing rows stay.
const DEFAULT: &str = "skip";

/// One `--strategy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyArgument {
    table: Option<String>,
    strategy: String,
}

impl FromStr for StrategyArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name of a table may contain an equals sign, the name of a strategy does not.
        let (table, strategy) = match text.rsplit_once('=') {
            Some((table, strategy)) => (Some(table.to_owned()), strategy),
            None => (None, text),
        };
        if strategy.is_empty() || table.as_ref().is_some_and(String::is_empty) {
            return Err(format!("invalid strategy {text:?}: use NAME or TABLE=NAME"));
        }
        Ok(Self {
            table,
            strategy: strategy.to_owned(),
        })
    }
}

/// The strategies of all `--strategy` options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategies {
    /// For tables without one of their own.
    pub general: String,
    /// By table.
    pub by_table: BTreeMap<String, String>,
}

impl Strategies {
    /// Combines the options. Fails if all tables, or a single one, have two strategies.
    pub fn new(arguments: &[StrategyArgument]) -> Result<Self, String> {
        let mut general = None;
        let mut by_table = BTreeMap::new();
        for StrategyArgument { table, strategy } in arguments {
            let before = match table {
                Some(table) => by_table.insert(table.clone(), strategy.clone()),
                None => general.replace(strategy.clone()),
            };
            if let Some(before) = before {
                let both = format!("{before} and {strategy}");
                return Err(match table {
                    Some(table) => format!("two strategies for table {table:?}, {both}: use one"),
                    None => format!(
                        "two strategies for all tables, {both}: use TABLE=NAME for a single table"
                    ),
                });
            }
        }
        Ok(Self {
            general: general.unwrap_or_else(|| DEFAULT.to_owned()),
            by_table,
        })
    }

    /// Returns the names of all strategies, also repeated ones.
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
