//! Reads and writes Tombolo's own tables in a target.

pub mod ledger;
pub mod maintenance;
pub mod rejects;
pub mod tables;
