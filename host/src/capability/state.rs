//! Interface `state`: the engine's keys and values.

use super::Capabilities;
use crate::bindings::Refusal;
use crate::bindings::state::{Entry, Host, Lifetime};

/// The engine's keys live beside the host's own, behind a prefix that the engine never sees.
const PREFIX: &str = "engine/";

impl Host for Capabilities {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Refusal> {
        let entry = self.resources.state().get(&inner(&key)).await?;
        Ok(entry.map(|entry| Entry { key, ..entry }))
    }

    async fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, Refusal> {
        let state = self.resources.state();
        Ok(state
            .put(&inner(&key), &value, if_version, lifetime)
            .await?)
    }

    async fn delete(&mut self, key: String) -> Result<bool, Refusal> {
        Ok(self.resources.state().delete(&inner(&key)).await?)
    }

    async fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Entry>, Refusal> {
        let after = after.map(|after| inner(&after));
        let entries = self
            .resources
            .state()
            .list(&inner(&prefix), after.as_deref(), limit)
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

fn inner(key: &str) -> String {
    format!("{PREFIX}{key}")
}
