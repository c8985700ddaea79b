//! The types that command-line arguments are parsed into.

pub mod conversion;
pub mod database;
pub mod duration;
pub mod patterns;
pub mod peer;
pub mod plugins;
pub mod size;
pub mod strategy;
