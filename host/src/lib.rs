//! Tombolo: peer-to-peer table sync between databases of different sites.

pub mod access;
pub mod bindings;
pub mod capability;
pub mod database;
pub mod digest;
pub mod egress;
pub mod notices;
pub mod owner;
pub mod rows;
pub mod state;
