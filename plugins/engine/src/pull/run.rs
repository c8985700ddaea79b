//! Runs: planned step by step, started by the operator, ended by the host's events.

use crate::bindings::client::PullRequest;
use crate::bindings::events::{Compared, Trouble};
use crate::bindings::http::{Method, Request};
use crate::bindings::services::Level;
use crate::bindings::transfers::{CopyInstruction, RunEvent};
use crate::bindings::types::{Error, Failure, Peer, TableReport};
use crate::budget::Spent;
use crate::documents::{self, MAX_RACES, RunDocument, Stage, run_key, secret_key};
use crate::error::{ErrorCode, failure};
use crate::host::Host;
use crate::pull::{conversion, discover, request, resume, table_plan};
use crate::retention;
use crate::wire::Done;

/// Failures after which the peer is not asked for anything else.
const WITHOUT_ANSWER: [ErrorCode; 2] = [ErrorCode::Timeout, ErrorCode::Unreachable];

/// The most keys of one run that are listed at once.
const PAGE: u32 = 1_000;

/// Begins to plan a run and returns its id. Sends nothing to the peer yet.
///
/// Fails with `bad-request` if a part of the request is invalid, and `not-found` if there is no such database.
pub fn plan(host: &dyn Host, mut request: PullRequest) -> Result<String, Failure> {
    request::check(&request)?;
    conversion::check_request(&request)?;
    let identity = host.info(&request.database)?.identity;
    let run = hex::encode(host.random(16)?);
    request.base_url = request.base_url.trim_end_matches('/').to_owned();
    request.jobs = request.jobs.max(1);
    let document = RunDocument {
        stage: Stage::Claim,
        secret_key: claimer_secret_key(host, &request, &identity),
        peer: Peer {
            base_url: request.base_url.clone(),
            credential: None,
        },
        request,
        writes: false,
        known: 0,
        matched_tables: Vec::new(),
        matches: Vec::new(),
        spent: Spent::default(),
        sequence: Vec::new(),
        source: String::new(),
        ledger: run.clone(),
        unfinished_key: String::new(),
        created: Vec::new(),
        continued: false,
    };
    documents::put(host, &run_key(&run), &document, Some(0))?;
    retention::enter_run(host, &run)?;
    host.request_step(&run)?;
    Ok(run)
}

/// Takes one step of planning. A failure ends the run and is published.
pub fn step(host: &dyn Host, run: &str) -> Result<(), Error> {
    plan_step(host, run).or_else(|failure| fail(host, run, failure))
}

fn plan_step(host: &dyn Host, run: &str) -> Result<(), Failure> {
    let (mut document, version) = find(host, run)?;
    document.stage = match document.stage.clone() {
        Stage::Claim => discover::claim(host, &mut document)?,
        Stage::FetchTable(index) => discover::fetch_table(host, run, &mut document, index)?,
        Stage::ListTables(after) => discover::list_tables(host, run, &mut document, after)?,
        Stage::FindUnfinished(number, digest) => {
            resume::find_unfinished(host, run, &mut document, number, digest)?
        }
        Stage::PlanTable(number) => table_plan::plan_tables(host, run, &mut document, number)?,
        Stage::Sort => table_plan::sort(host, run, &mut document)?,
        Stage::Present => Stage::Planned,
        Stage::Planned | Stage::Running | Stage::Ended => return Ok(()),
    };
    // A cancel that came during the step wins.
    if documents::put(host, &run_key(run), &document, Some(version))?.is_none() {
        return Ok(());
    }
    if document.stage == Stage::Planned {
        let plan = table_plan::present(host, run, &document)?;
        Ok(host.publish(run, &RunEvent::Planned(plan))?)
    } else {
        Ok(host.request_step(run)?)
    }
}

/// Starts the host's job for a planned run.
///
/// Fails with `not-found` if there is no such run, `bad-request` if it is not waiting to be started, and as the host
/// does.
pub fn start(host: &dyn Host, run: &str) -> Result<(), Failure> {
    begin(host, run, true, |document, instruction| {
        resume::remember(host, document, instruction)?;
        Ok(host.start(instruction)?)
    })
}

/// Starts a job that compares a planned run's tables with the target. Fails as [`start`] does.
pub fn compare(host: &dyn Host, run: &str) -> Result<(), Failure> {
    begin(host, run, false, |_, instruction| {
        Ok(host.compare(instruction)?)
    })
}

fn begin(
    host: &dyn Host,
    run: &str,
    writes: bool,
    start_job: impl Fn(&RunDocument, &CopyInstruction) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let not_planned = || {
        failure(
            ErrorCode::BadRequest,
            format!("run {run} is not waiting to be started"),
            "wait until its plan is complete; a run is started once",
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
        database: document.request.database.clone(),
        tables: table_plan::instructions(host, run, &document)?,
        jobs: document.request.jobs,
        reject_limit: document.request.reject_limit,
        max_rows: document.request.max_rows,
        max_bytes: document.request.max_bytes,
    };
    document.stage = Stage::Running;
    document.writes = writes;
    let key = run_key(run);
    let version = documents::put(host, &key, &document, Some(version))?.ok_or_else(not_planned)?;
    if let Err(failure) = start_job(&document, &instruction) {
        document.stage = Stage::Planned;
        document.writes = false;
        documents::put(host, &key, &document, Some(version))?;
        return Err(failure);
    }
    Ok(())
}

/// Cancels a run; what is committed stays. Fails with `not-found` if there is no such run.
pub fn cancel(host: &dyn Host, run: &str) -> Result<(), Failure> {
    let (document, _) = find(host, run)?;
    match document.stage {
        // The job ends after the chunk under way, and an event reports it.
        Stage::Running => Ok(host.cancel(run)?),
        Stage::Ended => Ok(()),
        _ => Ok(fail(
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

/// Ends a run whose job ended early.
pub fn trouble(host: &dyn Host, trouble: Trouble) -> Result<(), Error> {
    let Trouble {
        run,
        table,
        mut failure,
    } = trouble;
    if let Some(table) = table {
        let quoted = format!("{table:?}");
        if !failure.message.contains(&quoted) {
            failure.message = format!("table {quoted}: {}", failure.message);
        }
    }
    fail(host, &run, failure)
}

/// Ends a run whose job is complete, and reports that to the peer.
pub fn finished(host: &dyn Host, run: &str, reports: Vec<TableReport>) -> Result<(), Error> {
    let Some((document, version)) = get(host, run)? else {
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
    // All rows are committed: a peer that cannot be reached does not change that. Its session may still be alive, so that
    // the claimer's secret stays good for another claim.
    match host.send(&document.peer, &request) {
        Ok(response) if response.status < 500 => {
            host.delete(&document.secret_key)?;
        }
        _ => host.log(
            Level::Warn,
            "the other site cannot be told that the run is complete",
        ),
    }
    host.delete(&document.unfinished_key)?;
    end(host, run, document, version, &RunEvent::Finished(reports))?;
    Ok(())
}

/// Ends a run whose tables are compared. The peer's session goes on: its code can be used again.
pub fn compared(host: &dyn Host, compared: Compared) -> Result<(), Error> {
    let Compared { run, tables } = compared;
    let Some((document, version)) = get(host, &run)? else {
        return Ok(());
    };
    if document.stage == Stage::Running {
        release(host, &run, &document);
        end(host, &run, document, version, &RunEvent::Compared(tables))?;
    }
    Ok(())
}

/// Ends a run and publishes the failure, once.
fn fail(host: &dyn Host, run: &str, failure: Failure) -> Result<(), Error> {
    let failed_code = failure.code.parse().unwrap_or(ErrorCode::Internal);
    let failed = RunEvent::Failed(failure);
    for _ in 0..MAX_RACES {
        let Some((document, version)) = get(host, run)? else {
            return Ok(());
        };
        // After waiting for an answer in vain, a step of planning has no time left for another request.
        let answers = !WITHOUT_ANSWER.contains(&failed_code);
        let is_claimed = document.peer.credential.is_some();
        match document.stage {
            Stage::Planned | Stage::Running => release(host, run, &document),
            Stage::Ended => {}
            _ if answers && is_claimed => release(host, run, &document),
            _ => {}
        }
        if document.stage == Stage::Ended || end(host, run, document, version, &failed)? {
            return Ok(());
        }
    }
    Err(Error::Other(format!(
        "run {run} was changed {MAX_RACES} times while it was ended"
    )))
}

/// Tells the peer that a run is over, so that it holds its snapshot no longer. The snapshot ends without that as well,
/// a while later. A run that was not started to write gives the code back as well.
fn release(host: &dyn Host, run: &str, document: &RunDocument) {
    let request = Request {
        method: Method::Post,
        path: match document.writes {
            true => format!("/sync/v1/runs/{run}/end"),
            false => format!("/sync/v1/runs/{run}/end?unwritten=1"),
        },
        body: Vec::new(),
    };
    if let Err(error) = host.send(&document.peer, &request) {
        let message = format!("the other site cannot be told that the run is over: {error:?}");
        host.log(Level::Debug, &message);
    }
}

/// Marks a run as ended and publishes how. Returns false if it has another version by now.
fn end(
    host: &dyn Host,
    run: &str,
    mut document: RunDocument,
    version: u64,
    event: &RunEvent,
) -> Result<bool, Error> {
    document.stage = Stage::Ended;
    let written = documents::put(host, &run_key(run), &document, Some(version));
    if written.map_err(internal)?.is_none() {
        return Ok(false);
    }
    host.publish(run, event)?;
    Ok(true)
}

/// Returns true if the run at a key is over, or does not exist.
pub fn is_over(host: &dyn Host, key: &str) -> Result<bool, Failure> {
    let run: Option<(RunDocument, u64)> = documents::get(host, key)?;
    Ok(run.is_none_or(|(run, _)| run.stage == Stage::Ended))
}

/// Removes the run at a key with its tables, which have keys below its own.
pub fn remove(host: &dyn Host, key: &str) -> Result<(), Failure> {
    loop {
        let page = host.list(key, None, PAGE)?;
        if page.is_empty() {
            return Ok(());
        }
        for entry in &page {
            host.delete(&entry.key)?;
        }
    }
}

/// Returns the key of the secret for a code, a peer and a database. The code is taken in the form in which sessions are
/// looked up, as far as the rules of this site know that form.
fn claimer_secret_key(host: &dyn Host, request: &PullRequest, identity: &str) -> String {
    let code = host
        .normalize(&request.code)
        .unwrap_or_else(|_| request.code.trim().to_ascii_uppercase());
    let content = format!("{}\n{code}\n{identity}", request.base_url);
    secret_key(&host.sha256(content.as_bytes()))
}

fn find(host: &dyn Host, run: &str) -> Result<(RunDocument, u64), Failure> {
    documents::get(host, &run_key(run))?.ok_or_else(|| {
        failure(
            ErrorCode::NotFound,
            format!("there is no run {run:?}"),
            "pull again: a run is forgotten when its process ends",
        )
    })
}

fn get(host: &dyn Host, run: &str) -> Result<Option<(RunDocument, u64)>, Error> {
    documents::get(host, &run_key(run)).map_err(internal)
}

fn internal(failure: Failure) -> Error {
    Error::Other(failure.message)
}
