//! The contract in `wit/` as generated Rust, and how a capability refuses a call.
//!
//! The engine's bindings define every shared type; the one-role worlds reuse them.

mod refusal;

#[allow(missing_docs, reason = "generated code")]
mod generated {
    /// World `engine`: what the host implements and what it calls.
    pub mod engine {
        wasmtime::component::bindgen!({
            path: "../wit",
            world: "engine",
            imports: { default: async | trappable },
            exports: { default: async },
            trappable_error_type: { "tombolo:sync/types.error" => crate::bindings::Refusal },
            require_store_data_send: true,
            additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        });
    }

    /// World `session-rules`.
    pub mod session_rules {
        wasmtime::component::bindgen!({
            path: "../wit",
            world: "session-rules",
            exports: { default: async },
            with: { "tombolo:sync/types": super::engine::tombolo::sync::types },
            require_store_data_send: true,
            additional_derives: [serde::Serialize],
        });
    }

    /// World `conflict-strategy`.
    pub mod conflict_strategy {
        wasmtime::component::bindgen!({
            path: "../wit",
            world: "conflict-strategy",
            exports: { default: async },
            with: { "tombolo:sync/types": super::engine::tombolo::sync::types },
            require_store_data_send: true,
            additional_derives: [serde::Serialize],
        });
    }

    /// World `schema-ddl`.
    pub mod schema_ddl {
        wasmtime::component::bindgen!({
            path: "../wit",
            world: "schema-ddl",
            exports: { default: async },
            with: { "tombolo:sync/types": super::engine::tombolo::sync::types },
            require_store_data_send: true,
            additional_derives: [serde::Serialize],
        });
    }
}

pub use generated::conflict_strategy::ConflictStrategyPre;
pub use generated::conflict_strategy::exports::tombolo::sync::conflicts;
pub use generated::engine::exports::tombolo::sync::{client, events, peers, sharing};
pub use generated::engine::tombolo::sync::{
    access, database, ddl, http, services, sessions, state, transfers, types,
};
pub use generated::engine::{Engine, EnginePre};
pub use generated::schema_ddl::SchemaDdlPre;
pub use generated::session_rules::SessionRulesPre;
pub use refusal::Refusal;

/// All that a host offers to the role `engine`.
pub trait EngineHost:
    access::Host
    + database::Host
    + ddl::Host
    + http::Host
    + services::Host
    + sessions::Host
    + state::Host
    + transfers::Host
    + types::Host
    + Send
    + 'static
{
    /// Takes what the calls since the last time cost beside what crossed the border, in units of fuel.
    fn take_owed(&mut self) -> u64;
}
