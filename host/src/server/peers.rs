//! Peers' requests: resolves the bearer token, reads the body, and passes the rest to the engine.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::answers::{self, Answer, Refusal};
use super::bodies;
use super::budget::{Budget, OwnBudget};
use super::connections::{Connection, InRequest};
use super::guesses::Guesses;
use super::log_pace::LogPace;
use super::rows::{self, Content, Selection, Sending};
use crate::bindings::http::Method;
use crate::bindings::peers::{Body, PeerRequest, PeerResponse, Selection as Selected};
use crate::bindings::types::Failure;
use crate::capability::Caller;
use crate::failure::{ErrorCode, failure};
use crate::host::Host;
use crate::resources::Admission;
use crate::rows::{BUCKETS, MEDIA_TYPE, MEDIA_TYPE_COMPRESSED, RowBlock};
use crate::tenant::Tenant;

/// What all routes begin with.
const PREFIX: &str = "/sync/v1/";

/// The route that trades a code for a token.
const CLAIM: &str = "claim";

/// The most segments of a path, and the most parameters of a query.
const MAX_PARTS: usize = 32;

/// The largest document that a component may answer with, in bytes: a receiver takes no larger one.
const MAX_DOCUMENT: usize = 8 << 20;

/// What the requests of all peers share.
pub struct Peers {
    host: Arc<Host>,
    budget: Budget,
    guesses: Guesses,
    ended_streams: Arc<LogPace>,
}

/// Resolves when the peer has disconnected.
pub type Gone = oneshot::Receiver<()>;

impl Peers {
    /// Nobody has asked for anything yet.
    pub fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            budget: Budget::default(),
            guesses: Guesses::default(),
            ended_streams: Arc::default(),
        }
    }

    /// Returns the wrong codes that peers sent.
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// Answers one request. A failure becomes an answer with its status.
    pub async fn answer(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
        mut gone: Gone,
    ) -> Answer {
        let in_request = connection.begin_request();
        match self.respond(&in_request, request, &mut gone).await {
            Ok(Response::Document(status, body)) => answers::json(in_request, status, body),
            Ok(Response::Stream(sending, content)) => {
                let media_type = match content {
                    Content::Rows(_, true) => MEDIA_TYPE_COMPRESSED,
                    _ => MEDIA_TYPE,
                };
                let frames = rows::stream(*sending, content);
                answers::stream(in_request, media_type, frames)
            }
            Err(refused) => answers::refusal(in_request, &refused),
        }
    }

    async fn respond(
        &self,
        in_request: &InRequest,
        request: Request<Incoming>,
        gone: &mut Gone,
    ) -> Result<Response, Refusal> {
        let tenant = self.host.root_tenant().ok_or_else(|| no_route(""))?;
        let connection = in_request.connection();
        let route = Route::of(&request)?;
        let admission = match bearer(&request) {
            Some(token) => tenant
                .resources()
                .admission(token)
                .await
                .map_err(internal)?,
            None => None,
        };
        let owner = admission.as_ref().map(|admission| admission.owner.as_str());
        connection.present(owner);
        let budget = self.budget.of(owner);
        let may_guess = route.claims || owner.is_none();
        let limit = match may_guess {
            true => bodies::MAX_CLAIM,
            false => bodies::MAX_BODY,
        };
        let (body, _held) = match route.method {
            Method::Post => bodies::read(request.into_body(), limit, &budget).await?,
            Method::Get => (Vec::new(), None),
        };
        in_request.arrived();
        if may_guess {
            let delay = self.guesses.delay(connection.address());
            unless_gone(gone, tokio::time::sleep(delay)).await?;
        }
        let call = unless_gone(gone, budget.call()).await??;
        let peer_request = PeerRequest {
            method: route.method,
            path: route.path,
            query: route.query,
            admission: admission.as_ref().map(|admission| admission.id.clone()),
            body,
        };
        let response = tenant
            .engine()
            .handle(Caller::Peer(admission.clone()), &peer_request)
            .await
            .map_err(internal)?;
        if may_guess && is_wrong_code(&response) {
            self.guesses.wrong(connection.address());
        }
        let status = status(&response)?;
        let (instruction, content) = match response.body {
            Body::Empty => return Ok(Response::Document(status, Bytes::new())),
            Body::Json(json) => {
                // The call counts as long as its answer waits for room.
                let room = unless_gone(gone, budget.room(json.len())).await??;
                return Ok(Response::Document(status, room.fill(json.into())));
            }
            Body::Rows(instruction) => {
                let selection = selection(instruction.selection)?;
                let of = Requested {
                    database: instruction.database,
                    table: instruction.table,
                    run: instruction.run,
                    without: instruction.without,
                };
                (of, Content::Rows(selection, route.compress))
            }
            Body::Digest(instruction) => {
                if !instruction.buckets.is_power_of_two() || instruction.buckets > BUCKETS {
                    let wrong =
                        format!("the number of buckets must be a power of two, at most {BUCKETS}");
                    return Err(bad_request(&wrong));
                }
                let of = Requested {
                    database: instruction.database,
                    table: instruction.table,
                    run: instruction.run,
                    without: instruction.without,
                };
                (of, Content::Digest(instruction.buckets))
            }
            Body::Counts(_) | Body::Receive(_) | Body::Other(_) => return Err(later()),
        };
        drop(call);
        let sending = unless_gone(
            gone,
            self.sending(tenant, admission, instruction, budget, connection),
        );
        Ok(Response::Stream(Box::new(sending.await??), content))
    }

    /// Prepares a row stream: only under an admission, within its scope and the operator's grants.
    async fn sending(
        &self,
        tenant: &Arc<Tenant>,
        admission: Option<Admission>,
        requested: Requested,
        budget: OwnBudget,
        connection: &Arc<Connection>,
    ) -> Result<Sending, Refusal> {
        let Requested {
            database,
            table,
            run,
            without,
        } = requested;
        let admission = admission.ok_or_else(|| denied("rows need a session".to_owned()))?;
        let granted = tenant
            .resources()
            .database(&database)
            .ok_or_else(|| denied("the session's database is not granted".to_owned()))?;
        let readable = granted.readable(Some(&admission.scope));
        let checked = readable.and_then(|readable| readable.check(&table));
        checked.map_err(|error| denied(Failure::from(error).message))?;
        let permits = budget.stream().await?;
        let snapshots = tenant.resources().snapshots();
        let held = snapshots
            .of_run(&admission.owner, &admission.id, &run)
            .await;
        let held = held.map_err(|many| {
            let many = failure(ErrorCode::Limit, many.to_string(), "end one first");
            Refusal(StatusCode::TOO_MANY_REQUESTS, many)
        })?;
        Ok(Sending {
            tenant: Arc::clone(tenant),
            admission,
            connection: Arc::clone(connection),
            database: Arc::clone(granted.database()),
            held,
            run,
            table,
            without,
            budget,
            permits,
            log: Arc::clone(&self.ended_streams),
        })
    }
}

/// Which table a peer wants to read, and for which run.
struct Requested {
    database: String,
    table: String,
    run: String,
    without: Vec<String>,
}

/// What is answered.
enum Response {
    Document(StatusCode, Bytes),
    Stream(Box<Sending>, Content),
}

/// What the head of a request says.
struct Route {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    /// Whether it is a claim.
    claims: bool,
    compress: bool,
}

impl Route {
    fn of(request: &Request<Incoming>) -> Result<Self, Refusal> {
        let method = match *request.method() {
            hyper::Method::GET => Method::Get,
            hyper::Method::POST => Method::Post,
            _ => {
                let wrong = "only GET and POST are answered here";
                let wrong = failure(ErrorCode::BadRequest, wrong, "");
                return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, wrong));
            }
        };
        let path = request.uri().path().strip_prefix(PREFIX);
        let path = path
            .and_then(decode_path)
            .ok_or_else(|| no_route("peers use the routes below /sync/v1/"))?;
        let query = request.uri().query().unwrap_or_default();
        let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .take(MAX_PARTS + 1)
            .collect();
        if query.len() > MAX_PARTS {
            let many = format!("the query has more than {MAX_PARTS} parameters");
            return Err(bad_request(&many));
        }
        let accept = request.headers().get(ACCEPT);
        Ok(Self {
            method,
            claims: path.first().is_some_and(|first| first == CLAIM),
            path,
            query,
            compress: accept
                .is_some_and(|accept| accept.as_bytes() == MEDIA_TYPE_COMPRESSED.as_bytes()),
        })
    }
}

/// Waits, unless the peer disconnects before that.
async fn unless_gone<T>(gone: &mut Gone, work: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::select! {
        done = work => Ok(done),
        _ = gone => {
            let gone = failure(ErrorCode::Cancelled, "the peer has disconnected", "");
            Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, gone))
        }
    }
}

/// Whether the engine says that a code was wrong.
fn is_wrong_code(response: &PeerResponse) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        error: Coded,
    }
    #[derive(Deserialize)]
    struct Coded {
        code: String,
    }
    let Body::Json(json) = &response.body else {
        return false;
    };
    serde_json::from_slice::<Envelope>(json)
        .is_ok_and(|envelope| envelope.error.code == ErrorCode::NoSuchCode)
}

/// Returns the status of a component's answer, if it is a final one and the answer is not too large.
fn status(response: &PeerResponse) -> Result<StatusCode, Refusal> {
    let large = matches!(&response.body, Body::Json(json) if json.len() > MAX_DOCUMENT);
    let status = StatusCode::from_u16(response.status).ok();
    let status = status.filter(|status| (200..=599).contains(&status.as_u16()));
    let message = match status {
        Some(status) if !large => return Ok(status),
        Some(_) => format!(
            "the engine's answer is larger than {} MiB",
            MAX_DOCUMENT >> 20
        ),
        None => format!(
            "the engine answered with the HTTP status {}, which is none of 200 to 599",
            response.status
        ),
    };
    let wrong = failure(ErrorCode::Plugin, message, "use the standard engine");
    Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, wrong))
}

/// Returns the rows that an instruction selects.
fn selection(selection: Selected) -> Result<Selection, Refusal> {
    Ok(match selection {
        Selected::All => Selection::All,
        Selected::First(rows) => Selection::First(rows),
        Selected::Buckets(buckets) => Selection::Buckets(Box::new(buckets.into_iter().collect())),
        Selected::After(key) => {
            let malformed = "the key after which rows are requested is malformed";
            let cells = RowBlock::parse_row(&key).ok_or_else(|| bad_request(malformed))?;
            Selection::After(cells)
        }
        Selected::Other(_) => return Err(later()),
    })
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// Returns none if a segment is not UTF-8, or if there are too many.
fn decode_path(path: &str) -> Option<Vec<String>> {
    let decode = |segment| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        decoded.ok().map(std::borrow::Cow::into_owned)
    };
    let segments = path.split('/').take(MAX_PARTS + 1);
    let segments: Vec<String> = segments.map(decode).collect::<Option<_>>()?;
    (segments.len() <= MAX_PARTS).then_some(segments)
}

fn internal(error: impl Into<Failure>) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.into())
}

fn no_route(hint: &str) -> Refusal {
    let unknown = failure(ErrorCode::NotFound, "no such route", hint);
    Refusal(StatusCode::NOT_FOUND, unknown)
}

fn bad_request(message: &str) -> Refusal {
    let wrong = failure(ErrorCode::BadRequest, message, "");
    Refusal(StatusCode::BAD_REQUEST, wrong)
}

fn denied(message: String) -> Refusal {
    let denied = failure(ErrorCode::Denied, message, "ask the other site to share it");
    Refusal(StatusCode::FORBIDDEN, denied)
}

fn later() -> Refusal {
    let later = "this version of tombolo does not support that";
    let later = failure(ErrorCode::Unavailable, later, "");
    Refusal(StatusCode::NOT_IMPLEMENTED, later)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn response(status: u16, json: &str) -> PeerResponse {
        PeerResponse {
            status,
            body: Body::Json(json.as_bytes().to_vec()),
        }
    }

    #[test]
    fn only_final_statuses_of_a_component_are_passed_on() {
        for passed in [200, 204, 404, 599] {
            assert_eq!(status(&response(passed, "{}")).unwrap().as_u16(), passed);
        }
        for wrong in [0, 99, 100, 101, 103, 199, 600, 999, u16::MAX] {
            let Refusal(status, failure) = status(&response(wrong, "{}")).unwrap_err();
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{wrong}");
            assert_eq!(failure.code, ErrorCode::Plugin, "{wrong}");
        }
        let large = response(200, &" ".repeat(MAX_DOCUMENT + 1));
        assert!(status(&large).is_err());
    }

    #[test]
    fn a_wrong_code_is_what_the_engine_calls_so() {
        let wrong = r#"{"error":{"code":"no-such-code","message":"","hint":""}}"#;
        assert!(is_wrong_code(&response(404, wrong)));
        for other in [r#"{"error":{"code":"expired"}}"#, "{}", "no-such-code", ""] {
            assert!(!is_wrong_code(&response(404, other)), "{other}");
        }
    }

    #[test]
    fn paths_have_few_segments() {
        assert_eq!(decode_path("tables/a%2Fb").unwrap(), ["tables", "a/b"]);
        assert!(decode_path(&"/".repeat(MAX_PARTS - 1)).is_some());
        assert!(decode_path(&"/".repeat(MAX_PARTS)).is_none());
        assert!(decode_path("%ff").is_none());
    }
}
