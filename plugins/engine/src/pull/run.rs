//! Runs: planned step by step, started by the operator, ended by the host's events.

use crate::bindings::client::PullRequest;
use crate::bindings::events::{Compared, Trouble};
use crate::bindings::http::{Method, Request};
use crate::bindings::services::Level;
use crate::bindings::transfers::{CopyInstruction, RunEvent, TableInstruction};
use crate::bindings::types::{Error, Failure, Peer, TableReport};
use crate::documents::{self, Here, RunDocument, Stage, TableDocument, VERSION};
use crate::error::{ErrorCode, failure};
use crate::host::Host;
use crate::pull::{conversion, discover, resume};
use crate::wire::{Done, MAX_CLAIMER, MAX_TABLES, hex, is_name};

/// The longest address of a peer, in bytes.
const MAX_URL: usize = 2_048;

/// The longest code that is sent to a peer, in bytes.
const MAX_CODE: usize = 128;

/// How often a run is looked at again after somebody else changed it.
const RACES: u32 = 20;

/// Begins a run: nothing is asked of the peer yet.
pub fn plan(host: &dyn Host, request: PullRequest) -> Result<String, Failure> {
    check(&request)?;
    conversion::check(&request)?;
    let base_url = request.base_url.trim_end_matches('/').to_owned();
    let identity = host.info(&request.database)?.identity;
    let run = hex(&host.random(16)?);
    let document = RunDocument {
        version: VERSION,
        stage: Stage::Claim,
        secret_key: secret_key(host, &base_url, &request.code, &identity),
        peer: Peer {
            base_url,
            credential: None,
        },
        code: request.code,
        database: request.database,
        tables: request.tables,
        strategy: request.strategy,
        table_strategies: request.table_strategies,
        conversions: request.conversions,
        column_conversions: request.column_conversions,
        create_missing: request.create_missing,
        claimer: request.claimer,
        known: 0,
        sequence: Vec::new(),
        jobs: request.jobs.max(1),
        reject_limit: request.reject_limit,
        source: String::new(),
        ledger: run.clone(),
        unfinished_key: String::new(),
        created: Vec::new(),
        continued: false,
    };
    documents::put(host, &key(&run), &document, Some(0))?;
    host.request_step(&run)?;
    Ok(run)
}

/// Goes one step on in planning. What goes wrong ends the run and is told as a notice.
pub fn step(host: &dyn Host, run: &str) -> Result<(), Error> {
    next(host, run).or_else(|failure| end(host, run, failure))
}

fn next(host: &dyn Host, run: &str) -> Result<(), Failure> {
    let (mut document, version) = find(host, run)?;
    if !document.stage.is_planning() {
        return Ok(());
    }
    discover::step(host, run, &mut document)?;
    // Who cancelled the run while the peer was asked has the last word.
    if documents::put(host, &key(run), &document, Some(version))?.is_none() {
        return Ok(());
    }
    if document.stage == Stage::Planned {
        let plan = discover::present(host, run, &document)?;
        Ok(host.publish(run, &RunEvent::Planned(plan))?)
    } else {
        Ok(host.request_step(run)?)
    }
}

/// Gives the host the order for a planned run.
pub fn start(host: &dyn Host, run: &str) -> Result<(), Failure> {
    begin(host, run, |document, instruction| {
        resume::remember(host, document, instruction)?;
        Ok(host.start(instruction)?)
    })
}

/// Has a planned run's tables compared with what is here.
pub fn compare(host: &dyn Host, run: &str) -> Result<(), Failure> {
    begin(host, run, |_, instruction| Ok(host.compare(instruction)?))
}

fn begin(
    host: &dyn Host,
    run: &str,
    work: impl Fn(&RunDocument, &CopyInstruction) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let not_planned = || {
        failure(
            ErrorCode::BadRequest,
            format!("run {run} is not waiting to be started"),
            "wait for its plan; a run is started once",
        )
    };
    let (mut document, version) = find(host, run)?;
    if document.stage != Stage::Planned {
        return Err(not_planned());
    }
    let instruction = CopyInstruction {
        run: run.to_owned(),
        ledger: document.ledger.clone(),
        peer: document.peer.clone(),
        database: document.database.clone(),
        tables: orders(host, run, &document)?,
        jobs: document.jobs,
        reject_limit: document.reject_limit,
    };
    document.stage = Stage::Running;
    let own = documents::put(host, &key(run), &document, Some(version))?.ok_or_else(not_planned)?;
    if let Err(failure) = work(&document, &instruction) {
        document.stage = Stage::Planned;
        documents::put(host, &key(run), &document, Some(own))?;
        return Err(failure);
    }
    Ok(())
}

/// Ends a run; what is committed stays.
pub fn cancel(host: &dyn Host, run: &str) -> Result<(), Failure> {
    let (document, _) = find(host, run)?;
    match document.stage {
        // The job ends at its chunk's end and says so.
        Stage::Running => Ok(host.cancel(run)?),
        Stage::Ended => Ok(()),
        _ => Ok(end(
            host,
            run,
            failure(
                ErrorCode::Cancelled,
                "the pull was cancelled; nothing was written",
                "pull again with the same code while the other site shares",
            ),
        )?),
    }
}

/// The host's job ended early.
pub fn trouble(host: &dyn Host, trouble: Trouble) -> Result<(), Error> {
    let Trouble {
        run,
        table,
        mut failure,
    } = trouble;
    if let Some(table) = table {
        let named = format!("{table:?}");
        if !failure.message.contains(&named) {
            failure.message = format!("table {named}: {}", failure.message);
        }
    }
    end(host, &run, failure)
}

/// The host's job is complete: the peer is told, then the faces.
pub fn finished(host: &dyn Host, run: &str, reports: Vec<TableReport>) -> Result<(), Error> {
    let Some((mut document, version)) = read(host, run)? else {
        return Ok(());
    };
    if document.stage != Stage::Running {
        return Ok(());
    }
    let done = Done {
        tables: reports.clone(),
    };
    let request = Request {
        method: Method::Post,
        path: format!("/sync/v1/done?run={run}"),
        body: serde_json::to_vec(&done).map_err(|error| Error::Other(error.to_string()))?,
    };
    // All rows are here: a peer that is gone meanwhile changes nothing about that. A session that could not be ended may
    // be claimed once more, so its secret stays.
    match host.send(&document.peer, &request) {
        Ok(response) if response.status < 500 => {
            host.delete(&document.secret_key)?;
        }
        _ => host.log(
            Level::Warn,
            "the other site could not be told that the run is complete",
        ),
    }
    host.delete(&document.unfinished_key)?;
    document.stage = Stage::Ended;
    let own = documents::put(host, &key(run), &document, Some(version)).map_err(internal)?;
    match own {
        Some(_) => host.publish(run, &RunEvent::Finished(reports)),
        None => Ok(()),
    }
}

/// The host compared all tables. The peer is not told: its code can be used again from here.
pub fn compared(host: &dyn Host, compared: Compared) -> Result<(), Error> {
    let Compared { run, tables } = compared;
    let Some((mut document, version)) = read(host, &run)? else {
        return Ok(());
    };
    if document.stage != Stage::Running {
        return Ok(());
    }
    document.stage = Stage::Ended;
    let own = documents::put(host, &key(&run), &document, Some(version)).map_err(internal)?;
    match own {
        Some(_) => host.publish(&run, &RunEvent::Compared(tables)),
        None => Ok(()),
    }
}

fn check(request: &PullRequest) -> Result<(), Failure> {
    let wrong = |what: String, hint: &str| Err(failure(ErrorCode::BadRequest, what, hint));
    if !(1..=MAX_URL).contains(&request.base_url.len()) {
        return wrong(
            format!("a peer's address has 1 to {MAX_URL} bytes"),
            "use the address that `tombolo share` printed",
        );
    }
    if !(1..=MAX_CODE).contains(&request.code.trim().len()) {
        return wrong(
            format!("a code has 1 to {MAX_CODE} bytes"),
            "use the code that `tombolo share` printed",
        );
    }
    if request.claimer.chars().count() > MAX_CLAIMER {
        return wrong(
            format!("a claimer's name has at most {MAX_CLAIMER} characters"),
            "use a shorter one",
        );
    }
    let tables = request.tables.iter();
    let named = request.table_strategies.iter().map(|(table, _)| table);
    if let Some(name) = tables.chain(named).find(|name| !is_name(name)) {
        return wrong(
            format!("{name:?} cannot be a table's name"),
            "check the names of the tables",
        );
    }
    if request.tables.len().max(request.table_strategies.len()) > MAX_TABLES as usize {
        return wrong(
            format!("more than {MAX_TABLES} tables are named"),
            "name none to pull all that is shared",
        );
    }
    Ok(())
}

/// Where the secret for this code, peer and database is kept. The code stands in the form in which it is looked up, as far as
/// the rules here know the other site's codes.
fn secret_key(host: &dyn Host, base_url: &str, code: &str, identity: &str) -> String {
    let code = host
        .normalize(code)
        .unwrap_or_else(|_| code.trim().to_ascii_uppercase());
    let what = format!("{base_url}\n{code}\n{identity}");
    format!("claimer/{}", hex(&host.sha256(what.as_bytes())))
}

fn orders(
    host: &dyn Host,
    run: &str,
    document: &RunDocument,
) -> Result<Vec<TableInstruction>, Failure> {
    let instruction = |number: &u32| -> Result<TableInstruction, Failure> {
        match discover::table(host, run, *number)? {
            TableDocument {
                here: Some(Here { instruction, .. }),
                ..
            } => Ok(instruction),
            _ => Err(discover::lost()),
        }
    };
    document.sequence.iter().map(instruction).collect()
}

/// Marks a run as ended and tells why, once.
fn end(host: &dyn Host, run: &str, failure: Failure) -> Result<(), Error> {
    for _ in 0..RACES {
        let Some((mut document, version)) = read(host, run)? else {
            return Ok(());
        };
        if document.stage == Stage::Ended {
            return Ok(());
        }
        document.stage = Stage::Ended;
        let own = documents::put(host, &key(run), &document, Some(version)).map_err(internal)?;
        if own.is_some() {
            return host.publish(run, &RunEvent::Failed(failure));
        }
    }
    Err(Error::Other(format!(
        "run {run} was changed by too many at the same time"
    )))
}

fn find(host: &dyn Host, run: &str) -> Result<(RunDocument, u64), Failure> {
    documents::get(host, &key(run))?.ok_or_else(|| {
        failure(
            ErrorCode::NotFound,
            format!("there is no run {run:?}"),
            "runs are known as long as their process lives: pull again",
        )
    })
}

fn read(host: &dyn Host, run: &str) -> Result<Option<(RunDocument, u64)>, Error> {
    documents::get(host, &key(run)).map_err(internal)
}

fn key(run: &str) -> String {
    format!("run/{run}")
}

fn internal(failure: Failure) -> Error {
    Error::Other(failure.message)
}
