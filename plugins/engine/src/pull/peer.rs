//! One exchange with the peer: a request, and its document or its error.

use serde::de::DeserializeOwned;

use crate::bindings::http::{Method, Request, Response};
use crate::bindings::types::{Error, Failure, Peer};
use crate::documents::RunDocument;
use crate::error::{ErrorCode, SAME_VERSION, failure, from_peer};
use crate::host::Host;
use crate::wire::{ErrorBody, check_json, json_reason};

/// Sends a request with an empty body and returns the peer's document. Fails as [`post`] does.
pub fn get<T: DeserializeOwned>(
    host: &dyn Host,
    document: &mut RunDocument,
    path: String,
) -> Result<T, Failure> {
    let request = Request {
        method: Method::Get,
        path,
        body: Vec::new(),
    };
    exchange(host, document, &request)
}

/// Sends a document and returns the peer's answer.
///
/// Fails with the peer's own failure if it sent one, `incompatible-peer` if the answer cannot be read, `limit` if the plan
/// takes too many requests or bytes, `unreachable`, `timeout` or `denied` if there is no answer.
pub fn post<T: DeserializeOwned>(
    host: &dyn Host,
    document: &mut RunDocument,
    path: &str,
    sent: &impl serde::Serialize,
) -> Result<T, Failure> {
    let request = Request {
        method: Method::Post,
        path: path.to_owned(),
        body: serde_json::to_vec(sent).map_err(|error| unreadable(&error))?,
    };
    exchange(host, document, &request)
}

fn exchange<T: DeserializeOwned>(
    host: &dyn Host,
    document: &mut RunDocument,
    request: &Request,
) -> Result<T, Failure> {
    document.spent.request()?;
    let peer = &document.peer;
    let Response { status, body } = host
        .send(peer, request)
        .map_err(|error| without_answer(peer, error))?;
    document.spent.answer(&body)?;
    check_json(&body)?;
    if (200..300).contains(&status) {
        return serde_json::from_slice(&body).map_err(|error| unreadable(&error));
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(answer) => Err(from_peer(answer.error)),
        Err(_) => Err(failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered with HTTP status {status} and no error document"),
            "check that the address is the one that `tombolo share` printed",
        )),
    }
}

fn without_answer(peer: &Peer, error: Error) -> Failure {
    match error {
        Error::Unavailable(reason) => failure(
            ErrorCode::Unreachable,
            reason,
            "check the address, and that `tombolo share` is still running at the other site",
        ),
        Error::Timeout => failure(
            ErrorCode::Timeout,
            format!("{} did not answer in time", peer.base_url),
            "check the network and try again",
        ),
        Error::Denied(reason) => failure(
            ErrorCode::Denied,
            reason,
            "use https or a tunnel, or --allow-plain-http on a network that you trust",
        ),
        error => error.into(),
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    failure(
        ErrorCode::IncompatiblePeer,
        format!(
            "the other site's answer cannot be read: {}",
            json_reason(error)
        ),
        SAME_VERSION,
    )
}
