//! What the engine may do: one file an imported interface. Grants and scope are checked here, on every call.

mod access;
mod database;
mod http;
mod rules;
mod services;
mod state;
mod transfers;

use std::sync::Arc;

use crate::access::Admission;
use crate::bindings::types;
use crate::refusal::Refusal;
use crate::sandbox::HostFault;
use crate::tenant::Tenant;

/// On whose behalf the engine is called; it bounds what the capabilities do during that call.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The operator, or an event of the operator's own run: everything that is granted.
    Operator,
    /// A peer: its admission's scope, and without an admission no database at all.
    Peer(Option<Admission>),
}

/// The host's side of one call of the engine.
#[derive(Clone)]
pub struct Capabilities {
    tenant: Arc<Tenant>,
    caller: Caller,
}

impl Capabilities {
    /// For one call.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, caller: Caller) -> Self {
        Self { tenant, caller }
    }
}

impl From<crate::state::StateError> for Refusal {
    fn from(error: crate::state::StateError) -> Self {
        match error {
            crate::state::StateError::TooLarge(reason) => {
                types::Error::Limit(reason.to_owned()).into()
            }
            crate::state::StateError::Store(_) => {
                types::Error::Unavailable(error.to_string()).into()
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
    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<types::Error> {
        match refusal {
            Refusal::Guest(error) => Ok(*error),
            Refusal::Trap(error) => Err(error.context(HostFault)),
        }
    }
}
