//! The last steps of a plan: what becomes of each table in the target, and in which sequence. Nothing is written.

use std::collections::BTreeSet;

use crate::bindings::database::DescribedTable;
use crate::bindings::transfers::{TableInstruction, TablePlan};
use crate::bindings::types::{
    Conversion, CreateOptions, DdlPlan, Dialect, Error, Failure, ForeignKey, TableFacts,
    TableSchema,
};
use crate::documents::{
    self, PlannedTable, RunDocument, Stage, TableDocument, TableKeys, TablePreview, table_key,
};
use crate::error::{ErrorCode, SAME_VERSION, failure, printable};
use crate::host::Host;
use crate::pull::compatibility::Fit;
use crate::pull::origin::Origin;
use crate::pull::toposort::{self, NameCase, Node};
use crate::pull::{STEP_BYTES, STEP_TIME, compatibility, conversion};
use crate::wire::weight;

/// The most tables that are planned with the same questions to the database.
const GROUP: u32 = 50;

/// The most types of one question.
const MAX_TYPES: usize = 10_000;

/// Plans tables until the step's time is over.
///
/// Fails with `columns-differ`, `missing-table`, `not-a-table` or `bad-request` if a table cannot be pulled as requested,
/// and with `limit` if the plan becomes too large.
pub fn plan_tables(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    first: u32,
) -> Result<Stage, Failure> {
    let began = host.now();
    let dialect = host.info(&document.request.database)?.dialect;
    conversion::check_target(&document.request, &dialect)?;
    document
        .matches
        .resize(document.request.column_conversions.len(), 0);
    let mut bytes = 0;
    let mut number = first;
    while number < document.known {
        if bytes >= STEP_BYTES || number > first && host.now().saturating_sub(began) >= STEP_TIME {
            return Ok(Stage::PlanTable(number));
        }
        let group = next_group(host, run, document, number)?;
        let names = group.iter().map(|table| table.shared.table.clone());
        let names: Vec<String> = names.collect();
        let described = host.describe_all(&document.request.database, &names, true, false)?;
        if described.is_empty() {
            return Err(not_described(&names));
        }
        let target = Target {
            host,
            dialect: &dialect,
            known_types: known_types(host, document, &dialect, &group)?,
        };
        for (mut table, local) in group.into_iter().zip(described) {
            // The step may come twice.
            if table.planned.is_none() {
                let incoming = table.shared.schema.take();
                bytes += incoming.as_ref().map_or(0, weight);
                let facts = table.shared.facts.take();
                let described = incoming.map(|incoming| (incoming, facts));
                let name = &table.shared.table;
                let mut planned = plan_table(&target, document, name, described, local)?;
                planned.instruction.rows = table.shared.exact.then_some(table.shared.rows);
                document
                    .spent
                    .planned(&planned.instruction, &planned.not_carried)?;
                let incoming = &planned.instruction.incoming;
                conversion::count_matches(&document.request, incoming, &mut document.matches);
                table.planned = Some(planned);
                documents::put(host, &table_key(run, number), &table, None)?;
            }
            number = number.saturating_add(1);
        }
    }
    Ok(Stage::Sort)
}

/// Where tables are planned for.
struct Target<'a> {
    host: &'a dyn Host,
    dialect: &'a Dialect,
    /// Those of the group's types that the target knows.
    known_types: BTreeSet<String>,
}

/// Returns the next tables, which are planned with few questions to the database.
fn next_group(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
    first: u32,
) -> Result<Vec<TableDocument>, Failure> {
    let mut group = Vec::new();
    let mut bytes = 0;
    for number in first..document.known.min(first.saturating_add(GROUP)) {
        let table: TableDocument = documents::get_table(host, run, number)?;
        bytes += table.shared.schema.as_ref().map_or(0, weight);
        group.push(table);
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(group)
}

/// Returns those types of the columns of tables that are user-defined in the target as well.
fn known_types(
    host: &dyn Host,
    document: &RunDocument,
    dialect: &Dialect,
    group: &[TableDocument],
) -> Result<BTreeSet<String>, Failure> {
    let schemas = group
        .iter()
        .filter_map(|table| table.shared.schema.as_ref());
    let types: BTreeSet<&str> = schemas
        .flat_map(|schema| postgres_types(dialect, schema))
        .collect();
    let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    for types in types.chunks(MAX_TYPES) {
        known.extend(host.known_types(&document.request.database, types)?);
    }
    Ok(known)
}

/// Returns the types of a table's columns that a target of this dialect may have under the same names.
fn postgres_types<'a>(dialect: &Dialect, schema: &'a TableSchema) -> impl Iterator<Item = &'a str> {
    let same = *dialect == Dialect::Postgres;
    let columns = schema.columns.iter().filter(move |_| same);
    columns.filter_map(|column| match Origin::from(column) {
        // A domain is named with its base type.
        Origin::Postgres(name) => {
            let domain = name.rsplit_once(" over ");
            Some(domain.map_or(name, |(domain, _)| domain))
        }
        _ => None,
    })
}

fn not_described(names: &[String]) -> Failure {
    failure(
        ErrorCode::Internal,
        format!("the target did not describe any of {} tables", names.len()),
        "please report it",
    )
}

/// Decides the sequence of the planned tables. Fails with `cycle` or `bad-request` if the tables cannot be pulled together
/// as requested.
pub fn sort(host: &dyn Host, run: &str, document: &mut RunDocument) -> Result<Stage, Failure> {
    let dialect = host.info(&document.request.database)?.dialect;
    document.sequence = sequence(host, run, document, &dialect)?;
    Ok(Stage::Present)
}

/// Returns the plan for people, in the sequence of the transfer.
pub fn present(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
) -> Result<Vec<TablePlan>, Failure> {
    let mut plans = Vec::new();
    for number in &document.sequence {
        let table: TablePreview = documents::get_table(host, run, *number)?;
        if let Some(planned) = table.planned {
            let instruction = planned.instruction;
            let statements = instruction.before.iter().chain(&instruction.after);
            let statements = statements.map(|statement| statement.sql.clone()).collect();
            plans.push(TablePlan {
                table: table.shared.table,
                strategy: instruction.strategy,
                rows: table.shared.rows,
                exact: table.shared.exact,
                create: instruction.create,
                local_rows: planned.local_rows,
                not_carried: planned.not_carried,
                statements,
                continued: document.continued,
            });
        }
    }
    Ok(plans)
}

/// Returns the instructions for the host, in the sequence of the transfer.
pub fn instructions(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
) -> Result<Vec<TableInstruction>, Failure> {
    let mut instructions = Vec::new();
    for number in &document.sequence {
        let table: TableDocument = documents::get_table(host, run, *number)?;
        let planned = table.planned;
        let planned = planned.ok_or_else(|| {
            failure(
                ErrorCode::Internal,
                format!("table {number} of run {run} is in the sequence and has no plan"),
                "pull again",
            )
        })?;
        instructions.push(planned.instruction);
    }
    Ok(instructions)
}

fn plan_table(
    target: &Target<'_>,
    document: &RunDocument,
    name: &String,
    described: Option<(TableSchema, Option<TableFacts>)>,
    local: DescribedTable,
) -> Result<PlannedTable, Failure> {
    let (incoming, facts) = described.ok_or_else(|| {
        failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site did not describe table {name:?}"),
            SAME_VERSION,
        )
    })?;
    let local_rows = local.count.transpose()?.map_or(0, |count| count.rows);
    match local.schema {
        // The unfinished run created it.
        Ok(_) if document.created.contains(name) => Ok(PlannedTable {
            local_rows,
            ..new_table(target, document, incoming, facts)?
        }),
        Ok(local) => existing_table(target, document, incoming, local, local_rows),
        Err(Error::NotFound(_)) if document.request.create_missing => {
            new_table(target, document, incoming, facts)
        }
        Err(Error::NotFound(_)) => Err(failure(
            ErrorCode::MissingTable,
            format!("table {name:?} does not exist in the target, and --no-create is set"),
            "create the table, or leave out --no-create",
        )),
        Err(Error::Invalid(_)) => Err(failure(
            ErrorCode::NotATable,
            format!(
                "{name:?} is a view, a virtual or foreign table, or a partition in the target; rows can only be written to whole tables"
            ),
            "rename it, or leave this table out",
        )),
        Err(error) => Err(error.into()),
    }
}

fn existing_table(
    target: &Target<'_>,
    document: &RunDocument,
    incoming: TableSchema,
    local: TableSchema,
    local_rows: u64,
) -> Result<PlannedTable, Failure> {
    let database = &document.request.database;
    let Fit {
        incoming,
        source,
        left_out,
    } = compatibility::fit(incoming, &local, target.dialect, |schema| {
        conversion::policies_for(&document.request, schema)
    })?;
    let conversions = conversion::policies_for(&document.request, &incoming);
    conversion::check_existing_table(target.host, database, &conversions, &incoming, &local)?;
    let strategy = document.strategy_for(&incoming.table).clone();
    Ok(PlannedTable {
        instruction: TableInstruction {
            strategy: strategy.name,
            params: strategy.params,
            incoming,
            source,
            create: false,
            before: Vec::new(),
            after: Vec::new(),
            one_chunk: name_case(target.dialect)
                .refers_to_itself(&local.table, &local.foreign_keys),
            rows: None,
            differences: local_rows > 0,
            conversions,
        },
        local_rows,
        local_keys: local.foreign_keys,
        not_carried: left_out,
    })
}

fn new_table(
    target: &Target<'_>,
    document: &RunDocument,
    incoming: TableSchema,
    facts: Option<TableFacts>,
) -> Result<PlannedTable, Failure> {
    let mut conversions = conversion::policies_for(&document.request, &incoming);
    let known_types: BTreeSet<&str> = postgres_types(target.dialect, &incoming)
        .filter(|name| target.known_types.contains(*name))
        .collect();
    let known_types: Vec<String> = known_types.into_iter().map(str::to_owned).collect();
    let options = CreateOptions {
        facts: facts.unwrap_or_else(|| TableFacts {
            values: Vec::new(),
            features: Vec::new(),
        }),
        types: known_types,
        widen: conversion::columns_to_widen(&conversions),
        keep: conversion::columns_with(&conversions, &Conversion::Lossy),
    };
    let DdlPlan {
        before,
        after,
        not_carried,
        widened,
    } = target
        .host
        .create_table(target.dialect, &incoming, &options)?;
    conversion::widen(&mut conversions, widened);
    let strategy = document.strategy_for(&incoming.table).clone();
    Ok(PlannedTable {
        instruction: TableInstruction {
            strategy: strategy.name,
            params: strategy.params,
            incoming,
            source: None,
            create: true,
            before,
            after,
            one_chunk: false,
            rows: None,
            differences: false,
            conversions,
        },
        local_rows: 0,
        local_keys: Vec::new(),
        not_carried,
    })
}

/// Returns the numbers of all tables, parents first. Also checks the request's names, now that all tables are known.
fn sequence(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
    dialect: &Dialect,
) -> Result<Vec<u32>, Failure> {
    let request = &document.request;
    let mut tables: Vec<(String, Vec<ForeignKey>, Vec<ForeignKey>)> = Vec::new();
    for number in 0..document.known {
        let table: TableKeys = documents::get_table(host, run, number)?;
        let (local_keys, remote_keys) = table.planned.map_or_else(Default::default, |planned| {
            let remote_keys = planned.instruction.incoming.foreign_keys;
            (planned.local_keys, remote_keys)
        });
        tables.push((table.shared.table, local_keys, remote_keys));
    }
    let pulled: BTreeSet<&str> = tables.iter().map(|(table, ..)| table.as_str()).collect();
    let mut strategies = request.table_strategies.iter();
    if let Some((name, _)) = strategies.find(|(name, _)| !pulled.contains(name.as_str())) {
        return Err(failure(
            ErrorCode::BadRequest,
            format!("--strategy names table {name:?}, which is not part of this pull"),
            "check the name, or pull that table too",
        ));
    }
    conversion::check_matches(request, &document.matches)?;
    let nodes: Vec<Node<'_>> = tables
        .iter()
        .map(|(table, local_keys, remote_keys)| Node {
            table,
            local_keys,
            remote_keys,
        })
        .collect();
    let positions = toposort::sort(&nodes, name_case(dialect)).map_err(|cycle| {
        let tables: Vec<String> = cycle.iter().map(|table| printable(table)).collect();
        failure(
            ErrorCode::Cycle,
            format!(
                "the foreign keys of these tables form a cycle: {}",
                tables.join(" -> ")
            ),
            "drop one of these foreign keys during the transfer, or leave a table out",
        )
    })?;
    let numbers = positions.into_iter().map(u32::try_from);
    numbers.collect::<Result<_, _>>().map_err(|error| {
        failure(
            ErrorCode::Limit,
            format!("too many tables: {error}"),
            "name the tables to pull",
        )
    })
}

fn name_case(dialect: &Dialect) -> NameCase {
    match dialect {
        Dialect::Sqlite => NameCase::Insensitive,
        Dialect::Postgres | Dialect::Other(_) => NameCase::Sensitive,
    }
}
