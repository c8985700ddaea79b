//! The option `--strategy`: `NAME` for all tables, `TABLE=NAME` for one, with parameters as `NAME(column=updated_at)`.

use std::collections::BTreeMap;
use std::str::FromStr;

use tombolo::bindings::client::ChosenStrategy;

/// The strategy where no option names one: existing rows stay.
const DEFAULT: &str = "skip";

/// One `--strategy`.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyArgument {
    table: Option<String>,
    strategy: ChosenStrategy,
}

impl FromStr for StrategyArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (named, params) = with_params(text)?;
        // The name of a table may contain an equals sign, the name of a strategy does not.
        let (table, name) = match named.rsplit_once('=') {
            Some((table, name)) => (Some(table.to_owned()), name),
            None => (None, named),
        };
        if name.is_empty() || table.as_ref().is_some_and(String::is_empty) {
            return Err(format!(
                "invalid strategy {text:?}: use NAME, NAME(PARAMETER=VALUE,…) or TABLE=NAME"
            ));
        }
        let name = name.to_owned();
        Ok(Self {
            table,
            strategy: ChosenStrategy { name, params },
        })
    }
}

type Params = Vec<(String, String)>;

/// Splits the parameters off. The name of a table may contain parentheses, so the first that begin parameters count.
fn with_params(text: &str) -> Result<(&str, Params), String> {
    let Some(open) = text.strip_suffix(')') else {
        return Ok((text, Vec::new()));
    };
    for (at, _) in open.match_indices('(') {
        let (named, params) = open.split_at(at);
        let params = params.strip_prefix('(').unwrap_or_default();
        let name = named.rsplit('=').next().unwrap_or_default();
        if !name.is_empty()
            && let Some(params) = parse_params(params)
        {
            return Ok((named, params));
        }
    }
    Err(format!(
        "invalid parameters in strategy {text:?}: use NAME(PARAMETER=VALUE,…), each parameter once, with quotation marks around a value that contains a comma or a quotation mark, which is doubled"
    ))
}

/// Returns names and values; none if the text is not a list of them, or one is named twice.
fn parse_params(text: &str) -> Option<Params> {
    let mut params: Params = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let name = name.trim();
        let is_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let is_new = params.iter().all(|(other, _)| other != name);
        if name.is_empty() || !name.chars().all(is_name) || !is_new {
            return None;
        }
        let (value, after) = parse_value(value.trim_start())?;
        params.push((name.to_owned(), value));
        rest = match after.trim_start() {
            "" => "",
            after => match after.strip_prefix(',')?.trim_start() {
                "" => return None,
                next => next,
            },
        };
    }
    Some(params)
}

/// Returns a value and what comes after it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        let value = value.trim_end();
        return (!value.contains('"')).then(|| (value.to_owned(), after));
    };
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// The strategies of all `--strategy` options.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategies {
    /// For tables without one of their own.
    pub general: ChosenStrategy,
    /// By table.
    pub by_table: BTreeMap<String, ChosenStrategy>,
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
                let both = format!("{} and {}", before.name, strategy.name);
                return Err(match table {
                    Some(table) => format!("two strategies for table {table:?}, {both}: use one"),
                    None => format!(
                        "two strategies for all tables, {both}: use TABLE=NAME for a single table"
                    ),
                });
            }
        }
        Ok(Self {
            general: general.unwrap_or_else(|| ChosenStrategy {
                name: DEFAULT.to_owned(),
                params: Vec::new(),
            }),
            by_table,
        })
    }

    /// Returns the names of all strategies, also repeated ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.general)
            .chain(self.by_table.values())
            .map(|strategy| strategy.name.as_str())
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
        assert_eq!(strategies.general.name, "merge");
        let tables = strategies.by_table.iter();
        let tables: Vec<_> = tables
            .map(|(table, strategy)| (table, &strategy.name))
            .collect();
        assert_eq!(
            format!("{tables:?}"),
            r#"[("a=b", "overwrite"), ("c", "skip")]"#
        );
    }

    #[test]
    fn rows_that_exist_stay_by_default() {
        assert_eq!(read(&[]).unwrap().general.name, "skip");
    }

    #[test]
    fn parameters_are_read() {
        type Expected<'a> = (&'a str, Option<&'a str>, &'a str, &'a [(&'a str, &'a str)]);
        let cases: [Expected<'_>; 8] = [
            (
                "newest-wins(column=at)",
                None,
                "newest-wins",
                &[("column", "at")],
            ),
            (
                "t=newest-wins(column=at)",
                Some("t"),
                "newest-wins",
                &[("column", "at")],
            ),
            (
                "a=b(c)=n( x = 1 , y=\"a,\"\"b)\" )",
                Some("a=b(c)"),
                "n",
                &[("x", "1"), ("y", "a,\"b)")],
            ),
            ("a(b)=n(x=f(1))", Some("a(b)"), "n", &[("x", "f(1)")]),
            ("n()", None, "n", &[]),
            ("n(x=)", None, "n", &[("x", "")]),
            ("n(x=a=b)", None, "n", &[("x", "a=b")]),
            ("a(b=c)=skip", Some("a(b=c)"), "skip", &[]),
        ];
        for (text, table, name, params) in cases {
            let argument: StrategyArgument = text.parse().unwrap();
            assert_eq!(argument.table.as_deref(), table, "{text}");
            assert_eq!(argument.strategy.name, name, "{text}");
            let read = argument.strategy.params.iter();
            let read: Vec<_> = read
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(read, params, "{text}");
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for text in [
            "n(x)",
            "n(=1)",
            "n(x=1,)",
            "n(x=1,x=2)",
            "n(x=\"a)",
            "n(x=a\"b)",
            "(x=1)",
            "n(x=\"a\"b)",
            "n)",
        ] {
            let error = text.parse::<StrategyArgument>().unwrap_err();
            assert!(error.contains("PARAMETER=VALUE"), "{text}: {error}");
        }
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
