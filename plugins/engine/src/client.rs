//! Runs: planned step by step, started by the operator, ended by the host's events.

use crate::component::exports::tombolo::sync::client::PullRequest;
use crate::component::tombolo::sync::database;
use crate::component::tombolo::sync::http::{self, Method, Request};
use crate::component::tombolo::sync::services::{self, Level};
use crate::component::tombolo::sync::state::{self, Lifetime};
use crate::component::tombolo::sync::transfers::{self, CopyOrder, Notice, TableOrder};
use crate::component::tombolo::sync::types::{Error, Failure, Peer, TableReport};
use crate::documents::{self, Here, RunDocument, Stage, TableDocument, VERSION};
use crate::failure::failure;
use crate::planning;
use crate::protocol::{Done, hex};

/// Begins a run: nothing is asked of the peer yet.
pub fn plan(request: PullRequest) -> Result<String, Failure> {
    let base_url = request.base_url.trim_end_matches('/').to_owned();
    if request.code.is_empty() || request.code.len() > 128 {
        return Err(failure("bad-request", "a code has 1 to 128 characters", ""));
    }
    let identity = database::info(&request.database)?.identity;
    let run = hex(&services::random(16)?);
    let document = RunDocument {
        version: VERSION,
        stage: Stage::Claim,
        secret_key: secret_key(&base_url, &request.code, &identity),
        peer: Peer {
            base_url,
            credential: None,
        },
        code: request.code,
        database: request.database,
        tables: request.tables,
        strategy: request.strategy,
        table_strategies: request.table_strategies,
        create_missing: request.create_missing,
        claimer: request.claimer,
        known: 0,
        order: Vec::new(),
    };
    save(&run, &document)?;
    transfers::request_step(&run)?;
    Ok(run)
}

/// Goes one step on in planning.
pub fn step(run: &str) -> Result<(), Error> {
    let outcome = find(run).and_then(|mut document| {
        let planning = !matches!(
            document.stage,
            Stage::Planned | Stage::Running | Stage::Ended
        );
        if !planning {
            return Ok(());
        }
        planning::step(run, &mut document)?;
        save(run, &document)?;
        match document.stage {
            Stage::Planned => {
                let plan = planning::present(run, &document)?;
                Ok(transfers::publish(run, &Notice::Planned(plan))?)
            }
            _ => Ok(transfers::request_step(run)?),
        }
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(failure) => end(run, failure),
    }
}

/// Gives the host the order for a planned run.
pub fn start(run: &str) -> Result<(), Failure> {
    let mut document = find(run)?;
    if document.stage != Stage::Planned {
        return Err(failure(
            "bad-request",
            "the run is not waiting to be started",
            "",
        ));
    }
    let order = CopyOrder {
        run: run.to_owned(),
        peer: document.peer.clone(),
        database: document.database.clone(),
        tables: orders(run, &document)?,
    };
    document.stage = Stage::Running;
    save(run, &document)?;
    transfers::start(&order)?;
    Ok(())
}

/// Ends a run; what is committed stays.
pub fn cancel(run: &str) -> Result<(), Failure> {
    let document = find(run)?;
    match document.stage {
        Stage::Running => Ok(transfers::cancel(run)?),
        Stage::Ended => Ok(()),
        _ => Ok(end(
            run,
            failure("cancelled", "the pull was cancelled", "nothing was written"),
        )?),
    }
}

/// The host's job ended early.
pub fn trouble(run: &str, failure: Failure) -> Result<(), Error> {
    end(run, failure)
}

/// The host's job is complete: the peer is told, then the faces.
pub fn finished(run: &str, reports: Vec<TableReport>) -> Result<(), Error> {
    let Some((mut document, _)) = read(run)? else {
        return Ok(());
    };
    if document.stage == Stage::Ended {
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
    // All rows are here: a peer that is gone meanwhile changes nothing about that.
    match http::send(&document.peer, &request) {
        Ok(response) if response.status < 300 => {
            state::delete(&document.secret_key)?;
        }
        _ => services::log(
            Level::Warn,
            "the other site could not be told that the run is complete",
        ),
    }
    document.stage = Stage::Ended;
    save(run, &document).map_err(internal)?;
    transfers::publish(run, &Notice::Finished(reports))
}

/// The claimer secret of a run: made once and kept before it is first sent, so that a claim whose answer was lost can be
/// repeated.
pub fn claimer_secret(document: &RunDocument) -> Result<String, Failure> {
    let fresh = hex(&services::random(32)?);
    state::put(
        &document.secret_key,
        fresh.as_bytes(),
        Some(0),
        Lifetime::Durable,
    )?;
    let kept = state::get(&document.secret_key)?;
    let kept = kept.and_then(|entry| String::from_utf8(entry.value).ok());
    kept.ok_or_else(|| failure("internal", "the claimer secret was not kept", ""))
}

fn secret_key(base_url: &str, code: &str, identity: &str) -> String {
    let what = format!("{base_url}\n{}\n{identity}", code.to_ascii_uppercase());
    format!("claimer/{}", hex(&services::sha256(what.as_bytes())))
}

fn orders(run: &str, document: &RunDocument) -> Result<Vec<TableOrder>, Failure> {
    let here = |number: &u32| -> Result<TableOrder, Failure> {
        let table = documents::get::<TableDocument>(&planning::table_key(run, *number))?;
        match table {
            Some((
                TableDocument {
                    here: Some(Here { order, .. }),
                    ..
                },
                _,
            )) => Ok(order),
            _ => Err(failure(
                "internal",
                "a planned table was lost",
                "pull again",
            )),
        }
    };
    document.order.iter().map(here).collect()
}

/// Marks a run as ended and tells why, once.
fn end(run: &str, failure: Failure) -> Result<(), Error> {
    let Some((mut document, _)) = read(run)? else {
        return Ok(());
    };
    if document.stage == Stage::Ended {
        return Ok(());
    }
    document.stage = Stage::Ended;
    save(run, &document).map_err(internal)?;
    transfers::publish(run, &Notice::Failed(failure))
}

fn find(run: &str) -> Result<RunDocument, Failure> {
    match documents::get(&key(run))? {
        Some((document, _)) => Ok(document),
        None => Err(failure("not-found", "there is no such run", "")),
    }
}

fn read(run: &str) -> Result<Option<(RunDocument, u64)>, Error> {
    documents::get(&key(run)).map_err(internal)
}

/// Events and calls come one after the other, so a run's document has one writer at a time.
fn save(run: &str, document: &RunDocument) -> Result<(), Failure> {
    documents::put(&key(run), document, None)?;
    Ok(())
}

fn key(run: &str) -> String {
    format!("run/{run}")
}

fn internal(failure: Failure) -> Error {
    Error::Other(failure.message)
}
