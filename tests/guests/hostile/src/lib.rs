//! A component of world `rules` that misbehaves on purpose, for tests of the sandbox.
//!
//! | call | result |
//! | --- | --- |
//! | `conflicts.plan` of `loop` | does not return |
//! | `conflicts.plan` of `allocate` | allocates memory and writes to it without end |
//! | `conflicts.plan` of `panic` | panics with a terminal escape in its message |
//! | `conflicts.plan` of `recurse` | calls itself until the stack is full |
//! | `conflicts.plan` of `huge` | a set-based plan whose key has 8 names of 1 MiB |
//! | `conflicts.decide` of `extra-decision` | one decision too many |
//! | `conflicts.decide` of `change-key` | rows with another key |
//! | `conflicts.decide` of `well-behaved` | always the incoming row |
//! | `conflicts.decide` of `write-text` | a text in every column beside the key, with the parameter `text` |
//! | `conflicts.decide` of `undecided` | an error if the page has a row whose first cell is 3 |
//! | `conflicts.decide` of `printing` | prints on both outputs, then always the incoming row |
//! | `conflicts.decide` of `rewrite` | always a row that is equal to the incoming one |
//! | `conflicts.plan` of `all-rules` | each source of a value for one column after the other, if the last column is newer |
//! | `sessions.decide` | does not return |
//! | `sessions.normalize` of `STDERR` | writes 8 MB to standard error at a time, without end |
//! | `sessions.normalize` of `LONG` | a code of 1 MiB |
//! | `sessions.new-code` | 8 letters from `A` to `H`, as it should |
//! | `ddl.create-table` for a table `two-statements` | a second statement in the same text |
//! | `ddl.create-table` for a table `other-object` | creates another table than it says |
//! | `ddl.create-table` for a table `type-…` | creates a type that the table does not declare, before the table |
//! | `ddl.create-table` for any other table | `DROP TABLE`, labelled `create-table` |

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
    Cell, ColumnRule, CreateOptions, DdlPlan, Dialect, EnumType, Error, Generation, Row,
    SessionFacts, SetPlan, Statement, StatementKind, TableSchema, UpdateRule, ValueSource, Verdict,
};

const STRATEGIES: [&str; 13] = [
    "loop",
    "allocate",
    "panic",
    "recurse",
    "huge",
    "extra-decision",
    "change-key",
    "well-behaved",
    "rewrite",
    "all-rules",
    "write-text",
    "undecided",
    "printing",
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
        match code.as_str() {
            "STDERR" => write_to_stderr(),
            "LONG" => Ok("X".repeat(1 << 20)),
            _ => Ok(code.trim().to_ascii_uppercase()),
        }
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
        incoming: TableSchema,
        local: TableSchema,
    ) -> Result<StrategyPlan, Error> {
        match strategy.as_str() {
            "loop" => spin(),
            "allocate" => allocate(),
            "panic" => panic!("panicked on purpose \u{1b}[31min red\u{1b}[0m"),
            "recurse" => Err(Error::Other(format!(
                "the stack is not full after {} calls",
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
            "all-rules" => Ok(StrategyPlan::SetBased(all_rules(&incoming, &local))),
            "extra-decision" | "change-key" | "well-behaved" | "rewrite" | "write-text"
            | "undecided" | "printing" => Ok(StrategyPlan::RowByRow(local.primary_key)),
            _ => Err(unknown(&strategy)),
        }
    }

    fn decide(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        conflicts: Vec<Conflict>,
    ) -> Result<Vec<Decision>, Error> {
        match strategy.as_str() {
            "extra-decision" => Ok(vec![Decision::TakeIncoming; conflicts.len() + 1]),
            "change-key" => {
                let changed = conflicts
                    .into_iter()
                    .map(|conflict| with_another_key(&incoming, conflict.incoming));
                Ok(changed.map(Decision::Write).collect())
            }
            "well-behaved" => Ok(vec![Decision::TakeIncoming; conflicts.len()]),
            "write-text" => {
                let text = params.first().map_or("x", |(_, text)| text);
                let rows = conflicts.into_iter().map(|conflict| {
                    let cells = conflict.incoming.into_iter().enumerate();
                    let cells = cells.map(|(position, cell)| match position {
                        0 => cell,
                        _ => Cell::Text(text.to_owned()),
                    });
                    Decision::Write(cells.collect())
                });
                Ok(rows.collect())
            }
            "undecided" => {
                let is_third = |conflict: &Conflict| {
                    matches!(conflict.incoming.first(), Some(Cell::Integer(3)))
                };
                match conflicts.iter().any(is_third) {
                    true => Err(Error::Invalid("it cannot decide about three".to_owned())),
                    false => Ok(vec![Decision::TakeIncoming; conflicts.len()]),
                }
            }
            "printing" => {
                println!("on standard output");
                eprintln!("on standard error");
                Ok(vec![Decision::TakeIncoming; conflicts.len()])
            }
            "rewrite" => {
                let rows = conflicts.into_iter().map(|conflict| conflict.incoming);
                Ok(rows.map(Decision::Write).collect())
            }
            _ => Err(unknown(&strategy)),
        }
    }
}

impl ddl::Guest for Hostile {
    fn create_table(
        _dialect: Dialect,
        incoming: TableSchema,
        _options: CreateOptions,
    ) -> Result<DdlPlan, Error> {
        let object = incoming.table.clone();
        let quoted = format!("\"{}\"", object.replace('"', "\"\""));
        let sql = match object.as_str() {
            "two-statements" => format!("CREATE TABLE {quoted} (a integer); DROP TABLE {quoted}"),
            "other-object" => "CREATE TABLE something_else (a integer)".to_owned(),
            name if name.starts_with("type-") => format!("CREATE TABLE {quoted} (id integer)"),
            _ => format!("DROP TABLE {quoted}"),
        };
        let create_type = type_beside(&incoming.enums, &object).map(|sql| Statement {
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
            before: create_type.into_iter().chain([statement]).collect(),
            after: Vec::new(),
            not_carried: Vec::new(),
            widened: Vec::new(),
        })
    }
}

/// A statement that creates another type than those that a table declares.
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

/// Gives the columns beside the key each another source of their value.
fn all_rules(incoming: &TableSchema, local: &TableSchema) -> SetPlan {
    let sources = [
        ValueSource::TakeIncoming,
        ValueSource::Coalesce,
        ValueSource::Greatest,
        ValueSource::Least,
        ValueSource::KeepLocal,
    ];
    let names = incoming.columns.iter().map(|column| &column.name);
    let others = names.filter(|name| !local.primary_key.contains(name));
    let columns = others.zip(sources.into_iter().cycle());
    SetPlan {
        key: local.primary_key.clone(),
        regenerate_key: false,
        update: Some(UpdateRule {
            columns: columns
                .map(|(column, source)| ColumnRule {
                    column: column.clone(),
                    source,
                })
                .collect(),
            only_if_newer: incoming.columns.last().map(|column| column.name.clone()),
        }),
    }
}

fn unknown(strategy: &str) -> Error {
    Error::NotFound(format!(
        "unknown strategy {strategy:?}: use one of {}",
        STRATEGIES.join(", ")
    ))
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn write_to_stderr() -> ! {
    let text = "x".repeat(8_000_000);
    loop {
        eprint!("{text}");
    }
}

fn allocate() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself, and uses the result so that the call is not a tail call.
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
