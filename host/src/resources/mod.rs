//! What a tenant's calls may reach: databases with their grants, state, tokens, peers, snapshots and event topics.

mod access;
mod grants;
mod log;
mod owner;
mod run_events;
mod snapshots;

use std::collections::BTreeMap;

pub use access::{Access, Admission};
pub(crate) use grants::ReadableTables;
pub use grants::{GrantedDatabase, Patterns};
pub use log::LogLimit;
pub use owner::{LEASE, Owner, now};
pub use run_events::{EventsFull, Followed, Follower, RunEvent, RunEvents};
pub use snapshots::{HeldSnapshot, MAX_AGE, RunSnapshot, Snapshots, TooManyRuns};

use crate::egress::Egress;
use crate::state::{State, StateError};

/// All resources of one tenant. Knows no component: who may use what is decided by the capabilities.
pub struct Resources {
    databases: BTreeMap<String, GrantedDatabase>,
    state: State,
    access: Access,
    egress: Egress,
    run_events: RunEvents,
    snapshots: Snapshots,
    log: LogLimit,
}

impl Resources {
    /// Puts the resources together.
    #[must_use]
    pub fn new(
        databases: BTreeMap<String, GrantedDatabase>,
        state: State,
        egress: Egress,
        snapshots: Snapshots,
    ) -> Self {
        Self {
            databases,
            access: Access::new(state.clone()),
            state,
            egress,
            run_events: RunEvents::default(),
            snapshots,
            log: LogLimit::default(),
        }
    }

    /// Returns the database with this label.
    #[must_use]
    pub fn database(&self, label: &str) -> Option<&GrantedDatabase> {
        self.databases.get(label)
    }

    /// Returns the key-value store.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the tokens.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the way to the peers.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Returns the topics that clients follow.
    #[must_use]
    pub fn run_events(&self) -> &RunEvents {
        &self.run_events
    }

    /// Returns the snapshots that are held for peers.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Returns what lets the engine's messages into the log.
    #[must_use]
    pub fn log(&self) -> &LogLimit {
        &self.log
    }

    /// Opens a new owner, whose lease keeps sessions alive.
    pub async fn open_owner(&self) -> Result<Owner, StateError> {
        Owner::open(self.state.clone()).await
    }

    /// Whether an owner's lease is alive.
    pub async fn owner_alive(&self, owner: &str) -> Result<bool, StateError> {
        owner::alive(&self.state, owner).await
    }

    /// Removes the leases of owners that ended.
    pub async fn remove_ended_owners(&self) -> Result<(), StateError> {
        owner::remove_ended(&self.state).await.map(|_| ())
    }

    /// Returns the admission of a bearer token, if its owner is alive.
    pub async fn admission(&self, token: &str) -> Result<Option<Admission>, StateError> {
        let Some(admission) = self.access.resolve(token).await? else {
            return Ok(None);
        };
        let alive = self.owner_alive(&admission.owner).await?;
        Ok(alive.then_some(admission))
    }

    /// Ends an admission: its token, its streams and its snapshots.
    pub async fn revoke(&self, admission: &str) -> Result<(), StateError> {
        // First, so that no request takes a snapshot again that was released.
        let revoked = self.access.revoke(admission).await;
        self.snapshots.release(admission);
        revoked
    }

    /// Ends all admissions of an owner.
    pub async fn revoke_owner(&self, owner: &str) -> Result<(), StateError> {
        for admission in self.access.revoke_owner(owner).await? {
            self.snapshots.release(&admission);
        }
        Ok(())
    }
}
