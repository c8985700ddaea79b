//! The DDL check: which statements of a component a database runs.

mod check;
mod enums;

pub use check::check;
