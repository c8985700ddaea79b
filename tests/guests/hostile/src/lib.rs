//! A component of world `rules` that misbehaves on purpose, each time when it is asked for by name.
//! Tests of the sandbox load it; it is no part of the product.
//!
//! | asked | answer |
//! | --- | --- |
//! | `plan` of `loop` | none, ever |
//! | `plan` of `allocate` | takes memory, and touches it, without end |
//! | `plan` of `panic` | panics with a terminal escape in its last words |
//! | `plan` of `recurse` | calls itself until the stack is full |
//! | `plan` of `huge` | a set-based plan whose key has 8 names of 1 MiB |
//! | `decide` of `lie` | one decision too many |
//! | `decide` of `change-key` | rows with another key |
//! | `decide` of `well-behaved` | the incoming row, always |
//! | `decide` | none, ever |
//! | `new-code` | 8 letters from `A` to `H`, as it should |
//! | `create-table` for a table `two-statements` | a second statement in the same text |
//! | `create-table` for a table `other-object` | creates another table than it says |
//! | `create-table` for a table `type-…` | makes a type that the table does not declare, before the table |
//! | `create-table` for any other table | `DROP TABLE`, called a `create-table` |

#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "rules" });

    #[cfg(target_family = "wasm")]
    use super::Hostile;
    #[cfg(target_family = "wasm")]
    export!(Hostile);
}

use std::hint::black_box;

use bindings::exports::tombolo::sync::conflicts::{Conflict, Decision, StrategyInfo, StrategyPlan};
use bindings::exports::tombolo::sync::{conflicts, ddl, sessions};
use bindings::tombolo::sync::types::{
    Cell, DdlPlan, Dialect, EnumType, Error, Generation, Row, SessionFacts, SetPlan, Statement,
    StatementKind, TableSchema, Verdict,
};

const STRATEGIES: [&str; 8] = [
    "loop",
    "allocate",
    "panic",
    "recurse",
    "huge",
    "lie",
    "change-key",
    "well-behaved",
];

/// The component.
pub struct Hostile;

impl sessions::Guest for Hostile {
    fn new_code(entropy: Vec<u8>) -> Result<String, Error> {
        let code: String = entropy
            .iter()
            .take(8)
            .map(|byte| char::from(b'A' + byte % 8))
            .collect();
        if code.len() == 8 {
            Ok(code)
        } else {
            Err(Error::Limit("a code needs 8 random bytes".to_owned()))
        }
    }

    fn normalize(code: String) -> Result<String, Error> {
        Ok(code.trim().to_ascii_uppercase())
    }

    fn decide(_facts: SessionFacts) -> Result<Verdict, Error> {
        spin()
    }
}

impl conflicts::Guest for Hostile {
    fn strategies() -> Vec<StrategyInfo> {
        let info = |name: &&str| StrategyInfo {
            name: (*name).to_owned(),
            description: format!("For tests: {name}"),
        };
        STRATEGIES.iter().map(info).collect()
    }

    #[allow(clippy::panic, reason = "on purpose")]
    fn plan(
        strategy: String,
        _params: Vec<(String, String)>,
        _incoming: TableSchema,
        local: TableSchema,
    ) -> Result<StrategyPlan, Error> {
        match strategy.as_str() {
            "loop" => spin(),
            "allocate" => allocate(),
            "panic" => panic!("panicked on purpose \u{1b}[31min red\u{1b}[0m"),
            "recurse" => Err(Error::Other(format!(
                "the stack has no end, even after {} calls",
                recurse(0)
            ))),
            "huge" => {
                let key = vec!["x".repeat(1 << 20); 8];
                Ok(StrategyPlan::SetBased(SetPlan {
                    key,
                    regenerate_key: false,
                    update: None,
                }))
            }
            "lie" | "change-key" | "well-behaved" => Ok(StrategyPlan::RowByRow(local.primary_key)),
            _ => Err(unknown(&strategy)),
        }
    }

    fn decide(
        strategy: String,
        _params: Vec<(String, String)>,
        incoming: TableSchema,
        conflicts: Vec<Conflict>,
    ) -> Result<Vec<Decision>, Error> {
        match strategy.as_str() {
            "lie" => Ok(vec![Decision::TakeIncoming; conflicts.len() + 1]),
            "change-key" => {
                let changed = conflicts
                    .into_iter()
                    .map(|conflict| with_another_key(&incoming, conflict.incoming));
                Ok(changed.map(Decision::Write).collect())
            }
            "well-behaved" => Ok(vec![Decision::TakeIncoming; conflicts.len()]),
            _ => Err(unknown(&strategy)),
        }
    }
}

impl ddl::Guest for Hostile {
    fn create_table(
        _dialect: Dialect,
        incoming: TableSchema,
        _types: Vec<String>,
        _widen: Vec<String>,
    ) -> Result<DdlPlan, Error> {
        let object = incoming.table.clone();
        let quoted = format!("\"{}\"", object.replace('"', "\"\""));
        let sql = match object.as_str() {
            "two-statements" => format!("CREATE TABLE {quoted} (a integer); DROP TABLE {quoted}"),
            "other-object" => "CREATE TABLE something_else (a integer)".to_owned(),
            name if name.starts_with("type-") => format!("CREATE TABLE {quoted} (id integer)"),
            _ => format!("DROP TABLE {quoted}"),
        };
        let make_type = type_beside(&incoming.enums, &object).map(|sql| Statement {
            kind: StatementKind::CreateType,
            object: object.clone(),
            sql,
        });
        let statement = Statement {
            kind: match object.as_str() {
                "type-as-table" => StatementKind::CreateType,
                _ => StatementKind::CreateTable,
            },
            object,
            sql,
        };
        Ok(DdlPlan {
            before: make_type.into_iter().chain([statement]).collect(),
            after: Vec::new(),
            not_carried: Vec::new(),
        })
    }
}

/// A statement that makes another type than the ones that a table declares.
fn type_beside(declared: &[EnumType], table: &str) -> Option<String> {
    let kind = declared.first()?;
    let labels = kind.labels.join("', '");
    let name = &kind.name;
    Some(match table {
        "type-composite" => format!("CREATE TYPE {name} AS (a integer)"),
        "type-range" => format!("CREATE TYPE {name} AS RANGE (SUBTYPE = integer)"),
        "type-other-labels" => format!("CREATE TYPE {name} AS ENUM ('{labels}', 'more')"),
        "type-fewer-labels" => format!("CREATE TYPE {name} AS ENUM ()"),
        "type-other-name" => format!("CREATE TYPE \"other\" AS ENUM ('{labels}')"),
        "type-other-schema" => format!("CREATE TYPE pg_catalog.{name} AS ENUM ('{labels}')"),
        "type-twice" => {
            format!("CREATE TYPE {name} AS ENUM ('{labels}'); CREATE TYPE other AS ENUM ()")
        }
        _ => return None,
    })
}

fn unknown(strategy: &str) -> Error {
    Error::NotFound(format!(
        "there is no strategy {strategy:?} here; choose one of {}",
        STRATEGIES.join(", ")
    ))
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Not a tail call: the result of the inner call is needed after it.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        depth
    } else {
        black_box(recurse(depth + 1)).wrapping_add(1)
    }
}

/// The row with another value in the first column of its key.
fn with_another_key(table: &TableSchema, mut row: Row) -> Row {
    let mut sent = table
        .columns
        .iter()
        .filter(|column| !matches!(column.generation, Generation::Computed));
    let position = sent.position(|column| table.primary_key.first() == Some(&column.name));
    if let Some(cell) = row.get_mut(position.unwrap_or(0)) {
        *cell = match cell {
            Cell::Integer(value) => Cell::Integer(value.wrapping_add(1)),
            Cell::Text(text) => Cell::Text(format!("{text}x")),
            _ => Cell::Integer(0),
        };
    }
    row
}
