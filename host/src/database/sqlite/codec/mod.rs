//! Converts canonical cells to the values that SQLite stores, and back.

pub mod decimal;
pub mod encode;
pub mod storage;
pub mod types;
