//! Interface `state`: the engine's keys and values.

use super::Capabilities;
use super::limits::check;
use crate::bindings::Refusal;
use crate::bindings::state::{Entry, Host, Lifetime};
use crate::state::{MAX_KEY_BYTES, Quota};

/// The engine's keys live beside the host's own, behind a prefix that the engine never sees.
const PREFIX: &str = "engine/";

/// What the engine may keep until the process ends: the documents of some hundred runs and sessions, or of a run with
/// ten thousand tables.
const PROCESS: Quota = Quota {
    class: "engine",
    entries: "keys of the engine until the process ends",
    keys: 50_000,
    bytes: 96 << 20,
};

/// What the engine may keep for longer: a few small keys for each database and each unfinished run.
const DURABLE: Quota = Quota {
    class: "engine",
    entries: "durable keys of the engine",
    keys: 10_000,
    bytes: 32 << 20,
};

impl Host for Capabilities {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Refusal> {
        let entry = self.resources.state().get(&inner(&key)?).await?;
        Ok(entry.map(|entry| Entry { key, ..entry }))
    }

    async fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, Refusal> {
        let quota = match lifetime {
            Lifetime::Process => &PROCESS,
            Lifetime::Durable => &DURABLE,
        };
        let state = self.resources.state();
        Ok(state
            .put(&inner(&key)?, &value, if_version, lifetime, quota)
            .await?)
    }

    async fn delete(&mut self, key: String) -> Result<bool, Refusal> {
        Ok(self.resources.state().delete(&inner(&key)?).await?)
    }

    async fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Entry>, Refusal> {
        let after = after.map(|after| inner(&after)).transpose()?;
        let entries = self
            .resources
            .state()
            .list(&inner(&prefix)?, after.as_deref(), limit)
            .await?;
        Ok(entries
            .into_iter()
            .map(|entry| Entry {
                key: entry.key.chars().skip(PREFIX.len()).collect(),
                ..entry
            })
            .collect())
    }
}

fn inner(key: &str) -> Result<String, Refusal> {
    check("a key", key, MAX_KEY_BYTES - PREFIX.len())?;
    Ok(format!("{PREFIX}{key}"))
}
