//! The engine as typed calls, each in a fresh store: what operators, peers and events ask of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use wasmtime::Store;

use super::runs::Runs;
use crate::bindings::Engine as Exports;
use crate::bindings::client::PullRequest;
use crate::bindings::events::Event;
use crate::bindings::peers::{PeerRequest, PeerResponse};
use crate::bindings::sharing::{Session, ShareRequest};
use crate::bindings::types::Failure;
use crate::capability::{Caller, Capabilities, MAX_ID, Rules};
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;
use crate::resources::Resources;
use crate::sandbox::{EngineComponent, SandboxError, StoreState};

/// How long a peer's request waits for a slot. Operators and events wait as long as it takes: there are few of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whatever fills the role `engine` of a tenant, with all that it may reach.
pub struct Engine {
    component: EngineComponent<Capabilities>,
    resources: Arc<Resources>,
    rules: Arc<Rules>,
    runs: Arc<Runs>,
}

impl Engine {
    /// Gives a component its capabilities.
    pub(super) fn new(
        component: EngineComponent<Capabilities>,
        resources: Arc<Resources>,
        rules: Arc<Rules>,
        runs: Arc<Runs>,
    ) -> Self {
        Self {
            component,
            resources,
            rules,
            runs,
        }
    }

    /// Creates a session; its code is the topic of its events.
    pub async fn create_session(&self, request: &ShareRequest) -> Result<Session, Failure> {
        let created = self.call("sharing.create", Caller::Operator, async |engine, store| {
            let sharing = engine.tombolo_sync_sharing();
            sharing.call_create(store, request).await
        });
        self.checked_id(created.await??, |session| &session.code)
    }

    /// Returns one session by its code. Fails with `no-such-code` if there is none.
    pub async fn session(&self, code: &str) -> Result<Session, Failure> {
        self.call("sharing.get", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_sharing().call_get(store, code).await
        })
        .await?
    }

    /// Ends a session and its peer's access; false if there was none.
    pub async fn delete_session(&self, code: &str) -> Result<bool, Failure> {
        self.call("sharing.delete", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_sharing().call_delete(store, code).await
        })
        .await?
    }

    /// Returns all sessions that are known, oldest first.
    pub async fn list_sessions(&self) -> Result<Vec<Session>, Failure> {
        self.call("sharing.list", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_sharing().call_list(store).await
        })
        .await?
    }

    /// Begins to plan a pull and returns the run's id, the topic of its events. Nothing is written in the target.
    pub async fn plan(&self, request: &PullRequest) -> Result<String, Failure> {
        let planned = self.call("client.plan", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_client().call_plan(store, request).await
        });
        let run = self.checked_id(planned.await??, |run| run)?;
        self.resources.run_events().give_to_operator(&run)?;
        Ok(run)
    }

    /// Starts a planned run.
    pub async fn start(&self, run: &str) -> Result<(), Failure> {
        self.call("client.start", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_client().call_start(store, run).await
        })
        .await?
    }

    /// Compares a planned run's tables with the local ones instead of starting it.
    pub async fn compare(&self, run: &str) -> Result<(), Failure> {
        self.call("client.compare", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_client().call_compare(store, run).await
        })
        .await?
    }

    /// Ends a run at the next chunk.
    pub async fn cancel(&self, run: &str) -> Result<(), Failure> {
        self.call("client.cancel", Caller::Operator, async |engine, store| {
            engine.tombolo_sync_client().call_cancel(store, run).await
        })
        .await?
    }

    /// Answers one request of a peer.
    pub(crate) async fn handle(
        &self,
        caller: Caller,
        request: &PeerRequest,
    ) -> Result<PeerResponse, Failure> {
        let answered = self.call("peers.handle", caller, async |engine, store| {
            let peers = engine.tombolo_sync_peers();
            peers.call_handle(store, request).await
        });
        Ok(answered.await?)
    }

    /// Delivers one event, with the rights of who it happened for.
    pub(super) async fn deliver(&self, event: &Event, caller: Caller) -> Result<(), Failure> {
        let caller = caller.as_of_now();
        let taken = self.call("events.on-event", caller, async |engine, store| {
            let events = engine.tombolo_sync_events();
            events.call_on_event(store, event).await
        });
        Ok(taken.await??)
    }

    /// Checks an id that the engine made: it becomes a topic, and is printed.
    fn checked_id<T>(&self, made: T, id: impl Fn(&T) -> &String) -> Result<T, Failure> {
        let text = id(&made);
        if (1..=MAX_ID).contains(&text.len()) && printable(text) == *text {
            return Ok(made);
        }
        Err(failure(
            ErrorCode::Plugin,
            format!(
                "the engine made an id of {} bytes; an id has 1 to {MAX_ID}, and all of them can be printed",
                text.len()
            ),
            "report it to the plugin's author; without --plugin the standard one is used",
        ))
    }

    async fn call<T: Serialize>(
        &self,
        function: &'static str,
        caller: Caller,
        call: impl AsyncFnOnce(&Exports, &mut Store<StoreState<Capabilities>>) -> wasmtime::Result<T>,
    ) -> Result<T, SandboxError> {
        let patience = matches!(caller, Caller::Peer(_)).then_some(PATIENCE);
        let capabilities = self.capabilities(caller);
        self.component
            .call(function, patience, capabilities, call)
            .await
    }

    /// The host's side of a call on somebody's behalf.
    pub(super) fn capabilities(&self, caller: Caller) -> Capabilities {
        Capabilities::new(
            Arc::clone(&self.resources),
            Arc::clone(&self.rules),
            Arc::clone(&self.runs) as _,
            caller,
        )
    }
}
