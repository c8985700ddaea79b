//! Tests of session codes, tokens, plugins and the rights that a source needs.

mod hostile_plugins;
#[cfg(target_os = "linux")]
mod peers_bodies;
#[cfg(target_os = "linux")]
mod peers_connections;
#[cfg(target_os = "linux")]
mod peers_guesses;
mod peers_output;
#[cfg(target_os = "linux")]
mod peers_streams;
mod plugins;
mod read_only_sources;
mod session_owners;
mod sessions;
#[cfg(target_os = "linux")]
mod under_attack;
