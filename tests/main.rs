//! End-to-end tests: the real binary, real SQLite files, a real PostgreSQL and real sockets on loopback.
//!
//! Tests that need PostgreSQL have `postgres` in their names and start a private cluster, or use the server that
//! `TOMBOLO_TEST_POSTGRES` names. Tests that need a sample database have its name in theirs. Without what they need
//! they are skipped and one line says how many; `TOMBOLO_REQUIRE_POSTGRES=1` turns that into a failure.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod cli;
mod exact;
mod reliability;
mod security;
mod support;
mod transfer;
