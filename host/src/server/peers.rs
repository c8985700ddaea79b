//! Peers' requests: resolves the bearer token and passes the rest to the engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;

use super::rows::{self, Content, Selection, Sending};
use crate::bindings::http::Method;
use crate::bindings::peers::{Body, PeerRequest, Selection as Selected};
use crate::bindings::types::Failure;
use crate::capability::Caller;
use crate::failure::{ErrorCode, failure};
use crate::host::Host;
use crate::resources::Admission;
use crate::rows::{BUCKETS, MEDIA_TYPE, MEDIA_TYPE_COMPRESSED, RowBlock};
use crate::tenant::Tenant;

/// What all routes begin with.
const PREFIX: &str = "/sync/v1/";

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(10);

type Answer = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// Answers one request. A failure becomes an answer with its status.
pub async fn answer(host: Arc<Host>, request: Request<Incoming>) -> Answer {
    let Some(tenant) = host.root_tenant() else {
        let unknown = failure(ErrorCode::NotFound, "no such route", "");
        return error(StatusCode::NOT_FOUND, &unknown);
    };
    match respond(Arc::clone(tenant), request).await {
        Ok(answer) => answer,
        Err((status, failure)) => error(status, &failure),
    }
}

async fn respond(
    tenant: Arc<Tenant>,
    request: Request<Incoming>,
) -> Result<Answer, (StatusCode, Failure)> {
    let method = match *request.method() {
        hyper::Method::GET => Method::Get,
        hyper::Method::POST => Method::Post,
        _ => {
            let wrong = failure(
                ErrorCode::BadRequest,
                "only GET and POST are answered here",
                "",
            );
            return Err((StatusCode::METHOD_NOT_ALLOWED, wrong));
        }
    };
    let path = request
        .uri()
        .path()
        .strip_prefix(PREFIX)
        .and_then(decode_path)
        .ok_or_else(|| {
            let hint = "peers use the routes below /sync/v1/";
            let unknown = failure(ErrorCode::NotFound, "no such route", hint);
            (StatusCode::NOT_FOUND, unknown)
        })?;
    let query = request.uri().query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let admission = match bearer(&request) {
        Some(token) => tenant
            .resources()
            .admission(token)
            .await
            .map_err(internal)?,
        None => None,
    };
    let compress = request
        .headers()
        .get(ACCEPT)
        .is_some_and(|accept| accept.as_bytes() == MEDIA_TYPE_COMPRESSED.as_bytes());
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let body = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(_)) => {
            let large = failure(
                ErrorCode::Limit,
                "the request body is broken or larger than 1 MiB",
                "",
            );
            return Err((StatusCode::PAYLOAD_TOO_LARGE, large));
        }
        Err(_) => {
            let slow = failure(
                ErrorCode::Timeout,
                "the request body did not arrive within 10 s",
                "",
            );
            return Err((StatusCode::REQUEST_TIMEOUT, slow));
        }
    };
    let request = PeerRequest {
        method,
        path,
        query,
        admission: admission.as_ref().map(|admission| admission.id.clone()),
        body,
    };
    let response = tenant
        .engine()
        .handle(Caller::Peer(admission.clone()), &request)
        .await
        .map_err(internal)?;
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match response.body {
        Body::Empty => Ok(plain(status, "application/json", Bytes::new())),
        Body::Json(json) => Ok(plain(status, "application/json", json.into())),
        Body::Rows(instruction) => {
            let selection = selection(instruction.selection)?;
            let content = Content::Rows(selection, compress);
            stream(
                tenant,
                admission,
                (instruction.database, instruction.table, instruction.run),
                content,
            )
        }
        Body::Digest(instruction) => {
            if !instruction.buckets.is_power_of_two() || instruction.buckets > BUCKETS {
                let wrong =
                    format!("the number of buckets must be a power of two, at most {BUCKETS}");
                return Err((
                    StatusCode::BAD_REQUEST,
                    failure(ErrorCode::BadRequest, wrong, ""),
                ));
            }
            let content = Content::Digest(instruction.buckets);
            stream(
                tenant,
                admission,
                (instruction.database, instruction.table, instruction.run),
                content,
            )
        }
        Body::Counts(_) | Body::Receive(_) | Body::Other(_) => Err(later()),
    }
}

fn later() -> (StatusCode, Failure) {
    let later = failure(
        ErrorCode::Unavailable,
        "this version of tombolo does not support that",
        "",
    );
    (StatusCode::NOT_IMPLEMENTED, later)
}

/// Returns the rows that an instruction selects.
fn selection(selection: Selected) -> Result<Selection, (StatusCode, Failure)> {
    Ok(match selection {
        Selected::All => Selection::All,
        Selected::First(rows) => Selection::First(rows),
        Selected::Buckets(buckets) => Selection::Buckets(Box::new(buckets.into_iter().collect())),
        Selected::After(key) => {
            let cells = RowBlock::parse_row(&key).ok_or_else(|| {
                let wrong = failure(
                    ErrorCode::BadRequest,
                    "the key after which rows are requested is malformed",
                    "",
                );
                (StatusCode::BAD_REQUEST, wrong)
            })?;
            Selection::After(cells)
        }
        Selected::Other(_) => return Err(later()),
    })
}

/// Streams rows or digests: only under an admission, within its scope and the operator's grants.
fn stream(
    tenant: Arc<Tenant>,
    admission: Option<Admission>,
    (database, table, run): (String, String, String),
    content: Content,
) -> Result<Answer, (StatusCode, Failure)> {
    let denied = |message: String| {
        let hint = "ask the other site to share it";
        (
            StatusCode::FORBIDDEN,
            failure(ErrorCode::Denied, message, hint),
        )
    };
    let admission = admission.ok_or_else(|| denied("rows need a session".to_owned()))?;
    let granted = tenant
        .resources()
        .database(&database)
        .ok_or_else(|| denied("the session's database is not granted".to_owned()))?;
    let readable = granted.readable(Some(&admission.scope));
    let checked = readable.and_then(|readable| readable.check(&table));
    checked.map_err(|error| denied(Failure::from(error).message))?;
    let database = Arc::clone(granted.database());
    let held = tenant
        .resources()
        .snapshots()
        .of_run(&admission.id, &run)
        .ok_or_else(|| {
            let many = failure(
                ErrorCode::Limit,
                "too many runs at once under one session",
                "end one first",
            );
            (StatusCode::TOO_MANY_REQUESTS, many)
        })?;
    let media_type = match content {
        Content::Rows(_, true) => MEDIA_TYPE_COMPRESSED,
        _ => MEDIA_TYPE,
    };
    let sending = Sending {
        tenant,
        admission,
        database,
        held,
        run,
        table,
    };
    let frames = rows::stream(sending, content);
    let body = StreamBody::new(frames.map(|frame| Ok(Frame::data(frame))));
    Ok(response(StatusCode::OK, media_type, body.boxed_unsync()))
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

fn decode_path(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .map(|segment| {
            let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
            decoded.ok().map(std::borrow::Cow::into_owned)
        })
        .collect()
}

fn internal(error: impl Into<Failure>) -> (StatusCode, Failure) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.into())
}

fn error(status: StatusCode, failure: &Failure) -> Answer {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: &'a Failure,
    }
    let body = serde_json::to_vec(&Envelope { error: failure }).unwrap_or_default();
    plain(status, "application/json", body.into())
}

fn plain(status: StatusCode, media_type: &'static str, body: Bytes) -> Answer {
    response(status, media_type, Full::new(body).boxed_unsync())
}

fn response(
    status: StatusCode,
    media_type: &'static str,
    body: UnsyncBoxBody<Bytes, std::convert::Infallible>,
) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = hyper::header::HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
