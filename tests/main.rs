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

mod support;

mod broken_targets;
mod cli;
mod corruptions;
mod differences;
mod documents;
mod errors;
mod exact_enums;
mod exact_numbering;
mod exact_postgres;
mod exact_properties;
mod exact_refusals;
mod exact_round_trip;
mod exact_sqlite;
mod exact_tables;
mod exact_types;
mod hostile;
mod kills;
mod misfits;
mod network_faults;
mod owners;
mod plugins;
mod rejects;
mod resuming;
mod sessions;
mod slow_peers;
mod sources;
mod strategies;
mod streams;
mod transfer_postgres;
mod transfer_sqlite;
