//! Reads and writes Tombolo's own tables in a target.

pub(super) mod ledger;
pub(super) mod maintenance;
pub(super) mod rejects;
pub(super) mod statement;
pub(super) mod tables;
pub(super) mod trust;
