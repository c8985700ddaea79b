//! The side that pulls: planning a run, starting it, and ending it by the host's events.

mod compatibility;
mod conversion;
mod discover;
mod resume;
pub mod run;
mod table_plan;
mod toposort;
