//! What the engine may do: one file an imported interface, with grants and scope checked on every call.

mod access;
mod database;
mod http;
mod limits;
mod rules;
mod services;
mod state;
mod transfers;

use std::collections::HashMap;
use std::sync::Arc;

use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::{self, Error, Peer};
use crate::bindings::{EngineHost, Refusal};
use crate::resources::{Admission, ReadableTables, Resources};
use crate::sandbox::{HostFault, SchemaDdl, SessionRules};
use crate::state::StateError;
use limits::{MAX_ADDRESS, check};

pub use limits::MAX_ID;

/// On whose behalf the engine is called; it bounds what the capabilities do during that call.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The operator, or an event of the operator's own run: everything that is granted.
    Operator,
    /// A peer: its admission's scope, and without an admission no database at all.
    Peer(Option<Admission>),
}

/// The components that the engine asks for decisions.
pub struct Rules {
    /// Fills the role `sessions`.
    pub sessions: SessionRules,
    /// Fills the role `ddl`.
    pub ddl: SchemaDdl,
}

/// Starts and ends what the engine instructs the host to do beside its own call.
pub trait StartRun: Send + Sync {
    /// Starts to pull an instruction's tables and returns the id under which its events come.
    ///
    /// Fails with `not-found` for an unknown database, and with `invalid` while the run is under way already.
    fn pull(self: Arc<Self>, instruction: CopyInstruction) -> Result<String, Error>;

    /// Starts to compare an instruction's tables with the local ones. Fails as [`Self::pull`].
    fn compare(self: Arc<Self>, instruction: CopyInstruction) -> Result<String, Error>;

    /// Ends a run at the next chunk. An unknown run is fine.
    fn cancel(&self, run: &str);

    /// Queues a `step` event of a run, which is handled with the rights of `caller`. Fails with `limit` if too many events
    /// wait already.
    fn request_step(&self, run: &str, caller: &Caller) -> Result<(), Error>;
}

impl Caller {
    /// The same caller with what is left of its rights: nothing, if its admission was revoked in between.
    #[must_use]
    pub fn as_of_now(self) -> Self {
        match self {
            Self::Peer(Some(admission)) if admission.is_revoked() => Self::Peer(None),
            caller => caller,
        }
    }

    /// Whether both have the same rights.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Operator, Self::Operator) => true,
            (Self::Peer(one), Self::Peer(other)) => {
                let id =
                    |admission: &Option<Admission>| admission.as_ref().map(|one| one.id.clone());
                id(one) == id(other)
            }
            _ => false,
        }
    }
}

/// The host's side of one call of the engine.
pub struct Capabilities {
    resources: Arc<Resources>,
    rules: Arc<Rules>,
    runs: Arc<dyn StartRun>,
    caller: Caller,
    /// What was done and is not paid for yet, in units of fuel.
    owed: u64,
    /// Log messages of this call.
    logged: u32,
    /// By label: what the caller may read there. Patterns are slow to read.
    readable: HashMap<String, Arc<ReadableTables>>,
}

impl Capabilities {
    /// For one call.
    #[must_use]
    pub fn new(
        resources: Arc<Resources>,
        rules: Arc<Rules>,
        runs: Arc<dyn StartRun>,
        caller: Caller,
    ) -> Self {
        Self {
            resources,
            rules,
            runs,
            caller,
            owed: 0,
            logged: 0,
            readable: HashMap::new(),
        }
    }

    /// Adds work to what the call pays for.
    fn owe(&mut self, fuel: u64) {
        self.owed = self.owed.saturating_add(fuel);
    }
}

/// Checks how long the parts of a peer's address are.
fn check_peer(peer: &Peer) -> Result<(), Refusal> {
    check("a base address", &peer.base_url, MAX_ADDRESS)?;
    let credential = peer.credential.as_deref().unwrap_or_default();
    check("a credential", credential, MAX_ID)
}

impl EngineHost for Capabilities {
    fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Limit(reason) => Error::Limit(reason).into(),
            StateError::Store(_) | StateError::File { .. } | StateError::Random(_) => {
                Error::Unavailable(error.to_string()).into()
            }
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Trap(wasmtime::Error::msg(error.to_string()))
    }
}

impl types::Host for Capabilities {
    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<Error> {
        match refusal {
            Refusal::Guest(error) => Ok(*error),
            Refusal::Trap(error) => Err(error.context(HostFault)),
        }
    }
}
