//! The standard engine of Tombolo: sessions, the protocol between peers, and the planning of pulls.
//!
//! The engine handles one request, call or event at a time and never waits for rows. Between calls it keeps everything
//! in the state (`documents`). `serve` is the side that shares, `pull` the side that pulls, and `wire` holds the
//! documents that both exchange. Everything that the engine asks of its host is in the trait `host::Host`, so that
//! the tests run whole transfers without a host.

pub mod bindings;
mod budget;
mod documents;
mod error;
mod exports;
mod host;
mod housekeeping;
mod pull;
mod retention;
mod serve;
mod wire;

#[cfg(test)]
mod tests;
