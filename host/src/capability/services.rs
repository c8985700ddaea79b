//! Interface `services`: time, random numbers, digests, owners and the log.

use super::Capabilities;
use super::limits::{MAX_ID, check};
use crate::bindings::Refusal;
use crate::bindings::services::{Host, Level};
use crate::bindings::types::Error;
use crate::digest::{random, sha256};
use crate::printable::printable;
use crate::resources::{self, LogLimit};

/// The most random bytes of one call.
const MAX_RANDOM: u32 = 1_024;

/// The most bytes that are hashed in one call.
const MAX_HASHED: usize = 1 << 20;

/// What it costs to hash a byte, in units of fuel.
const HASH: u64 = 8;

/// The most log messages of one call.
const MAX_MESSAGES: u32 = 50;

impl Host for Capabilities {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(resources::now())
    }

    async fn random(&mut self, length: u32) -> Result<Vec<u8>, Refusal> {
        if length > MAX_RANDOM {
            return Err(Error::Limit(format!("at most {MAX_RANDOM} random bytes a call")).into());
        }
        Ok(random(length as usize)?)
    }

    async fn sha256(&mut self, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        if data.len() > MAX_HASHED {
            return Err(wasmtime::Error::msg("at most 1 MiB is hashed in one call"));
        }
        self.owe(HASH.saturating_mul(data.len() as u64));
        Ok(sha256(&data).to_vec())
    }

    async fn owner_alive(&mut self, owner: String) -> Result<bool, Refusal> {
        check("an owner", &owner, MAX_ID)?;
        Ok(self.resources.owner_alive(&owner).await?)
    }

    async fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.logged = self.logged.saturating_add(1);
        let log: &LogLimit = self.resources.log();
        if self.logged > MAX_MESSAGES || !log.admits() {
            log.drop_one();
            return Ok(());
        }
        let message = printable(&message);
        match level {
            Level::Debug => tracing::debug!(target: "tombolo::engine", "{message}"),
            Level::Info => tracing::info!(target: "tombolo::engine", "{message}"),
            Level::Warn => tracing::warn!(target: "tombolo::engine", "{message}"),
            Level::Error => tracing::error!(target: "tombolo::engine", "{message}"),
        }
        Ok(())
    }
}
