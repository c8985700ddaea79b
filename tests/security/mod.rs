//! Tests of session codes, tokens, plugins, private folders and the rights that a source needs.

mod answers_of_peers;
mod certificates;
mod codes_in_processes;
mod hostile_files;
mod hostile_host_calls;
mod hostile_leavings;
mod hostile_plugins;
mod hostile_sharers;
#[cfg(target_os = "linux")]
mod offered_tables;
#[cfg(target_os = "linux")]
mod peers_bodies;
#[cfg(target_os = "linux")]
mod peers_connections;
#[cfg(target_os = "linux")]
mod peers_guesses;
mod peers_output;
mod peers_streams;
mod plugins;
mod postgres_connections;
mod postgres_own_tables;
mod postgres_policies;
mod postgres_poolers;
mod postgres_twins;
mod private_folders;
mod read_only_sources;
mod same_database;
mod session_owners;
mod sessions;
mod statement_names;
mod terminal_escapes;
#[cfg(target_os = "linux")]
mod under_attack;
