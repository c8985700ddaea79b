//! The routes below `/sync/v1/`, which a peer's requests are answered from.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::database::{DescribedTable, TableKind, TableSummary};
use crate::bindings::http::Method;
use crate::bindings::peers::{
    ApplyInstruction, Body, DigestInstruction, PeerRequest, PeerResponse, ReadInstruction,
    Selection,
};
use crate::bindings::types::{Error, Failure};
use crate::documents::SessionDocument;
use crate::error::{ErrorCode, SAME_VERSION, failure};
use crate::host::Host;
use crate::serve::sessions;
use crate::wire::{Claim, Done, ErrorBody, SharedTable, SharedTables, is_run, json_reason};

/// The most tables of one page.
const PAGE_TABLES: usize = 200;

/// A page ends after so many bytes of JSON: the receiver takes 8 MiB.
const PAGE_BYTES: usize = 4 << 20;

/// A page ends after so many milliseconds of describing and counting.
const PAGE_TIME: u64 = 1_500;

/// The most tables that are described at once: the time of a page is looked at between them.
const DESCRIBED_TOGETHER: usize = 50;

/// The most buckets of a table's rows (`docs/row-format.md`).
const MAX_BUCKETS: usize = 4_096;

/// The most rows of a sample, which is not reported as sent.
const MAX_SAMPLE: u32 = 1_000;

/// Answers one request of a peer.
pub fn handle(host: &dyn Host, request: &PeerRequest) -> PeerResponse {
    respond(host, request).unwrap_or_else(|failure| PeerResponse {
        status: failure.code.parse().map_or(500, ErrorCode::http_status),
        body: json(&ErrorBody { error: failure }),
    })
}

fn respond(host: &dyn Host, request: &PeerRequest) -> Result<PeerResponse, Failure> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let body = match (request.method, path.as_slice()) {
        (Method::Post, ["claim"]) => json(&sessions::claim(host, &parse::<Claim>(&request.body)?)?),
        (Method::Get, ["tables"]) => {
            let session = session(host, request)?;
            json(&list_tables(host, &session, request)?)
        }
        (Method::Get, ["tables", table]) => {
            let session = session(host, request)?;
            json(&describe_table(host, &session, table)?)
        }
        (Method::Get, ["tables", table, "rows"]) => {
            Body::Rows(read_instruction(host, request, table)?)
        }
        (Method::Get, ["tables", table, "digest"]) => {
            let session = session(host, request)?;
            Body::Digest(DigestInstruction {
                database: session.database,
                table: (*table).to_owned(),
                run: run(request)?.to_owned(),
                buckets: number(request, "buckets")?.unwrap_or(1),
                without: without(request),
            })
        }
        (Method::Post, ["tables", table, "rows"]) => {
            let instruction = read_instruction(host, request, table)?;
            Body::Receive(ApplyInstruction {
                database: instruction.database,
                table: instruction.table,
                run: instruction.run,
                strategy: parameter(request, "strategy").unwrap_or("skip").to_owned(),
            })
        }
        (Method::Post, ["done"]) => {
            let admission = admission(request)?;
            run(request)?;
            sessions::done(host, admission, parse::<Done>(&request.body)?.tables)?;
            Body::Empty
        }
        (Method::Post, ["runs", run, "end"]) => {
            session(host, request)?;
            if !is_run(run) {
                return Err(no_run());
            }
            host.release(admission(request)?, run)?;
            if parameter(request, "unwritten") == Some("1") {
                sessions::release(host, admission(request)?)?;
            }
            Body::Empty
        }
        (Method::Get, ["runs", _]) => {
            session(host, request)?;
            return Err(failure(
                ErrorCode::Unavailable,
                "this version does not report how far a run is",
                "pull instead of pushing",
            ));
        }
        _ => {
            return Err(failure(
                ErrorCode::NotFound,
                "the path below /sync/v1/ is unknown",
                SAME_VERSION,
            ));
        }
    };
    Ok(PeerResponse { status: 200, body })
}

/// Returns the next page of what a session shares.
fn list_tables(
    host: &dyn Host,
    session: &SessionDocument,
    request: &PeerRequest,
) -> Result<SharedTables, Failure> {
    let wanted = |name| parameter(request, name) == Some("1");
    let parts = Parts {
        schema: wanted("schema"),
        count: wanted("counts"),
        facts: wanted("facts"),
    };
    let after = parameter(request, "after").unwrap_or_default();
    let began = host.now();
    let mut bytes = 0;
    let mut page = SharedTables {
        tables: Vec::new(),
        next: None,
    };
    let mut summaries = host.tables(&session.database)?;
    // A database may sort by a collation; the receiver compares the names by their bytes.
    summaries.sort_by(|one, other| one.table.cmp(&other.table));
    summaries.retain(|summary| summary.table.as_str() > after);
    let mut described = VecDeque::new();
    for (number, summary) in summaries.iter().enumerate() {
        let late = host.now().saturating_sub(began) >= PAGE_TIME;
        let full = page.tables.len() >= PAGE_TABLES || bytes >= PAGE_BYTES || late;
        if full && let Some(last) = page.tables.last() {
            page.next = Some(last.table.clone());
            break;
        }
        let mut shared = named(summary);
        if parts.any() && summary.kind == TableKind::Table {
            if described.is_empty() {
                let room = PAGE_TABLES.saturating_sub(page.tables.len());
                let next = summaries.iter().skip(number);
                described.extend(describe_next(host, session, next, room, parts)?);
            }
            let table = described.pop_front();
            match fill(&mut shared, table, parts) {
                Ok(()) => {}
                // Dropped after the listing.
                Err(Error::NotFound(_)) => continue,
                Err(error) => return Err(about_table(&summary.table, error)),
            }
        }
        let unfinished = shared.unfinished;
        bytes += serde_json::to_vec(&shared).map_or(0, |json| json.len());
        page.tables.push(shared);
        if unfinished {
            page.next = Some(summary.table.clone());
            break;
        }
    }
    Ok(page)
}

/// Returns one table with its schema and its number of rows.
fn describe_table(
    host: &dyn Host,
    session: &SessionDocument,
    table: &str,
) -> Result<SharedTable, Failure> {
    let mut shared = named(&TableSummary {
        table: table.to_owned(),
        kind: TableKind::Table,
    });
    let parts = Parts {
        schema: true,
        count: true,
        facts: true,
    };
    let described = host.describe_all(&session.database, &[table.to_owned()], true, true);
    let described = described.and_then(|mut described| fill(&mut shared, described.pop(), parts));
    described.map_err(|error| about_table(table, error))?;
    Ok(shared)
}

/// What a peer wants to know of each table.
#[derive(Clone, Copy)]
struct Parts {
    schema: bool,
    count: bool,
    facts: bool,
}

impl Parts {
    fn any(self) -> bool {
        self.schema || self.count || self.facts
    }
}

/// Describes the next tables of a listing, at least the first.
fn describe_next<'a>(
    host: &dyn Host,
    session: &SessionDocument,
    next: impl Iterator<Item = &'a TableSummary>,
    room: usize,
    parts: Parts,
) -> Result<Vec<DescribedTable>, Failure> {
    let tables = next.filter(|summary| summary.kind == TableKind::Table);
    let tables = tables.take(room.clamp(1, DESCRIBED_TOGETHER));
    let names: Vec<String> = tables.map(|summary| summary.table.clone()).collect();
    Ok(host.describe_all(&session.database, &names, parts.count, parts.facts)?)
}

/// Returns a name in the form of the wire.
fn named(summary: &TableSummary) -> SharedTable {
    SharedTable {
        table: summary.table.clone(),
        kind: match &summary.kind {
            TableKind::Table => "table".to_owned(),
            TableKind::View => "view".to_owned(),
            TableKind::Other(other) => other.clone(),
        },
        rows: 0,
        exact: false,
        schema: None,
        facts: None,
        unfinished: false,
    }
}

/// Adds what is known of a table; none: it is gone.
fn fill(
    shared: &mut SharedTable,
    described: Option<DescribedTable>,
    parts: Parts,
) -> Result<(), Error> {
    let described = described.ok_or_else(|| Error::NotFound(String::new()))?;
    let schema = described.schema?;
    if parts.schema {
        shared.schema = Some(schema);
    }
    if parts.facts {
        shared.facts = described.facts.transpose()?.flatten();
        shared.unfinished = shared.facts.is_none();
    }
    if let Some(count) = described.count {
        let count = count?;
        shared.rows = count.rows;
        shared.exact = count.exact;
    }
    Ok(())
}

/// What an error of the database means to a peer that named a table.
fn about_table(table: &str, error: Error) -> Failure {
    match error {
        Error::NotFound(_) => failure(
            ErrorCode::NoSuchTable,
            format!("the other site has no table {table:?}"),
            "check the name, or name no table to pull all that are shared",
        ),
        Error::Denied(_) => failure(
            ErrorCode::Denied,
            format!("the other site does not share table {table:?}"),
            "ask the other site to share it",
        ),
        Error::Invalid(_) => failure(
            ErrorCode::NotATable,
            format!(
                "{table:?} is a view, a virtual or foreign table, or a partition at the other site; only whole tables \
                 with rows of their own can be transferred"
            ),
            "name the table behind it instead",
        ),
        error => error.into(),
    }
}

fn read_instruction(
    host: &dyn Host,
    request: &PeerRequest,
    table: &str,
) -> Result<ReadInstruction, Failure> {
    let session = session(host, request)?;
    Ok(ReadInstruction {
        database: session.database,
        table: table.to_owned(),
        run: run(request)?.to_owned(),
        selection: selection(request)?,
        without: without(request),
    })
}

/// Returns the columns that the peer does not want.
fn without(request: &PeerRequest) -> Vec<String> {
    let query = request.query.iter();
    let named = query.filter(|(name, _)| name == "without");
    named.map(|(_, column)| column.clone()).collect()
}

/// Returns which rows the query selects.
fn selection(request: &PeerRequest) -> Result<Selection, Failure> {
    let invalid = |what: &str| failure(ErrorCode::BadRequest, what, SAME_VERSION);
    if let Some(key) = parameter(request, "after") {
        let key = hex::decode(key);
        let key = key.map_err(|_| invalid("`after` is not a key in hexadecimal digits"))?;
        return Ok(Selection::After(key));
    }
    if let Some(rows) = number(request, "first")? {
        if rows > MAX_SAMPLE {
            return Err(invalid(&format!("`first` is more than {MAX_SAMPLE}")));
        }
        return Ok(Selection::First(rows));
    }
    let Some(bits) = parameter(request, "buckets") else {
        return Ok(Selection::All);
    };
    let bits = hex::decode(bits).ok();
    let bits = bits.filter(|bits| bits.len() <= MAX_BUCKETS / 8);
    let bits = bits.ok_or_else(|| {
        invalid("`buckets` is not a set of at most 4096 bits in hexadecimal digits")
    })?;
    let is_set = |bucket: &u16| {
        let byte = bits.get(usize::from(bucket / 8));
        byte.is_some_and(|byte| byte >> (bucket % 8) & 1 == 1)
    };
    Ok(Selection::Buckets((0..=u16::MAX).filter(is_set).collect()))
}

fn number(request: &PeerRequest, name: &str) -> Result<Option<u32>, Failure> {
    let parsed = parameter(request, name).map(str::parse).transpose();
    parsed.map_err(|_| {
        failure(
            ErrorCode::BadRequest,
            format!("`{name}` is not a whole number from 0 to {}", u32::MAX),
            SAME_VERSION,
        )
    })
}

fn run(request: &PeerRequest) -> Result<&str, Failure> {
    let run = parameter(request, "run").filter(|run| is_run(run));
    run.ok_or_else(no_run)
}

fn no_run() -> Failure {
    failure(
        ErrorCode::BadRequest,
        "`run` is missing, or is not 1 to 64 letters, digits and hyphens",
        SAME_VERSION,
    )
}

fn session(host: &dyn Host, request: &PeerRequest) -> Result<SessionDocument, Failure> {
    sessions::of_admission(host, admission(request)?)
}

fn admission(request: &PeerRequest) -> Result<&str, Failure> {
    request.admission.as_deref().ok_or_else(|| {
        failure(
            ErrorCode::Unauthorized,
            "the request has no token of a session",
            "claim a code first",
        )
    })
}

fn parameter<'a>(request: &'a PeerRequest, name: &str) -> Option<&'a str> {
    request
        .query
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        failure(
            ErrorCode::BadRequest,
            format!("the body cannot be read: {}", json_reason(&error)),
            SAME_VERSION,
        )
    })
}

fn json<T: Serialize>(document: &T) -> Body {
    match serde_json::to_vec(document) {
        Ok(json) => Body::Json(json),
        // Plain data with text keys always becomes JSON.
        Err(_) => Body::Empty,
    }
}
