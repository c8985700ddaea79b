//! The commands, one module each: its arguments, its examples, and its work.

pub mod clean;
pub mod count;
pub mod demo;
pub mod diff;
pub mod plugin;
pub mod pull;
pub mod rejects;
pub mod schema;
pub mod share;
pub mod tables;
