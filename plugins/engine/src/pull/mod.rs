//! The side that pulls: the plan of a run, its start, and its end by events of the host.

mod compatibility;
mod conversion;
mod discover;
mod origin;
mod peer;
mod request;
mod resume;
pub mod run;
mod table_plan;
mod toposort;

/// A planning step ends after so many milliseconds; the next one continues.
const STEP_TIME: u64 = 1_500;
