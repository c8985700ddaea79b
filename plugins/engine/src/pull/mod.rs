//! The side that pulls: the plan of a run, its start, and its end by events of the host.

mod compatibility;
mod conversion;
mod discover;
mod origin;
mod peer;
mod request;
mod resume;
pub mod run;
mod selection;
mod table_plan;
mod toposort;

/// A planning step ends after so many milliseconds, …
const STEP_TIME: u64 = 1_500;

/// … or after so many bytes of the tables' descriptions, which take most of its CPU; the next one continues.
const STEP_BYTES: usize = 1 << 20;
