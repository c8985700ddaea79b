//! Whether the rows of a peer's table fit into the table that exists in the target.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::types::{Column, Failure, LogicalType, TableSchema};
use crate::error::{ErrorCode, failure, printable};
use crate::pull::conversion::{self, Policies};
use crate::pull::origin::Origin;
use crate::wire::sent_columns;

/// The part of a message about types.
const DIFFERENT_TYPE: &str = "different type";

/// The most names in one part of a message; a peer may send thousands.
const MAX_LISTED: usize = 8;

/// Compares the columns and primary keys of both sides by name and meaning. Columns with the policy `parse` take more.
///
/// Fails with `columns-differ` if a column exists on one side only, if a type cannot be converted to that of the other
/// side, or if the primary keys differ.
pub fn check(
    incoming: &TableSchema,
    local: &TableSchema,
    policies: &Policies,
) -> Result<(), Failure> {
    let remote_columns = columns_by_name(incoming);
    let local_columns = columns_by_name(local);
    let only = |one: &BTreeMap<&str, &Column>, other: &BTreeMap<&str, &Column>| {
        let names = one.keys().filter(|name| !other.contains_key(*name));
        list(names.map(|name| printable(name)))
    };
    let does_fit = |column: &Column, own: &Column| {
        fits(column, own) || conversion::parses(policies, &column.name) && may_denote(column, own)
    };
    let mut parse_helps = true;
    let types = remote_columns.iter().filter_map(|(name, column)| {
        let own = local_columns
            .get(name)
            .filter(|own| !does_fit(column, own))?;
        parse_helps &= may_denote(column, own);
        let (name, origin) = (printable(name), printable(&column.origin));
        Some(format!("{name} (remote {origin}, local {})", own.origin))
    });
    let mut differences: Vec<String> = [
        ("remote only", only(&remote_columns, &local_columns)),
        ("local only", only(&local_columns, &remote_columns)),
        (DIFFERENT_TYPE, list(types)),
    ]
    .into_iter()
    .filter_map(|(what, columns)| Some(format!("{what}: {}", columns?)))
    .collect();
    let remote_key: BTreeSet<&String> = incoming.primary_key.iter().collect();
    let local_key: BTreeSet<&String> = local.primary_key.iter().collect();
    if !remote_key.is_empty() && !local_key.is_empty() && remote_key != local_key {
        let key = |schema: &TableSchema| {
            list(schema.primary_key.iter().map(|name| printable(name))).unwrap_or_default()
        };
        differences.push(format!(
            "different primary key (remote {}, local {})",
            key(incoming),
            key(local)
        ));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let only_types = matches!(differences.as_slice(), [one] if one.starts_with(DIFFERENT_TYPE));
    Err(failure(
        ErrorCode::ColumnsDiffer,
        format!(
            "table {:?} exists in the target with different columns: {}",
            local.table,
            differences.join("; ")
        ),
        match only_types && parse_helps {
            true => {
                "add --conversion parse to store what their texts and numbers denote; nothing was written"
            }
            false => {
                "rename or change the table in the target, or leave it out; nothing was written"
            }
        },
    ))
}

/// The first texts, separated by commas, and how many more there are; none if there is no text.
fn list(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut listed: Vec<String> = texts.collect();
    let more = listed.len().saturating_sub(MAX_LISTED);
    listed.truncate(MAX_LISTED);
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    (!listed.is_empty()).then(|| listed.join(", "))
}

fn columns_by_name(table: &TableSchema) -> BTreeMap<&str, &Column> {
    sent_columns(table)
        .map(|column| (column.name.as_str(), column))
        .collect()
}

fn fits(incoming: &Column, local: &Column) -> bool {
    match (Origin::from(incoming), Origin::from(local)) {
        // In SQLite each value has its own type, whatever the column declares.
        (Origin::Sqlite(_), Origin::Sqlite(_)) => true,
        // One of the two may hold the text of a type that its database does not have.
        (Origin::Postgres(remote_type), Origin::Postgres(local_type)) => {
            incoming.logical == local.logical || remote_type == local_type
        }
        _ => converts(&incoming.logical, &local.logical),
    }
}

/// Whether the texts or numbers of a column may denote values of another one. SQLite has values of every kind in every column.
fn may_denote(incoming: &Column, local: &Column) -> bool {
    use LogicalType as L;
    let is_postgres = matches!(Origin::from(local), Origin::Postgres(_));
    let is_number = matches!(incoming.logical, L::Integer | L::Float | L::Decimal);
    let is_moment =
        |column: &Column| matches!(column.logical, L::Date | L::Timestamp | L::Timestamptz);
    is_postgres
        && match Origin::from(incoming) {
            Origin::Sqlite(_) => true,
            Origin::Postgres(_) | Origin::Other(_) => {
                incoming.logical == L::Text
                    || is_number && local.logical != L::Text
                    || is_moment(incoming) && is_moment(local)
            }
        }
}

/// Whether each value is either converted exactly or rejected by itself.
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
    use crate::bindings::types::Generation;

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
    fn equal_and_convertible_columns_fit_in_any_order() {
        let remote = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("at", LogicalType::Timestamp, "pg:timestamp"),
        ]);
        let mut local = table(&[
            ("id", LogicalType::Integer, "sqlite:INTEGER"),
            ("at", LogicalType::Text, "sqlite:TEXT"),
        ]);
        check(&remote, &local, &Vec::new()).unwrap();
        local.columns.reverse();
        check(&remote, &local, &Vec::new()).unwrap();
        check(&local, &remote, &Vec::new()).unwrap();
    }

    #[test]
    fn every_difference_is_named() {
        let remote = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("a", LogicalType::Text, "pg:text"),
        ]);
        let mut local = table(&[
            ("id", LogicalType::Text, "pg:text"),
            ("b", LogicalType::Text, "pg:text"),
        ]);
        local.primary_key = vec!["b".to_owned()];
        let failure = check(&remote, &local, &Vec::new()).unwrap_err();
        assert_eq!(failure.code, "columns-differ");
        for part in [
            "remote only: a",
            "local only: b",
            "different type: id (remote pg:bigint, local pg:text)",
            "different primary key (remote id, local b)",
        ] {
            assert!(
                failure.message.contains(part),
                "{part} in {}",
                failure.message
            );
        }
    }

    #[test]
    fn names_of_a_peer_are_printable_and_few_in_a_message() {
        let names: Vec<String> = (0..50).map(|number| format!("\u{1b}[2J{number}")).collect();
        let columns: Vec<(&str, LogicalType, &str)> = names
            .iter()
            .map(|name| (name.as_str(), LogicalType::Text, "pg:text"))
            .collect();
        let failure = check(&table(&columns), &table(&[]), &Vec::new()).unwrap_err();
        assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
        assert!(failure.message.contains("and 42 more"), "{failure:?}");
    }

    #[test]
    fn types_that_can_be_converted_fit() {
        use LogicalType as L;
        let other = || L::Other("inet".to_owned());
        let convertible = [
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
            let remote = table(&[("c", one, "pg:x")]);
            let local = table(&[("c", two, "sqlite:x")]);
            check(&remote, &local, &Vec::new())
        };
        for (one, two) in convertible {
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
        // Between two PostgreSQL databases only the same type fits, between two of SQLite every type.
        let same = |prefix: &str| {
            let (remote, local) = (format!("{prefix}:a"), format!("{prefix}:b"));
            let remote = table(&[("c", L::Text, remote.as_str())]);
            let local = table(&[("c", L::Json, local.as_str())]);
            check(&remote, &local, &Vec::new())
        };
        assert!(same("pg").is_err());
        assert!(same("sqlite").is_ok());
    }

    #[test]
    fn computed_columns_are_not_compared() {
        let remote = table(&[("id", LogicalType::Integer, "pg:bigint")]);
        let mut local = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("sum", LogicalType::Integer, "pg:bigint"),
        ]);
        for column in &mut local.columns {
            if column.name == "sum" {
                column.generation = Generation::Computed;
            }
        }
        check(&remote, &local, &Vec::new()).unwrap();
    }

    #[test]
    fn parsed_columns_take_texts_and_numbers_of_another_type() {
        use crate::bindings::types::{Conversion, ParseRules};
        use LogicalType as L;
        let rules = ParseRules {
            time_zone: None,
            epoch: None,
        };
        let policies = vec![("c".to_owned(), Conversion::Parse(rules))];
        for (remote, local, takes) in [
            (
                (L::Text, "sqlite:DATETIME"),
                (L::Integer, "pg:bigint"),
                true,
            ),
            (
                (L::Integer, "sqlite:BIGINT"),
                (L::Timestamptz, "pg:timestamptz"),
                true,
            ),
            ((L::Bytes, "sqlite:BLOB"), (L::Uuid, "pg:uuid"), true),
            ((L::Text, "pg:text"), (L::Boolean, "pg:boolean"), true),
            ((L::Timestamp, "pg:timestamp"), (L::Date, "pg:date"), true),
            ((L::Integer, "pg:bigint"), (L::Text, "pg:text"), false),
            ((L::Bytes, "pg:bytea"), (L::Uuid, "pg:uuid"), false),
        ] {
            let remote = table(&[("c", remote.0, remote.1)]);
            let local = table(&[("c", local.0, local.1)]);
            let parsed = check(&remote, &local, &policies);
            assert_eq!(parsed.is_ok(), takes, "{remote:?} {local:?}");
            let exact = check(&remote, &local, &Vec::new()).unwrap_err();
            let advised = exact.hint.contains("--conversion parse");
            assert_eq!(advised, takes, "{exact:?}");
        }
    }

    #[test]
    fn an_integer_does_not_fit_into_a_timestamp() {
        let remote = table(&[("at", LogicalType::Integer, "sqlite:INTEGER")]);
        let local = table(&[("at", LogicalType::Timestamp, "pg:timestamp")]);
        assert!(check(&remote, &local, &Vec::new()).is_err());
    }
}
