//! Files on disk: how they are opened, and private copies of them.

pub mod access;
pub mod copy;
