//! Planning a pull, one exchange with the peer a step. Nothing is written in the target.

use serde::de::DeserializeOwned;

use crate::client::claimer_secret;
use crate::component::tombolo::sync::http::{self, Method, Request, Response};
use crate::component::tombolo::sync::transfers::{TableOrder, TablePlan};
use crate::component::tombolo::sync::types::{DdlPlan, Error, Failure, ForeignKey, TableSchema};
use crate::component::tombolo::sync::{access, database, ddl, services};
use crate::documents::{self, Here, RunDocument, Stage, TableDocument, VERSION};
use crate::failure::{failure, from_peer};
use crate::protocol::{
    self, Claim, Claimed, ErrorBody, MAX_TABLES, PROTOCOL, ROW_FORMAT, SharedTable, SharedTables,
    segment,
};
use crate::{compatibility, order};

/// A step of comparing ends after so many milliseconds.
const STEP_TIME: u64 = 1_500;

/// Goes one step on and leaves the document at the next stage.
pub fn step(run: &str, document: &mut RunDocument) -> Result<(), Failure> {
    document.stage = match document.stage.clone() {
        Stage::Claim => claim(document)?,
        Stage::Named(number) => named(run, document, number)?,
        Stage::Listing(after) => listing(run, document, after)?,
        Stage::Compare(number) => compare(run, document, number)?,
        ended => ended,
    };
    Ok(())
}

/// The key of one table's document.
pub fn table_key(run: &str, number: u32) -> String {
    format!("run/{run}/table/{number:06}")
}

/// The plan for people, in the order of the transfer.
pub fn present(run: &str, document: &RunDocument) -> Result<Vec<TablePlan>, Failure> {
    let mut plans = Vec::new();
    for number in &document.order {
        let table = table(run, *number)?;
        if let Some(here) = table.here {
            plans.push(TablePlan {
                table: table.shared.table,
                strategy: here.order.strategy,
                rows: table.shared.rows,
                exact: table.shared.exact,
                create: here.order.create,
                local_rows: here.local_rows,
                not_carried: here.not_carried,
            });
        }
    }
    Ok(plans)
}

fn claim(document: &mut RunDocument) -> Result<Stage, Failure> {
    let claim = Claim {
        code: document.code.clone(),
        claimer_secret: claimer_secret(document)?,
        claimer: document.claimer.clone(),
        protocol: PROTOCOL,
        row_format: ROW_FORMAT,
    };
    let body = serde_json::to_vec(&claim).map_err(unreadable)?;
    let claimed: Claimed = ask(document, Method::Post, "/sync/v1/claim".to_owned(), body)?;
    if claimed.protocol != PROTOCOL || claimed.row_format != ROW_FORMAT {
        return Err(failure(
            "incompatible-peer",
            format!(
                "the other site speaks protocol {} with row format {}, this one {PROTOCOL} with {ROW_FORMAT}",
                claimed.protocol, claimed.row_format
            ),
            "use the same version of tombolo on both sides",
        ));
    }
    let credential = access::keep_credential(&document.peer.base_url, &claimed.token)?;
    document.peer.credential = Some(credential);
    Ok(if document.tables.is_empty() {
        Stage::Listing(None)
    } else {
        Stage::Named(0)
    })
}

/// Asks for one of the tables that were named.
fn named(run: &str, document: &mut RunDocument, number: u32) -> Result<Stage, Failure> {
    let Some(name) = document.tables.get(number as usize).cloned() else {
        return Ok(Stage::Compare(0));
    };
    let path = format!("/sync/v1/tables/{}", segment(&name));
    let shared: SharedTable = ask(document, Method::Get, path, Vec::new())?;
    if shared.table != name {
        return Err(failure(
            "incompatible-peer",
            format!("the other site answered for another table than {name:?}"),
            "",
        ));
    }
    let earlier = document.tables.iter().take(number as usize);
    if earlier.clone().all(|known| *known != name) {
        keep(run, document, shared)?;
    }
    Ok(Stage::Named(number + 1))
}

/// Asks for the next page of everything that is shared.
fn listing(run: &str, document: &mut RunDocument, after: Option<String>) -> Result<Stage, Failure> {
    let mut path = "/sync/v1/tables?schema=1&counts=1".to_owned();
    if let Some(after) = &after {
        path.push_str(&format!("&after={}", segment(after)));
    }
    let page: SharedTables = ask(document, Method::Get, path, Vec::new())?;
    let mut last = after;
    for shared in page.tables {
        // Growing names also mean that no table comes twice and that the listing ends.
        if last.as_ref().is_some_and(|last| shared.table <= *last) {
            return Err(failure(
                "incompatible-peer",
                "the other site does not list its tables in order",
                "",
            ));
        }
        last = Some(shared.table.clone());
        if shared.kind == "table" {
            keep(run, document, shared)?;
        }
    }
    match page.next {
        Some(next) if last.as_ref() == Some(&next) => Ok(Stage::Listing(Some(next))),
        Some(_) => Err(failure(
            "incompatible-peer",
            "the other site's list does not go on",
            "",
        )),
        None => Ok(Stage::Compare(0)),
    }
}

fn keep(run: &str, document: &mut RunDocument, shared: SharedTable) -> Result<(), Failure> {
    protocol::check(&shared)?;
    if document.known >= MAX_TABLES {
        return Err(failure(
            "limit",
            format!("the other site shares more than {MAX_TABLES} tables"),
            "name the tables to pull",
        ));
    }
    let table = TableDocument {
        version: VERSION,
        shared,
        here: None,
    };
    documents::put(&table_key(run, document.known), &table, None)?;
    document.known += 1;
    Ok(())
}

/// Compares tables with what is here until the step's time is over; then sorts them.
fn compare(run: &str, document: &mut RunDocument, first: u32) -> Result<Stage, Failure> {
    let began = services::now();
    for number in first..document.known {
        if number > first && services::now().saturating_sub(began) >= STEP_TIME {
            return Ok(Stage::Compare(number));
        }
        let mut table = table(run, number)?;
        table.here = Some(meaning(document, &table.shared)?);
        documents::put(&table_key(run, number), &table, None)?;
    }
    document.order = sort(run, document)?;
    Ok(Stage::Planned)
}

/// What one shared table means here.
fn meaning(document: &RunDocument, shared: &SharedTable) -> Result<Here, Failure> {
    let name = &shared.table;
    let incoming = shared.schema.clone().ok_or_else(|| {
        failure(
            "incompatible-peer",
            format!("the other site did not describe table {name:?}"),
            "",
        )
    })?;
    match database::describe(&document.database, name) {
        Ok(local) => existing(document, incoming, local),
        Err(Error::NotFound(_)) if document.create_missing => missing(document, incoming),
        Err(Error::NotFound(_)) => Err(failure(
            "missing-table",
            format!("table {name:?} does not exist here, and creating tables was forbidden"),
            "create it first, or leave out --no-create",
        )),
        Err(Error::Invalid(_)) => Err(failure(
            "not-a-table",
            format!("{name:?} is a view here, and rows can only go into tables"),
            "rename the view, or leave this table out",
        )),
        Err(error) => Err(error.into()),
    }
}

fn existing(
    document: &RunDocument,
    incoming: TableSchema,
    local: TableSchema,
) -> Result<Here, Failure> {
    compatibility::check(&incoming, &local)?;
    let local_rows = database::count(&document.database, &local.table)?.rows;
    let one_chunk = order::Node {
        table: &local.table,
        here: &local.foreign_keys,
        there: &[],
    }
    .refers_to_itself();
    Ok(Here {
        order: TableOrder {
            strategy: strategy(document, &incoming.table),
            incoming,
            params: Vec::new(),
            create: false,
            before: Vec::new(),
            after: Vec::new(),
            one_chunk,
        },
        local_rows,
        foreign_keys: local.foreign_keys,
        not_carried: Vec::new(),
    })
}

fn missing(document: &RunDocument, incoming: TableSchema) -> Result<Here, Failure> {
    let dialect = database::info(&document.database)?.dialect;
    let DdlPlan {
        before,
        after,
        not_carried,
    } = ddl::create_table(&dialect, &incoming)?;
    Ok(Here {
        order: TableOrder {
            strategy: strategy(document, &incoming.table),
            incoming,
            params: Vec::new(),
            create: true,
            before,
            after,
            one_chunk: false,
        },
        local_rows: 0,
        foreign_keys: Vec::new(),
        not_carried,
    })
}

fn strategy(document: &RunDocument, table: &str) -> String {
    let own = document
        .table_strategies
        .iter()
        .find(|(name, _)| name == table);
    own.map_or(&document.strategy, |(_, strategy)| strategy)
        .clone()
}

fn sort(run: &str, document: &RunDocument) -> Result<Vec<u32>, Failure> {
    let mut keys: Vec<(String, Vec<ForeignKey>, Vec<ForeignKey>)> = Vec::new();
    for number in 0..document.known {
        let table = table(run, number)?;
        let here = table.here.map(|here| here.foreign_keys).unwrap_or_default();
        let there = table
            .shared
            .schema
            .map(|schema| schema.foreign_keys)
            .unwrap_or_default();
        keys.push((table.shared.table, here, there));
    }
    for (name, _) in &document.table_strategies {
        if keys.iter().all(|(table, ..)| table != name) {
            return Err(failure(
                "bad-request",
                format!("a strategy was given for table {name:?}, which is not part of this pull"),
                "check the name",
            ));
        }
    }
    let nodes: Vec<order::Node<'_>> = keys
        .iter()
        .map(|(table, here, there)| order::Node { table, here, there })
        .collect();
    let sorted = order::sort(&nodes).map_err(|cycle| {
        failure(
            "cycle",
            format!(
                "these tables refer to each other in a circle: {}",
                cycle.join(" -> ")
            ),
            "drop one of these foreign keys for the time of the transfer, or leave a table out",
        )
    })?;
    sorted
        .into_iter()
        .map(|position| {
            u32::try_from(position).map_err(|_| failure("limit", "too many tables", ""))
        })
        .collect()
}

fn table(run: &str, number: u32) -> Result<TableDocument, Failure> {
    match documents::get(&table_key(run, number))? {
        Some((table, _)) => Ok(table),
        None => Err(failure(
            "internal",
            "a table of the plan was lost",
            "pull again",
        )),
    }
}

/// Sends one request and reads the peer's document, or its error.
fn ask<T: DeserializeOwned>(
    document: &RunDocument,
    method: Method,
    path: String,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let request = Request { method, path, body };
    let Response { status, body } =
        http::send(&document.peer, &request).map_err(|error| about_peer(document, error))?;
    if status < 300 {
        return serde_json::from_slice(&body).map_err(unreadable);
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(answer) => Err(from_peer(answer.error)),
        Err(_) => Err(failure(
            "incompatible-peer",
            format!("the other site answered with status {status} and no reason"),
            "check that the address is the one `tombolo share` printed",
        )),
    }
}

fn about_peer(document: &RunDocument, error: Error) -> Failure {
    let at = &document.peer.base_url;
    match error {
        Error::Unavailable(reason) => failure(
            "unreachable",
            reason,
            "check that `tombolo share` is still running there and the address is right",
        ),
        Error::Timeout => failure(
            "timeout",
            format!("{at} did not answer in time"),
            "check the network and try again",
        ),
        Error::Denied(reason) => failure(
            "denied",
            reason,
            "use https or a tunnel, or --allow-plain-http if the network is trusted",
        ),
        error => error.into(),
    }
}

fn unreadable(error: serde_json::Error) -> Failure {
    failure(
        "incompatible-peer",
        format!("the other site's answer cannot be read: {error}"),
        "use the same version of tombolo on both sides",
    )
}
