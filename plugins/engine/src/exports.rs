//! The functions that the component exports, handed on to the modules that implement them.

use crate::bindings::client::PullRequest;
use crate::bindings::events::Event;
use crate::bindings::exports::tombolo::sync as exported;
use crate::bindings::peers::{PeerRequest, PeerResponse};
use crate::bindings::sharing::{Session, ShareRequest};
use crate::bindings::types::{Error, Failure};
use crate::host::{Host, Imports};
use crate::housekeeping;
use crate::pull::run;
use crate::serve::{routes, sessions};

/// The component; it holds nothing, because each call gets a fresh instance.
pub struct Engine;

/// Hands one event to the module that it is about.
pub fn deliver(host: &dyn Host, event: Event) -> Result<(), Error> {
    match event {
        Event::Step(run) => run::step(host, &run),
        Event::Trouble(trouble) => run::trouble(host, trouble),
        Event::Finished(finished) => run::finished(host, &finished.run, finished.reports),
        Event::Compared(compared) => run::compared(host, compared),
        Event::Sent(sent) => sessions::sent(host, &sent.admission, sent.report),
        Event::OwnerGone(owner) => sessions::owner_gone(host, &owner),
        Event::Other(_) => Ok(()),
    }
}

impl exported::peers::Guest for Engine {
    fn handle(request: PeerRequest) -> PeerResponse {
        routes::handle(&Imports, &request)
    }
}

impl exported::events::Guest for Engine {
    fn on_event(event: Event) -> Result<(), Error> {
        deliver(&Imports, event)
    }
}

impl exported::sharing::Guest for Engine {
    fn create(request: ShareRequest) -> Result<Session, Failure> {
        housekeeping::sweep(&Imports);
        sessions::create(&Imports, request)
    }

    fn get(code: String) -> Result<Session, Failure> {
        sessions::get(&Imports, &code)
    }

    fn delete(code: String) -> Result<bool, Failure> {
        sessions::delete(&Imports, &code)
    }

    fn list() -> Result<Vec<Session>, Failure> {
        sessions::list(&Imports)
    }
}

impl exported::client::Guest for Engine {
    fn plan(request: PullRequest) -> Result<String, Failure> {
        housekeeping::sweep(&Imports);
        run::plan(&Imports, request)
    }

    fn start(run: String) -> Result<(), Failure> {
        run::start(&Imports, &run)
    }

    fn compare(run: String) -> Result<(), Failure> {
        run::compare(&Imports, &run)
    }

    fn cancel(run: String) -> Result<(), Failure> {
        run::cancel(&Imports, &run)
    }
}

/// The entry points of the component. A native build is for tests: it has no host to export to, and would not link.
#[cfg(target_family = "wasm")]
mod entry_points {
    #![allow(
        unsafe_code,
        missing_docs,
        reason = "generated code lifts and lowers by pointer"
    )]

    use super::Engine;

    crate::bindings::export!(Engine with_types_in crate::bindings);
}
