//! A tenant: one site on a host, with its resources, its components and its runs.

mod builder;
mod engine;
mod events;
mod housekeeping;
mod peer;
mod runs;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use builder::TenantBuilder;
pub use engine::Engine;
pub use housekeeping::RETENTION;

use crate::bindings::conflicts::StrategyInfo;
use crate::bindings::events::Event;
use crate::bindings::transfers::RunEvent as EngineEvent;
use crate::bindings::types::{Failure, TableReport};
use crate::capability::{Caller, StartRun as _};
use crate::failure::{ErrorCode, failure};
use crate::resources::{Follower, Owner, Resources, RunEvent};
use crate::run;
use crate::sandbox::Sandbox;
use crate::state::StateError;
use events::{EventQueues, Waiting, topic_of};
use runs::Runs;

/// One site on this host. Dropped, it cancels its runs, which end at the next chunk.
pub struct Tenant {
    sandbox: Sandbox,
    resources: Arc<Resources>,
    engine: Arc<Engine>,
    runs: Arc<Runs>,
    events: Arc<EventQueues>,
    /// Delivery of events and housekeeping, which end with this.
    _tasks: JoinSet<()>,
}

impl Tenant {
    /// Begins to put a tenant together.
    #[must_use]
    pub fn builder(sandbox: Sandbox) -> TenantBuilder {
        TenantBuilder::new(sandbox)
    }

    /// Returns the sandbox that its components run in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Returns the engine: sessions, planning, starting and cancelling of runs.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Opens a new owner, whose lease keeps sessions alive.
    pub async fn open_owner(&self) -> Result<Owner, StateError> {
        self.resources.open_owner().await
    }

    /// Follows a run or a session from the oldest event that is kept. Fails with `limit` if too many are followed.
    pub fn follow(&self, topic: &str) -> Result<Follower, Failure> {
        Ok(self.resources.run_events().follow(topic)?)
    }

    /// Returns all conflict strategies, those of a replaced role first.
    pub async fn strategies(&self) -> Result<Vec<StrategyInfo>, Failure> {
        let mut all: Vec<StrategyInfo> = Vec::new();
        for component in self.runs.strategies() {
            for strategy in component.strategies().await? {
                if all.iter().all(|known| known.name != strategy.name) {
                    all.push(strategy);
                }
            }
        }
        Ok(all)
    }

    /// Tries the rejected rows of a run in a database again. `run` may be the beginning of its name.
    pub async fn retry_rejects(
        &self,
        database: &str,
        run: &str,
    ) -> Result<Vec<TableReport>, Failure> {
        let granted = self.resources.database(database).ok_or_else(|| {
            let message = format!("no database is called {database:?}");
            failure(ErrorCode::NotFound, message, "")
        })?;
        let database = granted.database().as_ref();
        run::retry_rejects(self.runs.strategies(), database, run).await
    }

    /// Returns what the tenant's calls may reach.
    pub(crate) fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// Returns the queues of events for the engine.
    pub(crate) fn events(&self) -> &Arc<EventQueues> {
        &self.events
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.runs.cancel_all();
    }
}

/// Delivers one event. A run whose engine cannot take its events is over.
async fn deliver(
    engine: Arc<Engine>,
    resources: Arc<Resources>,
    runs: Arc<Runs>,
    Waiting { event, caller }: Waiting,
) {
    let by_peer = matches!(caller, Caller::Peer(_));
    let Err(failure) = engine.deliver(&event, caller).await else {
        return;
    };
    if resources.log().admits() {
        tracing::error!(code = failure.code, "{}", failure.message);
    } else {
        resources.log().drop_one();
    }
    if matches!(
        event,
        Event::Sent(_) | Event::OwnerGone(_) | Event::Other(_)
    ) {
        return;
    }
    let run = topic_of(&event);
    // What a peer asked for ends no run of the operator.
    if by_peer && resources.run_events().is_of_operator(run) {
        return;
    }
    runs.cancel(run);
    let failed = RunEvent::Engine(EngineEvent::Failed(failure));
    if let Err(error) = resources.run_events().publish(run, failed) {
        tracing::warn!(run, "an event is lost: {error}");
    }
}

#[cfg(test)]
mod tests;
