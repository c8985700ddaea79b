//! How a capability refuses a call: the component is told, or its call ends.

use super::types;

/// Why a capability call gave no result: the component is told, or its call ends.
#[derive(Debug)]
pub enum Refusal {
    /// The component is told.
    Guest(Box<types::Error>),
    /// The host cannot go on with this call.
    Trap(wasmtime::Error),
}

impl From<types::Error> for Refusal {
    fn from(error: types::Error) -> Self {
        Self::Guest(Box::new(error))
    }
}
