//! The first steps of a plan: claiming the code, and learning which tables the peer shares.
//!
//! Every byte of an answer comes from the peer and is checked before it is kept.

use crate::bindings::types::Failure;
use crate::documents::{self, RunDocument, Stage, TableDocument, table_key};
use crate::error::{ErrorCode, SAME_VERSION, failure, nearest, printable};
use crate::host::Host;
use crate::pull::{peer, selection};
use crate::wire::{
    Claim, Claimed, PROTOCOL, ROW_FORMAT, SharedTable, SharedTables, check_described_table,
    is_source, is_token, segment,
};

/// Claims the code and keeps the peer's token with the host.
///
/// Fails with the peer's failure, and with `incompatible-peer` if it is of another version.
pub fn claim(host: &dyn Host, document: &mut RunDocument) -> Result<Stage, Failure> {
    // Kept before it is sent for the first time: a claim whose answer is lost can be repeated.
    let claimer_secret = documents::random_name(host, &document.secret_key, 32)?;
    let claim = Claim {
        code: document.request.code.clone(),
        target: documents::digest_of_database(host, &document.request.database, &claimer_secret)?,
        claimer_secret,
        claimer: document.request.claimer.clone(),
        protocol: PROTOCOL,
        row_format: ROW_FORMAT,
    };
    let claimed: Claimed = match peer::post(host, document, "/sync/v1/claim", &claim) {
        Err(refusal) if is_final(&refusal) => {
            host.delete(&document.secret_key)?;
            return Err(refusal);
        }
        answer => answer?,
    };
    if claimed.protocol != PROTOCOL || claimed.row_format != ROW_FORMAT {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            format!(
                "the other site uses protocol {} and row format {}; this one uses {PROTOCOL} and {ROW_FORMAT}",
                claimed.protocol, claimed.row_format
            ),
            SAME_VERSION,
        ));
    }
    if !is_source(&claimed.source) {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            "the other site's name for its database is not 8 to 64 hexadecimal digits",
            SAME_VERSION,
        ));
    }
    if !is_token(&claimed.token) {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            "the other site's token is not 1 to 4096 printable ASCII characters",
            SAME_VERSION,
        ));
    }
    document.source = claimed.source;
    let credential = host.keep_credential(&document.peer.base_url, &claimed.token)?;
    document.peer.credential = Some(credential);
    let tables = &document.request.tables;
    Ok(match !tables.is_empty() && selection::is_plain(tables) {
        true => Stage::FetchTable(0),
        false => Stage::ListTables(None),
    })
}

/// Whether no claim with the same secret can succeed.
fn is_final(refusal: &Failure) -> bool {
    refusal.code.parse().is_ok_and(ErrorCode::ends_a_claim)
}

/// Requests the requested table with this index.
///
/// Fails with the peer's failure, `not-a-table` if it is something else at the peer, and `incompatible-peer` if the
/// answer is about another table.
pub fn fetch_table(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    index: u32,
) -> Result<Stage, Failure> {
    let Some(name) = document.request.tables.get(index as usize).cloned() else {
        return Ok(Stage::FindUnfinished(0, String::new()));
    };
    let path = format!("/sync/v1/tables/{}", segment(&name));
    let shared: SharedTable = match peer::get(host, document, path) {
        Err(failure) => return Err(with_nearest(host, document, &name, failure)),
        shared => shared?,
    };
    if shared.table != name {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered a request for table {name:?} with another table"),
            SAME_VERSION,
        ));
    }
    // The number of requests of a plan is limited.
    if shared.unfinished {
        check_described_table(&shared)?;
        return Ok(Stage::FetchTable(index));
    }
    count(document, &shared)?;
    if shared.kind != "table" {
        return Err(failure(
            ErrorCode::NotATable,
            format!("{name:?} is not a table at the other site; only tables can be transferred"),
            "name the tables behind it instead",
        ));
    }
    let mut earlier = document.request.tables.iter().take(index as usize);
    if earlier.all(|known| *known != name) {
        keep(host, run, document, shared)?;
    }
    Ok(Stage::FetchTable(index.saturating_add(1)))
}

/// Adds to the failure of a table that does not exist the name of a shared table that may have been meant.
fn with_nearest(
    host: &dyn Host,
    document: &mut RunDocument,
    name: &str,
    mut failure: Failure,
) -> Failure {
    if failure.code != ErrorCode::NoSuchTable {
        return failure;
    }
    let page = peer::get::<SharedTables>(host, document, "/sync/v1/tables".to_owned());
    if let Ok(page) = page {
        let names = page.tables.iter().map(|shared| shared.table.as_str());
        if let Some(meant) = nearest(name, names) {
            failure.hint = format!("did you mean {:?}?", printable(meant));
        }
    }
    failure
}

/// Requests the page of shared tables after a name.
///
/// Fails with the peer's failure, `limit` if it shares too much for one plan, `no-such-table` if a pattern of the request
/// matches none of its tables, and `incompatible-peer` if the tables are not in order, or if the pages do not come to an end.
pub fn list_tables(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    after: Option<String>,
) -> Result<Stage, Failure> {
    let mut path = "/sync/v1/tables?schema=1&counts=1&facts=1".to_owned();
    if let Some(after) = &after {
        path.push_str(&format!("&after={}", segment(after)));
    }
    let page: SharedTables = peer::get(host, document, path)?;
    let is_empty = page.tables.is_empty();
    let mut last = after;
    for shared in page.tables {
        if shared.unfinished {
            // It is asked for again, with those behind it.
            check_described_table(&shared)?;
            return Ok(Stage::ListTables(last));
        }
        // Ascending names also mean that no table occurs twice and that the listing ends.
        if last.as_ref().is_some_and(|last| shared.table <= *last) {
            return Err(failure(
                ErrorCode::IncompatiblePeer,
                "the other site does not list its tables in ascending order",
                SAME_VERSION,
            ));
        }
        last = Some(shared.table.clone());
        count(document, &shared)?;
        let (tables, matched) = (&document.request.tables, &mut document.matched_tables);
        if shared.kind == "table" && selection::takes(tables, &shared.table, matched) {
            keep(host, run, document, shared)?;
        }
    }
    match page.next {
        // Pages without end would keep the plan going for ever.
        Some(_) if is_empty => Err(failure(
            ErrorCode::IncompatiblePeer,
            "the other site sent a page of its list that is empty and not the last one",
            SAME_VERSION,
        )),
        Some(next) if last.as_ref() == Some(&next) => Ok(Stage::ListTables(Some(next))),
        Some(_) => Err(failure(
            ErrorCode::IncompatiblePeer,
            "the next page of the other site's list does not begin after the last table of this one",
            SAME_VERSION,
        )),
        None => match selection::unmatched(&document.request.tables, &document.matched_tables) {
            Some(pattern) => Err(failure(
                ErrorCode::NoSuchTable,
                format!(
                    "the other site shares no table that matches {:?}",
                    printable(pattern)
                ),
                "check the spelling; without names, all shared tables are pulled",
            )),
            None => Ok(Stage::FindUnfinished(0, String::new())),
        },
    }
}

/// Checks a table or a view and counts it, before anything of it is kept.
fn count(document: &mut RunDocument, shared: &SharedTable) -> Result<(), Failure> {
    check_described_table(shared)?;
    document.spent.table(shared)
}

fn keep(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    shared: SharedTable,
) -> Result<(), Failure> {
    let table = TableDocument {
        shared,
        planned: None,
    };
    documents::put(host, &table_key(run, document.known), &table, None)?;
    document.known = document.known.saturating_add(1);
    Ok(())
}
