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

use crate::{client, routes, sharing};
use exports::tombolo::sync::client::PullRequest;
use exports::tombolo::sync::events::Event;
use exports::tombolo::sync::peers::{PeerRequest, PeerResponse};
use exports::tombolo::sync::sharing::{Session, ShareRequest};
use tombolo::sync::types::{Error, Failure};

struct Engine;

impl exports::tombolo::sync::peers::Guest for Engine {
    fn handle(request: PeerRequest) -> PeerResponse {
        routes::handle(&request)
    }
}

impl exports::tombolo::sync::events::Guest for Engine {
    fn on_event(event: Event) -> Result<(), Error> {
        match event {
            Event::Step(run) => client::step(&run),
            Event::Trouble(trouble) => client::trouble(&trouble.run, trouble.failure),
            Event::Finished(finished) => client::finished(&finished.run, finished.reports),
            Event::Sent(sent) => sharing::sent(&sent.admission, sent.report),
            Event::OwnerGone(owner) => sharing::owner_gone(&owner),
            // The host tells the faces about single tables; the reports come together at the end.
            Event::TableDone(_) | Event::Other(_) => Ok(()),
        }
    }
}

impl exports::tombolo::sync::sharing::Guest for Engine {
    fn create(request: ShareRequest) -> Result<Session, Failure> {
        sharing::create(request)
    }

    fn get(code: String) -> Result<Session, Failure> {
        sharing::get(&code)
    }

    fn delete(code: String) -> Result<bool, Failure> {
        sharing::delete(&code)
    }

    fn list() -> Result<Vec<Session>, Failure> {
        sharing::list()
    }
}

impl exports::tombolo::sync::client::Guest for Engine {
    fn plan(request: PullRequest) -> Result<String, Failure> {
        client::plan(request)
    }

    fn start(run: String) -> Result<(), Failure> {
        client::start(&run)
    }

    fn cancel(run: String) -> Result<(), Failure> {
        client::cancel(&run)
    }
}

// Natively there is nobody to export to, and the symbols would not link.
#[cfg(target_family = "wasm")]
export!(Engine);
