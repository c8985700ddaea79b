//! What the peer's tables mean here: taken in as they are, created, or refused; and in which order. Nothing is written.

use std::collections::BTreeSet;

use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{DdlPlan, Dialect, Error, Failure, ForeignKey, TableSchema};
use crate::documents::{self, Here, RunDocument, Stage};
use crate::error::{ErrorCode, VERSIONS, failure, printable};
use crate::host::Host;
use crate::pull::toposort::Names;
use crate::pull::{compatibility, conversion, discover, toposort};
use crate::wire::SharedTable;

/// A step of comparing ends after so many milliseconds.
const STEP_TIME: u64 = 1_500;

/// Compares tables with what is here until the step's time is over; then sorts them.
pub fn compare(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    first: u32,
) -> Result<Stage, Failure> {
    let began = host.now();
    let dialect = host.info(&document.database)?.dialect;
    conversion::check_target(document, &dialect)?;
    for number in first..document.known {
        if number > first && host.now().saturating_sub(began) >= STEP_TIME {
            return Ok(Stage::Compare(number));
        }
        let mut table = discover::table(host, run, number)?;
        table.here = Some(meaning(host, document, &dialect, &table.shared)?);
        documents::put(host, &discover::table_key(run, number), &table, None)?;
    }
    document.sequence = sort(host, run, document, &dialect)?;
    Ok(Stage::Planned)
}

/// What one shared table means here.
fn meaning(
    host: &dyn Host,
    document: &RunDocument,
    dialect: &Dialect,
    shared: &SharedTable,
) -> Result<Here, Failure> {
    let name = &shared.table;
    let incoming = shared.schema.clone().ok_or_else(|| {
        failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site did not describe table {name:?}"),
            VERSIONS,
        )
    })?;
    let own = document.created.contains(name);
    match host.describe(&document.database, name) {
        Ok(local) if own => {
            let mut here = missing(host, document, dialect, incoming)?;
            here.local_rows = host.count(&document.database, &local.table)?.rows;
            Ok(here)
        }
        Ok(local) => existing(host, document, dialect, incoming, local),
        Err(Error::NotFound(_)) if document.create_missing => {
            missing(host, document, dialect, incoming)
        }
        Err(Error::NotFound(_)) => Err(failure(
            ErrorCode::MissingTable,
            format!("table {name:?} does not exist here, and creating tables was forbidden"),
            "create it first, or leave out --no-create",
        )),
        Err(Error::Invalid(_)) => Err(failure(
            ErrorCode::NotATable,
            format!(
                "{name:?} is a view, a virtual or foreign table, or a partition here, and rows can only go into whole tables"
            ),
            "rename it, or leave this table out",
        )),
        Err(error) => Err(error.into()),
    }
}

fn existing(
    host: &dyn Host,
    document: &RunDocument,
    dialect: &Dialect,
    incoming: TableSchema,
    local: TableSchema,
) -> Result<Here, Failure> {
    compatibility::check(&incoming, &local)?;
    let conversions = conversion::of_table(document, &incoming);
    conversion::check_existing(host, &document.database, &conversions, &incoming, &local)?;
    let local_rows = host.count(&document.database, &local.table)?.rows;
    let one_chunk = names(dialect).refers_to_itself(&local.table, &local.foreign_keys);
    Ok(Here {
        instruction: TableInstruction {
            strategy: strategy(document, &incoming.table),
            incoming,
            params: Vec::new(),
            create: false,
            before: Vec::new(),
            after: Vec::new(),
            one_chunk,
            differences: local_rows > 0,
            conversions,
        },
        local_rows,
        foreign_keys: local.foreign_keys,
        not_carried: Vec::new(),
    })
}

fn missing(
    host: &dyn Host,
    document: &RunDocument,
    dialect: &Dialect,
    incoming: TableSchema,
) -> Result<Here, Failure> {
    let conversions = conversion::of_table(document, &incoming);
    let types: BTreeSet<&str> = incoming
        .columns
        .iter()
        .filter_map(|column| column.origin.split_once(':'))
        .filter(|(database, _)| *dialect == Dialect::Postgres && *database == "pg")
        .map(|(_, name)| name)
        .collect();
    let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
    let known = host.known_types(&document.database, &types)?;
    let DdlPlan {
        before,
        after,
        not_carried,
    } = host.create_table(
        dialect,
        &incoming,
        &known,
        &conversion::widened(&conversions),
    )?;
    Ok(Here {
        instruction: TableInstruction {
            strategy: strategy(document, &incoming.table),
            incoming,
            params: Vec::new(),
            create: true,
            before,
            after,
            one_chunk: false,
            differences: false,
            conversions,
        },
        local_rows: 0,
        foreign_keys: Vec::new(),
        not_carried,
    })
}

/// The strategy for a table.
pub fn strategy(document: &RunDocument, table: &str) -> String {
    let own = document
        .table_strategies
        .iter()
        .find(|(name, _)| name == table);
    own.map_or(&document.strategy, |(_, strategy)| strategy)
        .clone()
}

fn sort(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
    dialect: &Dialect,
) -> Result<Vec<u32>, Failure> {
    let mut keys: Vec<(String, Vec<ForeignKey>, Vec<ForeignKey>)> = Vec::new();
    let mut named = vec![0_usize; document.column_conversions.len()];
    for number in 0..document.known {
        let table = discover::table(host, run, number)?;
        conversion::count_named(document, table.shared.schema.as_ref(), &mut named);
        let here = table.here.map(|here| here.foreign_keys).unwrap_or_default();
        let there = table
            .shared
            .schema
            .map(|schema| schema.foreign_keys)
            .unwrap_or_default();
        keys.push((table.shared.table, here, there));
    }
    let chosen: BTreeSet<&str> = keys.iter().map(|(table, ..)| table.as_str()).collect();
    for (name, _) in &document.table_strategies {
        if !chosen.contains(name.as_str()) {
            return Err(failure(
                ErrorCode::BadRequest,
                format!("a strategy was given for table {name:?}, which is not part of this pull"),
                "check the name, or pull that table too",
            ));
        }
    }
    conversion::check_named(document, &named)?;
    let nodes: Vec<toposort::Node<'_>> = keys
        .iter()
        .map(|(table, here, there)| toposort::Node { table, here, there })
        .collect();
    let sorted = toposort::sort(&nodes, names(dialect)).map_err(|cycle| {
        failure(
            ErrorCode::Cycle,
            format!(
                "these tables refer to each other in a circle: {}",
                listed(&cycle)
            ),
            "drop one of these foreign keys for the time of the transfer, or leave a table out",
        )
    })?;
    sorted
        .into_iter()
        .map(|position| {
            u32::try_from(position).map_err(|_| {
                failure(
                    ErrorCode::Limit,
                    "too many tables",
                    "name the tables to pull",
                )
            })
        })
        .collect()
}

fn names(dialect: &Dialect) -> Names {
    match dialect {
        Dialect::Sqlite => Names::IgnoreCase,
        Dialect::Postgres | Dialect::Other(_) => Names::Exact,
    }
}

/// The tables of a cycle, in its order.
fn listed(cycle: &[String]) -> String {
    let tables: Vec<String> = cycle.iter().map(|table| printable(table)).collect();
    tables.join(" -> ")
}
