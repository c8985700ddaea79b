//! What the engine may do: one file an imported interface.

use crate::bindings::types;

/// Why a capability call failed: the component sees an error, or the call ends in a trap.
#[derive(Debug)]
pub enum Failure {
    /// The component's or the world's fault; the component is told.
    Guest(types::Error),
    /// The host's fault; the component ends.
    Trap(wasmtime::Error),
}
