//! The standard rules: what session codes look like and who may use one ([`sessions`]), what happens to a row that
//! exists on both sides ([`conflicts`]), and how a missing table is created ([`ddl`]).
//!
//! Everything decides from its arguments alone: a component of world `rules` has no clock, no randomness, no database
//! and no network. The plain functions run natively under `cargo test`; [`exports`] hands a host's calls to them.
//! An operator who wants other rules replaces a role with a component of their own; `plugins/examples` has two to start from.

pub mod bindings;
pub mod conflicts;
pub mod ddl;
mod exports;
pub mod sessions;
