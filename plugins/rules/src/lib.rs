//! The standard rules: session codes and claims ([`sessions`]), conflict strategies ([`conflicts`]), and the creation of
//! missing tables ([`ddl`]).
//!
//! Every function decides from its arguments only: a component of world `rules` has no clock, no random numbers, no
//! database and no network. The functions run natively under `cargo test`. An operator replaces single roles with other
//! components; `plugins/examples` has two to start from.

pub mod bindings;
mod columns;
pub mod conflicts;
pub mod ddl;
mod exports;
pub mod sessions;
