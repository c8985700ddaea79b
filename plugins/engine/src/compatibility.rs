//! Whether rows of a peer's table can be taken into the table that exists here.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::tombolo::sync::types::{
    Column, Failure, Generation, LogicalType, TableSchema,
};
use crate::failure::failure;

/// Compares both sides by name and meaning; fails with `columns-differ`.
pub fn check(incoming: &TableSchema, local: &TableSchema) -> Result<(), Failure> {
    let there = writable(incoming);
    let here = writable(local);
    let mut differences = Vec::new();
    let missing: Vec<&str> = there
        .keys()
        .filter(|name| !here.contains_key(*name))
        .copied()
        .collect();
    if !missing.is_empty() {
        differences.push(format!("missing here: {}", missing.join(", ")));
    }
    let extra: Vec<&str> = here
        .keys()
        .filter(|name| !there.contains_key(*name))
        .copied()
        .collect();
    if !extra.is_empty() {
        differences.push(format!("only here: {}", extra.join(", ")));
    }
    for (name, column) in &there {
        if let Some(own) = here.get(name)
            && !fits(column, own)
        {
            differences.push(format!(
                "another type: {name} (there {}, here {})",
                column.origin, own.origin
            ));
        }
    }
    let key_there: BTreeSet<&String> = incoming.primary_key.iter().collect();
    let key_here: BTreeSet<&String> = local.primary_key.iter().collect();
    if !key_there.is_empty() && !key_here.is_empty() && key_there != key_here {
        differences.push(format!(
            "another primary key (there {}, here {})",
            incoming.primary_key.join(", "),
            local.primary_key.join(", ")
        ));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(failure(
        "columns-differ",
        format!(
            "table {:?} exists here with other columns: {}",
            local.table,
            differences.join("; ")
        ),
        "rename or change the table here, or leave it out; nothing was written",
    ))
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
        return incoming.logical == local.logical;
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
            "another type: id (there pg:bigint, here pg:text)",
            "another primary key",
        ] {
            assert!(
                failure.message.contains(part),
                "{part} in {}",
                failure.message
            );
        }
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
