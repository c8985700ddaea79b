//! The standard engine: the sync logic that needs authority.
//!
//! It answers one request, call or event at a time and never waits for rows. What it remembers is in the state.
//! [`sharing`] and [`routes`] are the side that serves, [`client`] and [`planning`] the side that pulls;
//! [`order`], [`compatibility`] and [`conversions`] are the rules in between, plain functions.
//! All that the host has to offer is behind [`host::Host`], so that tests run whole flows natively.

mod client;
mod comparing;
mod compatibility;
pub mod component;
mod conversions;
mod documents;
mod failure;
mod host;
mod planning;
mod protocol;
mod resuming;
mod routes;
mod sequence;
mod sharing;

#[cfg(test)]
mod tests;
