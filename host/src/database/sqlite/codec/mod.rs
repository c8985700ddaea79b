//! Canonical cells from and to what SQLite stores.

pub mod decimal;
pub mod encode;
pub mod storage;
pub mod types;
