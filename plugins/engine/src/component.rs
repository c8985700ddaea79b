//! The component's face: world `engine` of `wit/worlds.wit`, handed on to the plain modules.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated code lifts and lowers by pointer"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "engine",
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

use crate::host::{Host, Imports};
use crate::{client, routes, sharing};
use exports::tombolo::sync::client::PullRequest;
use exports::tombolo::sync::events::Event;
use exports::tombolo::sync::peers::{PeerRequest, PeerResponse};
use exports::tombolo::sync::sharing::{Session, ShareRequest};
use tombolo::sync::types::{Error, Failure};

struct Engine;

/// Hands one event to who is concerned.
pub(crate) fn take(host: &dyn Host, event: Event) -> Result<(), Error> {
    match event {
        Event::Step(run) => client::step(host, &run),
        Event::Trouble(trouble) => client::trouble(host, trouble),
        Event::Finished(finished) => client::finished(host, &finished.run, finished.reports),
        Event::Compared(compared) => client::compared(host, compared),
        Event::Sent(sent) => sharing::sent(host, &sent.admission, sent.report),
        Event::OwnerGone(owner) => sharing::owner_gone(host, &owner),
        // The host tells the faces about single tables; the reports come together at the end.
        Event::TableDone(_) | Event::Other(_) => Ok(()),
    }
}

impl exports::tombolo::sync::peers::Guest for Engine {
    fn handle(request: PeerRequest) -> PeerResponse {
        routes::handle(&Imports, &request)
    }
}

impl exports::tombolo::sync::events::Guest for Engine {
    fn on_event(event: Event) -> Result<(), Error> {
        take(&Imports, event)
    }
}

impl exports::tombolo::sync::sharing::Guest for Engine {
    fn create(request: ShareRequest) -> Result<Session, Failure> {
        sharing::create(&Imports, request)
    }

    fn get(code: String) -> Result<Session, Failure> {
        sharing::get(&Imports, &code)
    }

    fn delete(code: String) -> Result<bool, Failure> {
        sharing::delete(&Imports, &code)
    }

    fn list() -> Result<Vec<Session>, Failure> {
        sharing::list(&Imports)
    }
}

impl exports::tombolo::sync::client::Guest for Engine {
    fn plan(request: PullRequest) -> Result<String, Failure> {
        client::plan(&Imports, request)
    }

    fn start(run: String) -> Result<(), Failure> {
        client::start(&Imports, &run)
    }

    fn compare(run: String) -> Result<(), Failure> {
        client::compare(&Imports, &run)
    }

    fn cancel(run: String) -> Result<(), Failure> {
        client::cancel(&Imports, &run)
    }
}

// Natively there is nobody to export to, and the symbols would not link.
#[cfg(target_family = "wasm")]
export!(Engine);
