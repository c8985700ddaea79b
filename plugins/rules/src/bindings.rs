//! World `rules` of `wit/worlds.wit` as Rust; generated.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated code lifts and lowers by pointer"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "rules",
    additional_derives: [PartialEq],
});

pub use exports::tombolo::sync::conflicts;
pub use tombolo::sync::types;
