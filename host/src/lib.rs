//! Tombolo: peer-to-peer table sync between databases of different sites.

pub mod bindings;
pub mod capability;
pub mod database;
pub mod rows;
