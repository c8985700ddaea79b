//! The side that shares: sessions, and what their peers may ask.

pub mod routes;
pub mod sessions;
