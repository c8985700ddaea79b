//! A state store in memory, for what ends with the process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Quota, StateError, StateStore, Usage, class, fits};
use crate::bindings::state::Entry;

/// Keys and values of one process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    entries: BTreeMap<String, (Vec<u8>, u64)>,
    /// By class.
    usage: HashMap<String, Usage>,
    /// Of the last put, whatever its key: a key that is created again never has an old version.
    version: u64,
}

impl Contents {
    /// What the entries of a key's class take without this key.
    fn usage_without(&self, key: &str) -> Usage {
        let mut usage = self.usage.get(class(key)).copied().unwrap_or_default();
        if let Some((value, _)) = self.entries.get(key) {
            usage.keys -= 1;
            usage.bytes -= (key.len() + value.len()) as u64;
        }
        usage
    }
}

impl MemoryStore {
    /// Each call changes the contents in one step, so a poisoned lock still guards whole contents.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry((key, (value, version)): (&String, &(Vec<u8>, u64))) -> Entry {
    Entry {
        key: key.clone(),
        value: value.clone(),
        version: *version,
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StateError> {
        Ok(self.contents().entries.get_key_value(key).map(entry))
    }

    async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        quota: &Quota,
    ) -> Result<Option<u64>, StateError> {
        let mut contents = self.contents();
        let stored = contents.entries.get(key).map_or(0, |(_, version)| *version);
        if if_version.is_some_and(|wanted| wanted != stored) {
            return Ok(None);
        }
        let mut usage = contents.usage_without(key);
        usage.keys += 1;
        usage.bytes += (key.len() + value.len()) as u64;
        quota.check(usage)?;
        contents.usage.insert(class(key).to_owned(), usage);
        contents.version += 1;
        let version = contents.version;
        contents
            .entries
            .insert(key.to_owned(), (value.to_vec(), version));
        Ok(Some(version))
    }

    async fn delete(&self, key: &str) -> Result<bool, StateError> {
        let mut contents = self.contents();
        let usage = contents.usage_without(key);
        match usage.keys {
            0 => contents.usage.remove(class(key)),
            _ => contents.usage.insert(class(key).to_owned(), usage),
        };
        Ok(contents.entries.remove(key).is_some())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StateError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let contents = self.contents();
        let entries = contents.entries.range::<str, _>((start, Bound::Unbounded));
        let mut bytes = 0;
        Ok(entries
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit as usize)
            .take_while(|(key, (value, _))| fits(&mut bytes, key.len() + value.len()))
            .map(entry)
            .collect())
    }
}
