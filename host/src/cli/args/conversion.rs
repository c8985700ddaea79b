//! The option `--conversion`: `POLICY` for all columns, `TABLE.COLUMN=POLICY` for one.

use std::collections::BTreeMap;
use std::str::FromStr;

use tombolo::bindings::types::Conversion;

/// One `--conversion`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversionArgument {
    /// Table, point, column. Both names may contain points: the engine, which knows the tables, finds the column.
    column: Option<String>,
    policy: Conversion,
}

impl FromStr for ConversionArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name of a column may contain an equals sign, a policy does not.
        let (column, policy) = match text.rsplit_once('=') {
            Some((column, policy)) => (Some(column.to_owned()), policy),
            None => (None, text),
        };
        let named = |column: &String| {
            let parts = column.split_once('.');
            parts.is_some_and(|(table, column)| !table.is_empty() && !column.is_empty())
        };
        if !column.as_ref().is_none_or(named) {
            return Err(format!(
                "invalid conversion {text:?}: use POLICY or TABLE.COLUMN=POLICY"
            ));
        }
        let policy = match policy {
            "exact" => Conversion::Exact,
            "widen" => Conversion::Widen,
            "lossy" => Conversion::Lossy,
            _ => {
                return Err(format!(
                    "unknown policy {policy:?}: use exact, widen or lossy"
                ));
            }
        };
        Ok(Self { column, policy })
    }
}

/// The policies of all `--conversion` options.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversions {
    /// For columns without one of their own.
    pub general: Conversion,
    /// By table, point, column.
    pub by_column: BTreeMap<String, Conversion>,
}

impl Conversions {
    /// Combines the options. Fails if all columns, or a single one, have two policies.
    pub fn new(arguments: &[ConversionArgument]) -> Result<Self, String> {
        let mut general = None;
        let mut by_column = BTreeMap::new();
        for ConversionArgument { column, policy } in arguments {
            let before = match column {
                Some(column) => by_column.insert(column.clone(), policy.clone()),
                None => general.replace(policy.clone()),
            };
            if before.is_some() {
                return Err(match column {
                    Some(column) => format!("two conversion policies for column {column:?}: use one"),
                    None => "two conversion policies for all columns: use TABLE.COLUMN=POLICY for a single column".to_owned(),
                });
            }
        }
        Ok(Self {
            general: general.unwrap_or(Conversion::Exact),
            by_column,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(texts: &[&str]) -> Result<Conversions, String> {
        let arguments: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Conversions::new(&arguments)
    }

    #[test]
    fn the_last_equals_sign_separates() {
        let conversions = read(&["lossy", "a.b=c.d=widen", "t.n=exact"]).unwrap();
        assert_eq!(conversions.general, Conversion::Lossy);
        let of = |column: &str| conversions.by_column.get(column).unwrap();
        assert_eq!(*of("a.b=c.d"), Conversion::Widen);
        assert_eq!(*of("t.n"), Conversion::Exact);
        assert_eq!(read(&[]).unwrap().general, Conversion::Exact);
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let twice = read(&["lossy", "widen"]).unwrap_err();
        assert!(twice.contains("all columns"), "{twice}");
        let twice = read(&["t.n=lossy", "t.n=lossy"]).unwrap_err();
        assert!(twice.contains("t.n"), "{twice}");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "round",
            "t.n=",
            "t.n=Lossy",
            "=lossy",
            "t=lossy",
            ".n=lossy",
            "t.=lossy",
        ] {
            assert!(text.parse::<ConversionArgument>().is_err(), "{text:?}");
        }
    }
}
