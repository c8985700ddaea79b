//! Tests of session codes, tokens, plugins, private folders and the rights that a source needs.

mod answers_of_peers;
mod certificates;
mod codes_in_processes;
mod hostile_files;
mod hostile_host_calls;
mod hostile_leavings;
mod hostile_plugins;
mod hostile_sharers;
mod plugins;
mod postgres_connections;
mod postgres_own_tables;
mod postgres_twins;
mod private_folders;
mod read_only_sources;
mod session_owners;
mod sessions;
mod terminal_escapes;
