//! Whether rows of a peer's table can be taken into the table that exists here.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::types::{Column, Failure, Generation, LogicalType, TableSchema};
use crate::error::{ErrorCode, failure, printable};

/// The most differences that are told in one failure.
const MAX_TOLD: usize = 8;

/// Compares both sides by name and meaning; fails with `columns-differ`.
pub fn check(incoming: &TableSchema, local: &TableSchema) -> Result<(), Failure> {
    let there = writable(incoming);
    let here = writable(local);
    let only = |one: &BTreeMap<&str, &Column>, other: &BTreeMap<&str, &Column>| {
        let names = one.keys().filter(|name| !other.contains_key(*name));
        listed(names.map(|name| printable(name)))
    };
    let types = there.iter().filter_map(|(name, column)| {
        let own = here.get(name).filter(|own| !fits(column, own))?;
        let (name, origin) = (printable(name), printable(&column.origin));
        Some(format!("{name} (there {origin}, here {})", own.origin))
    });
    let mut differences: Vec<String> = [
        ("missing here", only(&there, &here)),
        ("only here", only(&here, &there)),
        ("other type", listed(types)),
    ]
    .into_iter()
    .filter_map(|(what, columns)| Some(format!("{what}: {}", columns?)))
    .collect();
    let key_there: BTreeSet<&String> = incoming.primary_key.iter().collect();
    let key_here: BTreeSet<&String> = local.primary_key.iter().collect();
    if !key_there.is_empty() && !key_here.is_empty() && key_there != key_here {
        let key = |schema: &TableSchema| {
            listed(schema.primary_key.iter().map(|name| printable(name))).unwrap_or_default()
        };
        differences.push(format!(
            "other primary key (there {}, here {})",
            key(incoming),
            key(local)
        ));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(failure(
        ErrorCode::ColumnsDiffer,
        format!(
            "table {:?} exists here with other columns: {}",
            local.table,
            differences.join("; ")
        ),
        "rename or change the table here, or leave it out; nothing was written",
    ))
}

/// Things in a row, at most so many of them; a peer may name thousands. None for none.
fn listed(things: impl Iterator<Item = String>) -> Option<String> {
    let mut told: Vec<String> = things.collect();
    let untold = told.len().saturating_sub(MAX_TOLD);
    told.truncate(MAX_TOLD);
    if untold > 0 {
        told.push(format!("and {untold} more"));
    }
    (!told.is_empty()).then(|| told.join(", "))
}

fn writable(table: &TableSchema) -> BTreeMap<&str, &Column> {
    table
        .columns
        .iter()
        .filter(|column| column.generation != Generation::Computed)
        .map(|column| (column.name.as_str(), column))
        .collect()
}

fn fits(incoming: &Column, local: &Column) -> bool {
    let both =
        |prefix: &str| incoming.origin.starts_with(prefix) && local.origin.starts_with(prefix);
    // SQLite keeps a type with each value, whatever the column says.
    if both("sqlite:") {
        return true;
    }
    if both("pg:") {
        // One of them may hold only the type's text, in a database that does not know the type.
        return incoming.logical == local.logical || incoming.origin == local.origin;
    }
    converts(&incoming.logical, &local.logical)
}

/// Whether each value either converts exactly or is refused by name, one by one.
fn converts(incoming: &LogicalType, local: &LogicalType) -> bool {
    use LogicalType as L;
    let has_text_form = |logical: &L| {
        matches!(
            logical,
            L::Decimal
                | L::Date
                | L::Time
                | L::Timetz
                | L::Timestamp
                | L::Timestamptz
                | L::Interval
                | L::Uuid
                | L::Json
                | L::Other(_)
        )
    };
    match (incoming, local) {
        (one, other) if one == other => true,
        (L::Any, _) | (_, L::Any) => true,
        (L::Text, other) | (other, L::Text) => has_text_form(other),
        (L::Integer, L::Boolean | L::Decimal | L::Float)
        | (L::Boolean | L::Decimal, L::Integer)
        | (L::Float, L::Decimal)
        | (L::Decimal, L::Float) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn table(columns: &[(&str, LogicalType, &str)]) -> TableSchema {
        TableSchema {
            table: "t".to_owned(),
            columns: columns
                .iter()
                .map(|(name, logical, origin)| Column {
                    name: (*name).to_owned(),
                    logical: logical.clone(),
                    origin: (*origin).to_owned(),
                    nullable: true,
                    default: None,
                    generation: Generation::None,
                })
                .collect(),
            primary_key: columns
                .iter()
                .take(1)
                .map(|(name, ..)| (*name).to_owned())
                .collect(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    #[test]
    fn equal_and_convertible_columns_pass_in_any_order() {
        let there = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("at", LogicalType::Timestamp, "pg:timestamp"),
        ]);
        let mut here = table(&[
            ("id", LogicalType::Integer, "sqlite:INTEGER"),
            ("at", LogicalType::Text, "sqlite:TEXT"),
        ]);
        check(&there, &here).unwrap();
        here.columns.reverse();
        check(&there, &here).unwrap();
        check(&here, &there).unwrap();
    }

    #[test]
    fn every_difference_is_named() {
        let there = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("a", LogicalType::Text, "pg:text"),
        ]);
        let mut here = table(&[
            ("id", LogicalType::Text, "pg:text"),
            ("b", LogicalType::Text, "pg:text"),
        ]);
        here.primary_key = vec!["b".to_owned()];
        let failure = check(&there, &here).unwrap_err();
        assert_eq!(failure.code, "columns-differ");
        for part in [
            "missing here: a",
            "only here: b",
            "other type: id (there pg:bigint, here pg:text)",
            "other primary key (there id, here b)",
        ] {
            assert!(
                failure.message.contains(part),
                "{part} in {}",
                failure.message
            );
        }
    }

    #[test]
    fn a_peers_names_do_not_reach_a_terminal_raw_or_by_the_thousand() {
        let names: Vec<String> = (0..50).map(|number| format!("\u{1b}[2J{number}")).collect();
        let columns: Vec<(&str, LogicalType, &str)> = names
            .iter()
            .map(|name| (name.as_str(), LogicalType::Text, "pg:text"))
            .collect();
        let failure = check(&table(&columns), &table(&[])).unwrap_err();
        assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
        assert!(failure.message.contains("and 42 more"), "{failure:?}");
    }

    #[test]
    fn which_types_go_together() {
        use LogicalType as L;
        let other = || L::Other("inet".to_owned());
        let fine = [
            (L::Any, L::Uuid),
            (L::Bytes, L::Any),
            (L::Text, L::Decimal),
            (L::Json, L::Text),
            (L::Text, other()),
            (L::Integer, L::Boolean),
            (L::Boolean, L::Integer),
            (L::Integer, L::Decimal),
            (L::Decimal, L::Integer),
            (L::Integer, L::Float),
            (L::Float, L::Decimal),
            (L::Decimal, L::Float),
        ];
        let mixed = |one: LogicalType, two: LogicalType| {
            let there = table(&[("c", one, "pg:x")]);
            let here = table(&[("c", two, "sqlite:x")]);
            check(&there, &here)
        };
        for (one, two) in fine {
            assert!(mixed(one.clone(), two.clone()).is_ok(), "{one:?} {two:?}");
        }
        for (one, two) in [
            (L::Float, L::Integer),
            (L::Text, L::Integer),
            (L::Bytes, L::Text),
            (L::Boolean, L::Float),
            (other(), L::Other("cidr".to_owned())),
        ] {
            assert!(mixed(one.clone(), two.clone()).is_err(), "{one:?} {two:?}");
        }
        // Between two of PostgreSQL only the same type will do, between two of SQLite any.
        let same = |prefix: &str| {
            let (there, here) = (format!("{prefix}:a"), format!("{prefix}:b"));
            let there = table(&[("c", L::Text, there.as_str())]);
            let here = table(&[("c", L::Json, here.as_str())]);
            check(&there, &here)
        };
        assert!(same("pg").is_err());
        assert!(same("sqlite").is_ok());
    }

    #[test]
    fn computed_columns_do_not_count() {
        let there = table(&[("id", LogicalType::Integer, "pg:bigint")]);
        let mut here = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("sum", LogicalType::Integer, "pg:bigint"),
        ]);
        for column in &mut here.columns {
            if column.name == "sum" {
                column.generation = Generation::Computed;
            }
        }
        check(&there, &here).unwrap();
    }

    #[test]
    fn numbers_never_become_times() {
        let there = table(&[("at", LogicalType::Integer, "sqlite:INTEGER")]);
        let here = table(&[("at", LogicalType::Timestamp, "pg:timestamp")]);
        assert!(check(&there, &here).is_err());
    }
}
