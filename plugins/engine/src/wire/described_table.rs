//! The checks on a table that a peer describes.

use std::collections::BTreeSet;

use super::{MAX_NAME, SharedTable, enums, is_name};
use crate::bindings::types::{
    Failure, ForeignKey, Generation, LogicalType, TableFacts, TableSchema, ValueKind,
};
use crate::error::{ErrorCode, SAME_VERSION, failure, printable};

/// The most columns of a table.
const MAX_COLUMNS: usize = 2_000;

/// The most unique keys, and the most foreign keys, of a table.
const MAX_KEYS: usize = 1_000;

/// The most kinds of values of a column.
const MAX_KINDS: usize = 16;

/// The most features of a table.
const MAX_FEATURES: usize = 1_000;

/// The longest text of a feature, in bytes.
const MAX_FEATURE: usize = 2_000;

/// The most that one description takes in memory, in bytes. One of 2 000 columns with names of 63 bytes needs half of it.
const MAX_DESCRIPTION: usize = 512 << 10;

/// What a column takes in memory beside its texts, in bytes.
const COLUMN: usize = 64;

/// What a list or a text of a key or an enum takes in memory beside its bytes.
const PART: usize = 32;

/// Returns about how many bytes a description takes in memory.
pub fn weight(schema: &TableSchema) -> usize {
    let texts = |texts: &[String]| -> usize {
        let lengths = texts.iter().map(|text| text.len().saturating_add(PART));
        lengths.fold(PART, usize::saturating_add)
    };
    let columns = schema.columns.iter().map(|column| {
        let logical = match &column.logical {
            LogicalType::Other(name) => name.len(),
            _ => 0,
        };
        let generation = match &column.generation {
            Generation::Other(name) => name.len(),
            _ => 0,
        };
        let default = column.default.as_ref().map_or(0, String::len);
        let parts = [column.name.len(), column.origin.len(), logical, generation];
        parts
            .into_iter()
            .fold(COLUMN + default, usize::saturating_add)
    });
    let keys = [&schema.primary_key].into_iter().chain(&schema.unique_keys);
    let foreign_keys = schema.foreign_keys.iter().map(|key| {
        let columns = texts(&key.columns).saturating_add(texts(&key.referenced_columns));
        columns.saturating_add(key.referenced_table.len())
    });
    let enums = schema.enums.iter();
    let enums = enums.map(|kind| texts(&kind.labels).saturating_add(kind.name.len()));
    columns
        .chain(keys.map(|key| texts(key)))
        .chain(foreign_keys)
        .chain(enums)
        .fold(schema.table.len(), usize::saturating_add)
}

/// Returns about how many bytes the facts of a table take in memory.
pub fn weight_of_facts(facts: &TableFacts) -> usize {
    let values = facts.values.iter().map(|values| {
        let kinds = values.kinds.len().saturating_mul(PART);
        kinds.saturating_add(values.column.len() + PART)
    });
    let features = facts.features.iter().map(|text| text.len() + PART);
    values.chain(features).fold(0, usize::saturating_add)
}

/// Checks a table that a peer described.
///
/// Fails with `incompatible-peer` if no database can have such a table, or if it exceeds a limit.
pub fn check(shared: &SharedTable) -> Result<(), Failure> {
    find_fault(shared).map_or(Ok(()), |fault| {
        Err(failure(
            ErrorCode::IncompatiblePeer,
            format!(
                "the other site described table {:?} in an impossible way: {fault}",
                printable(&shared.table)
            ),
            SAME_VERSION,
        ))
    })
}

/// Returns the first thing that cannot be so; none if the table is possible.
fn find_fault(shared: &SharedTable) -> Option<String> {
    if !is_name(&shared.table) {
        return Some(format!(
            "its name is empty, has more than {MAX_NAME} bytes, or contains NUL"
        ));
    }
    let schema = shared.schema.as_ref()?;
    if schema.table != shared.table {
        return Some(format!(
            "its schema is that of {:?}",
            printable(&schema.table)
        ));
    }
    let fact_fault = || {
        let facts = shared.facts.as_ref();
        facts.and_then(|facts| fact_fault(facts, schema))
    };
    column_fault(schema)
        .or_else(|| key_fault(schema))
        .or_else(|| enums::find_fault(&schema.enums))
        .or_else(fact_fault)
        .or_else(|| size_fault(schema))
}

fn column_fault(schema: &TableSchema) -> Option<String> {
    let columns = &schema.columns;
    if columns.is_empty() || columns.len() > MAX_COLUMNS {
        return Some(format!(
            "it has {} columns instead of 1 to {MAX_COLUMNS}",
            columns.len()
        ));
    }
    let mut names = BTreeSet::new();
    for column in columns {
        let name = printable(&column.name);
        if !is_name(&column.name) {
            return Some(format!("{name:?} is not a valid column name"));
        }
        if !names.insert(&column.name) {
            return Some(format!("column {name:?} occurs twice"));
        }
        if column.origin.len() > MAX_NAME {
            return Some(format!(
                "the type of column {name:?} has more than {MAX_NAME} bytes"
            ));
        }
    }
    None
}

/// What a peer says of its values can only make a new table wrong: its rows are rejected then.
fn fact_fault(facts: &TableFacts, schema: &TableSchema) -> Option<String> {
    let columns = schema.columns.len();
    let kinds = facts.values.iter().map(|values| values.kinds.len()).max();
    if facts.values.len() > columns || kinds.is_some_and(|kinds| kinds > MAX_KINDS) {
        return Some(format!(
            "it tells the values of {} columns of {columns}, or one column has more than {MAX_KINDS} kinds of them",
            facts.values.len()
        ));
    }
    let known = |kind: &ValueKind| !matches!(kind, ValueKind::Other(name) if name.len() > MAX_NAME);
    let mut values = facts.values.iter();
    if !values.all(|values| is_name(&values.column) && values.kinds.iter().all(known)) {
        return Some("the values of a column have an impossible name".to_owned());
    }
    let longest = facts.features.iter().map(String::len).max().unwrap_or(0);
    (facts.features.len() > MAX_FEATURES || longest > MAX_FEATURE).then(|| {
        format!("it has more than {MAX_FEATURES} features, or one of more than {MAX_FEATURE} bytes")
    })
}

fn key_fault(schema: &TableSchema) -> Option<String> {
    let (unique, foreign) = (schema.unique_keys.len(), schema.foreign_keys.len());
    if unique > MAX_KEYS || foreign > MAX_KEYS {
        return Some(format!(
            "it has {unique} unique and {foreign} foreign keys instead of at most {MAX_KEYS} of each"
        ));
    }
    let names: BTreeSet<&String> = schema.columns.iter().map(|column| &column.name).collect();
    let is_key = |key: &[String]| {
        let distinct: BTreeSet<&String> = key.iter().collect();
        distinct.len() == key.len() && distinct.is_subset(&names)
    };
    let mut keys = [&schema.primary_key].into_iter().chain(&schema.unique_keys);
    if !keys.all(|key| is_key(key)) {
        return Some("a key has an unknown column, or a column twice".to_owned());
    }
    let is_foreign_key = |key: &ForeignKey| {
        let referenced = &key.referenced_columns;
        !key.columns.is_empty()
            && is_key(&key.columns)
            && (referenced.is_empty() || referenced.len() == key.columns.len())
            && is_name(&key.referenced_table)
            && referenced.iter().all(|name| is_name(name))
    };
    let mut foreign_keys = schema.foreign_keys.iter();
    (!foreign_keys.all(is_foreign_key)).then(|| {
        "a foreign key has an unknown column or a column twice, or refers to something impossible"
            .to_owned()
    })
}

fn size_fault(schema: &TableSchema) -> Option<String> {
    let weight = weight(schema);
    (weight > MAX_DESCRIPTION).then(|| {
        format!("its description takes {weight} bytes instead of at most {MAX_DESCRIPTION}")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, ColumnValues, EnumType};

    fn shared() -> SharedTable {
        let column = |name: &str| Column {
            name: name.to_owned(),
            logical: LogicalType::Integer,
            origin: "sqlite:INTEGER".to_owned(),
            nullable: false,
            default: None,
            generation: Generation::None,
        };
        SharedTable {
            table: "t".to_owned(),
            kind: "table".to_owned(),
            rows: 0,
            exact: true,
            facts: None,
            unfinished: false,
            schema: Some(TableSchema {
                table: "t".to_owned(),
                columns: vec![column("id"), column("parent")],
                primary_key: vec!["id".to_owned()],
                unique_keys: Vec::new(),
                foreign_keys: vec![ForeignKey {
                    columns: vec!["parent".to_owned()],
                    referenced_table: "t".to_owned(),
                    referenced_columns: Vec::new(),
                }],
                enums: Vec::new(),
            }),
        }
    }

    #[test]
    fn possible_tables_pass() {
        check(&shared()).unwrap();
        let bare = SharedTable {
            schema: None,
            ..shared()
        };
        check(&bare).unwrap();
    }

    #[test]
    fn impossible_names_are_refused() {
        for name in ["", "a\0b", "another", &"x".repeat(MAX_NAME + 1)] {
            let renamed = SharedTable {
                table: name.to_owned(),
                ..shared()
            };
            assert!(check(&renamed).is_err(), "{name:?}");
        }
    }

    #[test]
    fn impossible_facts_are_refused() {
        let values = |columns: usize, kinds: usize| TableFacts {
            values: vec![
                ColumnValues {
                    column: "id".to_owned(),
                    kinds: vec![ValueKind::Text; kinds],
                };
                columns
            ],
            features: Vec::new(),
        };
        let features = |number: usize, length: usize| TableFacts {
            values: Vec::new(),
            features: vec!["x".repeat(length); number],
        };
        let with = |facts| SharedTable {
            facts: Some(facts),
            ..shared()
        };
        check(&with(values(2, MAX_KINDS))).unwrap();
        check(&with(features(MAX_FEATURES, 1))).unwrap();
        for facts in [
            values(3, 1),
            values(1, MAX_KINDS + 1),
            features(MAX_FEATURES + 1, 1),
            features(1, MAX_FEATURE + 1),
        ] {
            let failure = check(&with(facts)).unwrap_err();
            assert_eq!(failure.code, "incompatible-peer");
        }
    }

    #[test]
    fn impossible_schemas_are_refused() {
        type Change = fn(&mut TableSchema);
        let all: [(&str, Change); 12] = [
            ("no column", |schema| schema.columns.clear()),
            ("too many columns", |schema| {
                let column = schema.columns.first().unwrap().clone();
                schema.columns = vec![column; MAX_COLUMNS + 1];
            }),
            ("a long default", |schema| {
                let column = schema.columns.first_mut().unwrap();
                column.default = Some("x".repeat(MAX_DESCRIPTION));
            }),
            ("a type with a long name", |schema| {
                let column = schema.columns.first_mut().unwrap();
                column.logical = LogicalType::Other("x".repeat(MAX_DESCRIPTION));
            }),
            ("a column twice", |schema| {
                let column = schema.columns.first().unwrap().clone();
                schema.columns.push(column);
            }),
            ("an unknown key", |schema| {
                schema.primary_key = vec!["x".to_owned()];
            }),
            ("a column twice in a key", |schema| {
                schema.unique_keys = vec![vec!["id".to_owned(), "id".to_owned()]];
            }),
            ("too many keys", |schema| {
                schema.unique_keys = vec![vec!["id".to_owned()]; MAX_KEYS + 1];
            }),
            ("a foreign key to a table without a name", |schema| {
                for key in &mut schema.foreign_keys {
                    key.referenced_table.clear();
                }
            }),
            ("a foreign key of unknown columns", |schema| {
                for key in &mut schema.foreign_keys {
                    key.columns = vec!["x".to_owned()];
                }
            }),
            ("an enum without a name", |schema| {
                schema.enums = vec![EnumType {
                    name: String::new(),
                    labels: Vec::new(),
                }];
            }),
            ("a foreign key to more columns than it has", |schema| {
                for key in &mut schema.foreign_keys {
                    key.referenced_columns = vec!["id".to_owned(), "parent".to_owned()];
                }
            }),
        ];
        for (what, change) in all {
            let mut changed = shared();
            change(changed.schema.as_mut().unwrap());
            let failure = check(&changed).unwrap_err();
            assert_eq!(failure.code, "incompatible-peer", "{what}");
        }
    }
}
