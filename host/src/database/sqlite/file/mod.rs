//! How SQLite files are opened and copied.

pub mod access;
pub mod copy;
pub mod identity;
