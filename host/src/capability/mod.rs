//! What the engine may do: one file an imported interface, with grants and scope checked on every call.

mod access;
mod database;
mod http;
mod rules;
mod services;
mod state;
mod transfers;

use std::sync::Arc;

use crate::bindings::Refusal;
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::{self, Error};
use crate::resources::{Admission, Resources};
use crate::sandbox::{HostFault, SchemaDdl, SessionRules};
use crate::state::StateError;

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

    /// Queues a `step` event of a run. Fails with `limit` if too many events wait already.
    fn request_step(&self, run: &str) -> Result<(), Error>;
}

/// The host's side of one call of the engine.
#[derive(Clone)]
pub struct Capabilities {
    resources: Arc<Resources>,
    rules: Arc<Rules>,
    runs: Arc<dyn StartRun>,
    caller: Caller,
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
        }
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        match error {
            StateError::TooLarge(reason) => Error::Limit(reason.to_owned()).into(),
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
