//! The side that shares: its sessions, and the routes for their peers.

pub mod routes;
pub mod sessions;
