//! Planning a pull, one exchange with the peer a step. Nothing is written in the target.
//!
//! Every byte of an answer is the peer's and is checked before it is kept.

use serde::de::DeserializeOwned;

use crate::bindings::http::{Method, Request, Response};
use crate::bindings::transfers::TablePlan;
use crate::bindings::types::{Error, Failure};
use crate::documents::{self, RunDocument, Stage, TableDocument, VERSION};
use crate::error::{ErrorCode, VERSIONS, failure, from_peer};
use crate::host::Host;
use crate::pull::{resume, table_plan};
use crate::wire::{
    self, Claim, Claimed, ErrorBody, MAX_TABLES, PROTOCOL, ROW_FORMAT, SharedTable, SharedTables,
    is_source, segment, why,
};

/// Goes one step on and leaves the document at the next stage.
pub fn step(host: &dyn Host, run: &str, document: &mut RunDocument) -> Result<(), Failure> {
    document.stage = match document.stage.clone() {
        Stage::Claim => claim(host, document)?,
        Stage::Named(number) => named(host, run, document, number)?,
        Stage::Listing(after) => listing(host, run, document, after)?,
        Stage::Recall(number, digest) => resume::recall(host, run, document, number, digest)?,
        Stage::Compare(number) => table_plan::compare(host, run, document, number)?,
        ended => ended,
    };
    Ok(())
}

/// The key of one table's document.
pub fn table_key(run: &str, number: u32) -> String {
    format!("run/{run}/table/{number:06}")
}

/// The plan for people, in the order of the transfer.
pub fn present(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
) -> Result<Vec<TablePlan>, Failure> {
    let mut plans = Vec::new();
    for number in &document.sequence {
        let table = table(host, run, *number)?;
        if let Some(here) = table.here {
            let statements = here
                .instruction
                .before
                .iter()
                .chain(&here.instruction.after);
            let statements = statements.map(|one| one.sql.clone()).collect();
            plans.push(TablePlan {
                table: table.shared.table,
                strategy: here.instruction.strategy,
                rows: table.shared.rows,
                exact: table.shared.exact,
                create: here.instruction.create,
                local_rows: here.local_rows,
                not_carried: here.not_carried,
                statements,
                continued: document.continued,
            });
        }
    }
    Ok(plans)
}

fn claim(host: &dyn Host, document: &mut RunDocument) -> Result<Stage, Failure> {
    let claim = Claim {
        code: document.code.clone(),
        // Kept before it is first sent, so that a claim whose answer was lost can be repeated.
        claimer_secret: documents::once(host, &document.secret_key, 32)?,
        claimer: document.claimer.clone(),
        protocol: PROTOCOL,
        row_format: ROW_FORMAT,
    };
    let body = serde_json::to_vec(&claim).map_err(unreadable)?;
    let path = "/sync/v1/claim".to_owned();
    let claimed: Claimed = match ask(host, document, Method::Post, path, body) {
        Err(refused) if is_final(&refused) => {
            // Nothing will ever be claimed by this secret.
            host.delete(&document.secret_key)?;
            return Err(refused);
        }
        answer => answer?,
    };
    if claimed.protocol != PROTOCOL || claimed.row_format != ROW_FORMAT {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            format!(
                "the other site speaks protocol {} with row format {}, this one {PROTOCOL} with {ROW_FORMAT}",
                claimed.protocol, claimed.row_format
            ),
            VERSIONS,
        ));
    }
    if !is_source(&claimed.source) {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            "the other site does not name its database as sites do",
            VERSIONS,
        ));
    }
    document.source = claimed.source;
    let credential = host.keep_credential(&document.peer.base_url, &claimed.token)?;
    document.peer.credential = Some(credential);
    Ok(if document.tables.is_empty() {
        Stage::Listing(None)
    } else {
        Stage::Named(0)
    })
}

/// Asks for one of the tables that were named.
fn named(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    number: u32,
) -> Result<Stage, Failure> {
    let Some(name) = document.tables.get(number as usize).cloned() else {
        return Ok(Stage::Recall(0, String::new()));
    };
    let path = format!("/sync/v1/tables/{}", segment(&name));
    let shared: SharedTable = ask(host, document, Method::Get, path, Vec::new())?;
    if shared.table != name {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered for another table than {name:?}"),
            VERSIONS,
        ));
    }
    if shared.kind != "table" {
        return Err(failure(
            ErrorCode::NotATable,
            format!("{name:?} is no table at the other site, and only tables can be transferred"),
            "name the tables behind it instead",
        ));
    }
    let earlier = document.tables.iter().take(number as usize);
    if earlier.clone().all(|known| *known != name) {
        keep(host, run, document, shared)?;
    }
    Ok(Stage::Named(number + 1))
}

/// Asks for the next page of everything that is shared.
fn listing(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    after: Option<String>,
) -> Result<Stage, Failure> {
    let mut path = "/sync/v1/tables?schema=1&counts=1".to_owned();
    if let Some(after) = &after {
        path.push_str(&format!("&after={}", segment(after)));
    }
    let page: SharedTables = ask(host, document, Method::Get, path, Vec::new())?;
    let mut last = after;
    for shared in page.tables {
        // Growing names also mean that no table comes twice and that the listing ends.
        if last.as_ref().is_some_and(|last| shared.table <= *last) {
            return Err(failure(
                ErrorCode::IncompatiblePeer,
                "the other site does not list its tables in order",
                VERSIONS,
            ));
        }
        last = Some(shared.table.clone());
        if shared.kind == "table" {
            keep(host, run, document, shared)?;
        }
    }
    match page.next {
        Some(next) if last.as_ref() == Some(&next) => Ok(Stage::Listing(Some(next))),
        Some(_) => Err(failure(
            ErrorCode::IncompatiblePeer,
            "the other site's list does not go on",
            VERSIONS,
        )),
        None => Ok(Stage::Recall(0, String::new())),
    }
}

fn keep(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    shared: SharedTable,
) -> Result<(), Failure> {
    wire::check(&shared)?;
    if document.known >= MAX_TABLES {
        return Err(failure(
            ErrorCode::Limit,
            format!("the other site shares more than {MAX_TABLES} tables"),
            "name the tables to pull",
        ));
    }
    let table = TableDocument {
        version: VERSION,
        shared,
        here: None,
    };
    documents::put(host, &table_key(run, document.known), &table, None)?;
    document.known += 1;
    Ok(())
}

/// One table of a run.
pub fn table(host: &dyn Host, run: &str, number: u32) -> Result<TableDocument, Failure> {
    let table = documents::get(host, &table_key(run, number))?;
    table.map(|(table, _)| table).ok_or_else(lost)
}

/// A part of the plan is not where it was put.
pub fn lost() -> Failure {
    failure(
        ErrorCode::Internal,
        "a table of the plan was lost",
        "pull again",
    )
}

/// Whether the code will never be good for who was refused so.
fn is_final(refused: &Failure) -> bool {
    let codes = ["no-such-code", "already-used", "expired", "owner-gone"];
    codes.contains(&refused.code.as_str())
}

/// Sends one request and reads the peer's document, or its error.
fn ask<T: DeserializeOwned>(
    host: &dyn Host,
    document: &RunDocument,
    method: Method,
    path: String,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let request = Request { method, path, body };
    let Response { status, body } = host
        .send(&document.peer, &request)
        .map_err(|error| about_peer(document, error))?;
    if (200..300).contains(&status) {
        return serde_json::from_slice(&body).map_err(unreadable);
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(answer) => Err(from_peer(answer.error)),
        Err(_) => Err(failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered with status {status} and no reason"),
            "check that the address is the one `tombolo share` printed",
        )),
    }
}

fn about_peer(document: &RunDocument, error: Error) -> Failure {
    let at = &document.peer.base_url;
    match error {
        Error::Unavailable(reason) => failure(
            ErrorCode::Unreachable,
            reason,
            "check that `tombolo share` is still running there and the address is right",
        ),
        Error::Timeout => failure(
            ErrorCode::Timeout,
            format!("{at} did not answer in time"),
            "check the network and try again",
        ),
        Error::Denied(reason) => failure(
            ErrorCode::Denied,
            reason,
            "use https or a tunnel, or --allow-plain-http if the network is trusted",
        ),
        error => error.into(),
    }
}

fn unreadable(error: serde_json::Error) -> Failure {
    failure(
        ErrorCode::IncompatiblePeer,
        format!("the other site's answer cannot be read: {}", why(&error)),
        VERSIONS,
    )
}
