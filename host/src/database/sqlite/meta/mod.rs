//! What Tombolo keeps in a target.

pub mod ledger;
pub mod maintenance;
pub mod rejects;
pub mod tables;
