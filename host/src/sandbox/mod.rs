//! The sandbox: one wasmtime engine a process, components by digest, a fresh store for each call.
//!
//! A call is bounded by fuel (CPU and the host's work, deterministic), by the wall clock (waits) and by memory; whatever
//! a component does, the caller gets a result or a [`SandboxError`] that says whose fault it was.

mod call;
mod component;
mod engine;
mod error;
mod limits;
mod meter;
mod metered;
mod output;
mod roles;
mod store;
mod ticker;
mod wasi;

pub use call::Answer;
pub use component::{Digest, DigestError, Plugin, Role, RoleError};
pub use engine::Sandbox;
pub use error::{Cause, HostFault, LoadError, SandboxError};
pub use limits::Limits;
pub use roles::{ConflictStrategies, EngineComponent, SchemaDdl, SessionRules};
pub use store::StoreState;

#[cfg(test)]
mod tests;
