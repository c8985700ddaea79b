//! Tests of session codes, tokens, plugins and the rights that a source needs.

mod hostile_host_calls;
mod hostile_leavings;
mod hostile_plugins;
mod plugins;
mod read_only_sources;
mod session_owners;
mod sessions;
