//! End-to-end tests of the real binary with SQLite files, PostgreSQL databases and sockets on loopback.
//!
//! Tests that need PostgreSQL have `postgres` in their names. They start a private server, or use the one that
//! `TOMBOLO_TEST_POSTGRES` names. Tests that need a sample database have its name in theirs. Tests without what they
//! need are skipped, and one line says how many; `TOMBOLO_REQUIRE_POSTGRES=1` turns a missing PostgreSQL into a failure.

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
