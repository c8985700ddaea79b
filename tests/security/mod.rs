//! Tests of session codes, tokens, plugins and the rights that a source needs.

mod hostile_plugins;
mod plugins;
mod postgres_connections;
mod postgres_own_tables;
mod postgres_twins;
mod read_only_sources;
mod session_owners;
mod sessions;
