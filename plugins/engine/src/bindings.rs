//! World `engine` of `wit/worlds.wit` as Rust; generated.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated code lifts and lowers by pointer"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "engine",
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

pub use exports::tombolo::sync::{client, events, peers, sharing};
pub use tombolo::sync::{access, database, ddl, http, services, sessions, state, transfers, types};
