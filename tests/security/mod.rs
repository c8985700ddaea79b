//! Tests of session codes, tokens, plugins and the rights that a source needs.

mod hostile_files;
mod hostile_plugins;
mod hostile_sharers;
mod plugins;
mod read_only_sources;
mod session_owners;
mod sessions;
