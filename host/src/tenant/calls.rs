//! What operators, peers and events ask of the engine; each call is one fresh store.

use super::Tenant;
use crate::bindings::client::PullRequest;
use crate::bindings::conflicts::StrategyInfo;
use crate::bindings::events::Event;
use crate::bindings::peers::{PeerRequest, PeerResponse};
use crate::bindings::sharing::{Session, ShareRequest};
use crate::bindings::types::Failure;
use crate::capability::{Caller, Capabilities};
use crate::failure::{ErrorCode, failure};

impl Tenant {
    /// Makes a session; its code is the topic of its run_events.
    pub async fn create_session(&self, request: &ShareRequest) -> Result<Session, Failure> {
        let call = self.operator()?;
        self.engine
            .call("sharing.create", call, async |engine, store| {
                engine
                    .tombolo_sync_sharing()
                    .call_create(store, request)
                    .await
            })
            .await?
    }

    /// One session by its code.
    pub async fn session(&self, code: &str) -> Result<Session, Failure> {
        let call = self.operator()?;
        self.engine
            .call("sharing.get", call, async |engine, store| {
                engine.tombolo_sync_sharing().call_get(store, code).await
            })
            .await?
    }

    /// Ends a session and its peer's access; false if there was none.
    pub async fn delete_session(&self, code: &str) -> Result<bool, Failure> {
        let call = self.operator()?;
        self.engine
            .call("sharing.delete", call, async |engine, store| {
                engine.tombolo_sync_sharing().call_delete(store, code).await
            })
            .await?
    }

    /// All sessions that are known.
    pub async fn list_sessions(&self) -> Result<Vec<Session>, Failure> {
        let call = self.operator()?;
        self.engine
            .call("sharing.list", call, async |engine, store| {
                engine.tombolo_sync_sharing().call_list(store).await
            })
            .await?
    }

    /// Begins to plan a pull and gives the run's id, the topic of its run_events. Nothing is written in the target.
    pub async fn plan(&self, request: &PullRequest) -> Result<String, Failure> {
        let call = self.operator()?;
        self.engine
            .call("client.plan", call, async |engine, store| {
                engine.tombolo_sync_client().call_plan(store, request).await
            })
            .await?
    }

    /// Starts a planned run.
    pub async fn start(&self, run: &str) -> Result<(), Failure> {
        let call = self.operator()?;
        self.engine
            .call("client.start", call, async |engine, store| {
                engine.tombolo_sync_client().call_start(store, run).await
            })
            .await?
    }

    /// Compares a planned run's tables with what is here instead of starting it.
    pub async fn compare(&self, run: &str) -> Result<(), Failure> {
        let call = self.operator()?;
        self.engine
            .call("client.compare", call, async |engine, store| {
                engine.tombolo_sync_client().call_compare(store, run).await
            })
            .await?
    }

    /// Ends a run at the next chunk.
    pub async fn cancel(&self, run: &str) -> Result<(), Failure> {
        let call = self.operator()?;
        self.engine
            .call("client.cancel", call, async |engine, store| {
                engine.tombolo_sync_client().call_cancel(store, run).await
            })
            .await?
    }

    /// All conflict strategies, those of a replaced role first.
    pub async fn strategies(&self) -> Result<Vec<StrategyInfo>, Failure> {
        let mut all: Vec<StrategyInfo> = Vec::new();
        for component in self.conflicts() {
            for strategy in component.strategies().await? {
                if all.iter().all(|known| known.name != strategy.name) {
                    all.push(strategy);
                }
            }
        }
        Ok(all)
    }

    /// Answers one request of a peer.
    pub(crate) async fn handle(
        &self,
        caller: Caller,
        request: &PeerRequest,
    ) -> Result<PeerResponse, Failure> {
        let call = self.capabilities(caller)?;
        Ok(self
            .engine
            .call("peers.handle", call, async |engine, store| {
                engine
                    .tombolo_sync_peers()
                    .call_handle(store, request)
                    .await
            })
            .await?)
    }

    /// Delivers one event.
    pub(super) async fn deliver(&self, event: &Event) -> Result<(), Failure> {
        let call = self.capabilities(Caller::Operator)?;
        self.engine
            .call("events.on-event", call, async |engine, store| {
                engine
                    .tombolo_sync_events()
                    .call_on_event(store, event)
                    .await
            })
            .await?
            .map_err(Failure::from)
    }

    fn operator(&self) -> Result<Capabilities, Failure> {
        self.capabilities(Caller::Operator)
    }

    fn capabilities(&self, caller: Caller) -> Result<Capabilities, Failure> {
        let tenant = self
            .this
            .upgrade()
            .ok_or_else(|| failure(ErrorCode::Internal, "the host is stopping", ""))?;
        Ok(Capabilities::new(tenant, caller))
    }
}
