//! The options `--conversion`, `--time-zone` and `--epoch`: `VALUE` for all columns, `TABLE.COLUMN=VALUE` for one.

use std::collections::BTreeMap;
use std::str::FromStr;

use tombolo::bindings::types::{Conversion, EpochUnit, ParseRules};

/// The longest name of a time zone, in bytes.
const MAX_ZONE: usize = 64;

/// One of these options.
#[derive(Clone, Debug, PartialEq)]
pub struct ForColumns<T> {
    /// Table, point, column; none for all columns. Both names may contain points: the engine, which knows the tables,
    /// finds the column.
    column: Option<String>,
    value: T,
}

/// One `--conversion`.
pub type ConversionArgument = ForColumns<Policy>;

/// One `--time-zone`.
pub type ZoneArgument = ForColumns<ZoneName>;

/// One `--epoch`.
pub type EpochArgument = ForColumns<Unit>;

/// The name of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Reject the row.
    Exact,
    /// Store what the value denotes.
    Parse,
    /// Create a column that holds it.
    Widen,
    /// Store the nearest value.
    Lossy,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "parse" => Ok(Self::Parse),
            "widen" => Ok(Self::Widen),
            "lossy" => Ok(Self::Lossy),
            _ => Err(format!(
                "unknown policy {text:?}: use exact, parse, widen or lossy"
            )),
        }
    }
}

/// `UTC`, an offset, or a name that the target may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneName(String);

impl FromStr for ZoneName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-:/_".contains(&byte);
        match (1..=MAX_ZONE).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "invalid time zone {text:?}: use UTC, an offset such as +02:00, or a name such as Europe/Berlin"
            )),
        }
    }
}

/// What a number counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit(EpochUnit);

impl FromStr for Unit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "s" => Ok(Self(EpochUnit::Seconds)),
            "ms" => Ok(Self(EpochUnit::Milliseconds)),
            "us" => Ok(Self(EpochUnit::Microseconds)),
            _ => Err(format!("unknown unit {text:?}: use s, ms or us")),
        }
    }
}

impl<T: FromStr<Err = String>> FromStr for ForColumns<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name of a column may contain an equals sign, a value does not.
        let (column, value) = match text.rsplit_once('=') {
            Some((column, value)) => (Some(column.to_owned()), value),
            None => (None, text),
        };
        let named = |column: &String| {
            let parts = column.split_once('.');
            parts.is_some_and(|(table, column)| !table.is_empty() && !column.is_empty())
        };
        if !column.as_ref().is_none_or(named) {
            return Err(format!(
                "invalid option {text:?}: use VALUE or TABLE.COLUMN=VALUE"
            ));
        }
        Ok(Self {
            column,
            value: value.parse()?,
        })
    }
}

/// What all options of one kind say.
struct Merged<T> {
    general: Option<T>,
    by_column: BTreeMap<String, T>,
}

impl<T: Clone> Merged<T> {
    /// Fails if all columns, or a single one, have two values.
    fn new(option: &str, arguments: &[ForColumns<T>]) -> Result<Self, String> {
        let mut merged = Self {
            general: None,
            by_column: BTreeMap::new(),
        };
        for ForColumns { column, value } in arguments {
            let before = match column {
                Some(column) => merged.by_column.insert(column.clone(), value.clone()),
                None => merged.general.replace(value.clone()),
            };
            if before.is_some() {
                return Err(match column {
                    Some(column) => format!("two {option} for column {column:?}: use one"),
                    None => format!(
                        "two {option} for all columns: use TABLE.COLUMN=VALUE for a single column"
                    ),
                });
            }
        }
        Ok(merged)
    }

    fn of(&self, column: &str) -> Option<&T> {
        self.by_column.get(column).or(self.general.as_ref())
    }
}

/// The options as they are typed.
#[derive(Clone, Debug, clap::Args)]
pub struct ConversionArguments {
    /// What happens to values that a PostgreSQL column cannot hold exactly, for all columns or for one; repeatable
    /// [default: exact]
    #[arg(long = "conversion", value_name = "POLICY | TABLE.COLUMN=POLICY")]
    conversions: Vec<ConversionArgument>,
    /// With --conversion parse: the zone of date-times without one, such as UTC, +02:00 or Europe/Berlin, for all columns
    /// or for one; repeatable
    #[arg(long = "time-zone", value_name = "ZONE | TABLE.COLUMN=ZONE")]
    zones: Vec<ZoneArgument>,
    /// With --conversion parse: what numbers in columns of dates and times count since 1970, s, ms or us, for all columns or
    /// for one; repeatable
    #[arg(long = "epoch", value_name = "UNIT | TABLE.COLUMN=UNIT")]
    epochs: Vec<EpochArgument>,
}

/// The policies of all options.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversions {
    /// For columns without one of their own.
    pub general: Conversion,
    /// By table, point, column.
    pub by_column: BTreeMap<String, Conversion>,
}

impl Conversions {
    /// Combines the options. Fails if all columns, or a single one, have two values, and if a zone or a unit is for no
    /// column with the policy `parse`.
    pub fn new(arguments: &ConversionArguments) -> Result<Self, String> {
        let policies = Merged::new("conversion policies", &arguments.conversions)?;
        let zones = Merged::new("time zones", &arguments.zones)?;
        let epochs = Merged::new("units", &arguments.epochs)?;
        let rules = |zone: Option<&ZoneName>, epoch: Option<&Unit>| {
            Conversion::Parse(ParseRules {
                time_zone: zone.map(|ZoneName(name)| name.clone()),
                epoch: epoch.map(|Unit(unit)| unit.clone()),
            })
        };
        let conversion = |policy: Policy, column: Option<&str>| match (policy, column) {
            (Policy::Exact, _) => Conversion::Exact,
            (Policy::Widen, _) => Conversion::Widen,
            (Policy::Lossy, _) => Conversion::Lossy,
            (Policy::Parse, Some(column)) => rules(zones.of(column), epochs.of(column)),
            (Policy::Parse, None) => rules(zones.general.as_ref(), epochs.general.as_ref()),
        };
        let general = policies.general.unwrap_or(Policy::Exact);
        let mut by_column = BTreeMap::new();
        let columns = policies.by_column.keys();
        let columns = columns.chain(zones.by_column.keys());
        for column in columns.chain(epochs.by_column.keys()) {
            let policy = policies.by_column.get(column).copied();
            let policy = policy.unwrap_or(general);
            let told =
                zones.by_column.contains_key(column) || epochs.by_column.contains_key(column);
            if told && policy != Policy::Parse {
                return Err(format!(
                    "--time-zone and --epoch need --conversion parse, which column {column:?} does not have"
                ));
            }
            by_column.insert(column.clone(), conversion(policy, Some(column)));
        }
        let told = zones.general.is_some() || epochs.general.is_some();
        let parses = general == Policy::Parse
            || by_column
                .values()
                .any(|policy| matches!(policy, Conversion::Parse(_)));
        if told && !parses {
            return Err("--time-zone and --epoch need --conversion parse".to_owned());
        }
        Ok(Self {
            general: conversion(general, None),
            by_column,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read_all(texts: &[&str], zones: &[&str], epochs: &[&str]) -> Result<Conversions, String> {
        Conversions::new(&ConversionArguments {
            conversions: texts.iter().map(|text| text.parse().unwrap()).collect(),
            zones: zones.iter().map(|text| text.parse().unwrap()).collect(),
            epochs: epochs.iter().map(|text| text.parse().unwrap()).collect(),
        })
    }

    fn read(texts: &[&str]) -> Result<Conversions, String> {
        read_all(texts, &[], &[])
    }

    fn parse(zone: Option<&str>, epoch: Option<EpochUnit>) -> Conversion {
        Conversion::Parse(ParseRules {
            time_zone: zone.map(str::to_owned),
            epoch,
        })
    }

    #[test]
    fn zones_and_units_belong_to_parsed_columns() {
        let zones = ["UTC", "t.a=Europe/Berlin", "t.d=+02:00"];
        let read = read_all(&["parse", "t.b=exact", "t.c=lossy"], &zones, &["t.a=ms"]).unwrap();
        assert_eq!(read.general, parse(Some("UTC"), None));
        let of = |column: &str| read.by_column.get(column).cloned();
        let own = parse(Some("Europe/Berlin"), Some(EpochUnit::Milliseconds));
        assert_eq!(of("t.a"), Some(own));
        assert_eq!(of("t.b"), Some(Conversion::Exact));
        assert_eq!(of("t.d"), Some(parse(Some("+02:00"), None)));
        let one = read_all(&["t.a=parse"], &["UTC"], &["s"]).unwrap();
        assert_eq!(one.general, Conversion::Exact);
        let own = parse(Some("UTC"), Some(EpochUnit::Seconds));
        assert_eq!(one.by_column.get("t.a"), Some(&own));
        for (policies, zones, epochs) in [
            (&[][..], &["UTC"][..], &[][..]),
            (&["lossy"], &[], &["s"]),
            (&["parse", "t.a=exact"], &["t.a=UTC"], &[]),
            (&["t.b=parse"], &[], &["t.a=s"]),
        ] {
            let refused = read_all(policies, zones, epochs).unwrap_err();
            assert!(refused.contains("--conversion parse"), "{refused}");
        }
        assert!(read_all(&["parse"], &["UTC", "+01"], &[]).is_err());
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
        for text in ["", "a b", "UTC;", "t=UTC", &"x".repeat(65)] {
            assert!(text.parse::<ZoneArgument>().is_err(), "{text:?}");
        }
        for text in ["", "S", "sec", "ns", "t.a="] {
            assert!(text.parse::<EpochArgument>().is_err(), "{text:?}");
        }
    }
}
