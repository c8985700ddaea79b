//! Tombolo: peer-to-peer table sync between databases of different sites.
//!
//! The host offers a database, HTTP and state to sandboxed components; the components hold the sync logic. A
//! [`tenant::Tenant`] is one site: put together with [`tenant::Tenant::builder`], served to peers by a
//! [`server::Server`], and followed through [`notices::Notices`].

pub mod access;
pub mod bindings;
pub mod capability;
pub mod database;
pub mod digest;
pub mod egress;
pub mod failure;
pub mod job;
pub mod notices;
pub mod owner;
pub mod refusal;
pub mod rows;
pub mod sandbox;
pub mod server;
pub mod snapshots;
pub mod state;
pub mod tenant;
