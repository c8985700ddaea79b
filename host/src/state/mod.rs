//! The state of a tenant: a small ordered key-value store with versions.

mod memory;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::bindings::state::{Entry, Lifetime};
use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};
use memory::MemoryStore;
use sqlite::SqliteStore;

/// The longest key in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The largest value in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The most entries of one listing.
pub const MAX_LIST: u32 = 1_000;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store's database cannot be opened, read or written.
    #[error("the state store cannot be used: {0}")]
    Store(#[from] sqlx::Error),
    /// The store's file cannot be created, or cannot be made private to its owner.
    #[error("the state file {file}: {error}")]
    File {
        /// The file.
        file: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(std::io::Error),
    /// A key or a value is larger than allowed.
    #[error("{0}")]
    TooLarge(&'static str),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        failure(
            ErrorCode::Internal,
            error.to_string(),
            "check that the folder in TOMBOLO_DATA can be written",
        )
    }
}

/// A place for keys and values. Keys and values are within the limits of this module.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Returns one entry; none if the key does not exist.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StateError>;

    /// Writes one key and returns its new version. With `if_version` only over that version (0: only a new key); none
    /// if the stored version is another.
    async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
    ) -> Result<Option<u64>, StateError>;

    /// Deletes one key; false if it did not exist.
    async fn delete(&self, key: &str) -> Result<bool, StateError>;

    /// Returns at most `limit` entries whose keys begin with `prefix` and are greater than `after`, in byte order.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StateError>;
}

/// Both stores of a tenant: one that ends with the process, one that survives it.
#[derive(Clone)]
pub struct State {
    process: Arc<dyn StateStore>,
    durable: Arc<dyn StateStore>,
}

impl State {
    /// Opens the durable store in a SQLite file, created when missing and readable for its owner only. Without a file
    /// both stores are in memory.
    pub async fn open(file: Option<&Path>) -> Result<Self, StateError> {
        let durable: Arc<dyn StateStore> = match file {
            Some(file) => Arc::new(SqliteStore::open(file).await?),
            None => Arc::new(MemoryStore::default()),
        };
        Ok(Self {
            process: Arc::new(MemoryStore::default()),
            durable,
        })
    }

    /// Reads one key.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, StateError> {
        match self.process.get(key).await? {
            Some(entry) => Ok(Some(entry)),
            None => self.durable.get(key).await,
        }
    }

    /// Writes one key, as [`StateStore::put`]. Fails with [`StateError::TooLarge`] beyond the limits of this module.
    pub async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, StateError> {
        if key.len() > MAX_KEY_BYTES || key.contains('\0') {
            return Err(StateError::TooLarge(
                "a key has at most 512 bytes and no NUL",
            ));
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(StateError::TooLarge("a value has at most 1 MiB"));
        }
        let store = match lifetime {
            Lifetime::Process => &self.process,
            Lifetime::Durable => &self.durable,
        };
        store.put(key, value, if_version).await
    }

    /// Deletes one key; false if it did not exist.
    pub async fn delete(&self, key: &str) -> Result<bool, StateError> {
        let process = self.process.delete(key).await?;
        Ok(self.durable.delete(key).await? || process)
    }

    /// Returns all entries whose keys begin with `prefix`, in byte order, read page by page.
    pub async fn list_all(&self, prefix: &str) -> Result<Vec<Entry>, StateError> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map(|entry| entry.key.as_str());
            let page = self.list(prefix, after, MAX_LIST).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Lists keys, as [`StateStore::list`], at most [`MAX_LIST`].
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StateError> {
        let limit = limit.min(MAX_LIST);
        let mut entries = self.process.list(prefix, after, limit).await?;
        entries.extend(self.durable.list(prefix, after, limit).await?);
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries.truncate(limit as usize);
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    /// Both kinds of stores; the folder has the file of the second one.
    async fn stores() -> (Vec<Arc<dyn StateStore>>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(&folder.path().join("state.sqlite")).await;
        let stores: Vec<Arc<dyn StateStore>> =
            vec![Arc::new(MemoryStore::default()), Arc::new(sqlite.unwrap())];
        (stores, folder)
    }

    #[tokio::test]
    async fn one_of_many_racers_wins() {
        let (stores, _folder) = stores().await;
        for store in stores {
            let version = store.put("k", b"0", Some(0)).await.unwrap().unwrap();
            let racers = (0..50).map(|_| store.put("k", b"1", Some(version)));
            let won = futures::future::join_all(racers).await;
            let won = won.iter().filter(|put| put.as_ref().unwrap().is_some());
            assert_eq!(won.count(), 1);
            assert_eq!(store.put("k", b"2", Some(0)).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_key_created_again_has_a_new_version() {
        let (stores, _folder) = stores().await;
        for store in stores {
            let old = store.put("k", b"0", None).await.unwrap().unwrap();
            assert!(store.delete("k").await.unwrap());
            assert!(!store.delete("k").await.unwrap());
            store.put("k", b"1", Some(0)).await.unwrap().unwrap();
            assert_eq!(store.put("k", b"2", Some(old)).await.unwrap(), None);
            assert_eq!(store.get("k").await.unwrap().unwrap().value, b"1");
        }
    }

    #[tokio::test]
    async fn keys_are_listed_in_byte_order_page_by_page() {
        let (stores, _folder) = stores().await;
        for store in stores {
            for key in ["a/2", "a/1", "a/ü", "a/10", "b/1", "A/1", "a%"] {
                store.put(key, b"", None).await.unwrap();
            }
            let keys = async |after, limit| -> Vec<String> {
                let entries = store.list("a/", after, limit).await.unwrap();
                entries.into_iter().map(|entry| entry.key).collect()
            };
            assert_eq!(keys(None, 10).await, ["a/1", "a/10", "a/2", "a/ü"]);
            assert_eq!(keys(Some("a/1"), 2).await, ["a/10", "a/2"]);
            assert_eq!(keys(Some("a/ü"), 10).await, [""; 0]);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_that_give_up_harm_nobody() {
        let (stores, _folder) = stores().await;
        for store in stores {
            for microseconds in (0..500).cycle().take(5_000) {
                let limit = Duration::from_micros(microseconds);
                let key = microseconds.to_string();
                let _ = tokio::time::timeout(limit, store.put(&key, b"v", None)).await;
            }
            store.get("0").await.unwrap();
            assert!(store.put("1", b"v", None).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn durable_keys_survive_and_process_keys_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.sqlite");
        let state = State::open(Some(&file)).await.unwrap();
        for (key, lifetime) in [("a/1", Lifetime::Process), ("a/2", Lifetime::Durable)] {
            state.put(key, b"v", None, lifetime).await.unwrap();
        }
        assert_eq!(state.list("a/", None, 10).await.unwrap().len(), 2);
        assert_eq!(state.list("a/", Some("a/1"), 10).await.unwrap().len(), 1);
        let again = State::open(Some(&file)).await.unwrap();
        assert_eq!(again.get("a/1").await.unwrap(), None);
        assert_eq!(again.get("a/2").await.unwrap().unwrap().value, b"v");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_files_are_private_whatever_they_were_before() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.sqlite");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let state = State::open(Some(&file)).await.unwrap();
        state.put("k", b"v", None, Lifetime::Durable).await.unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
        }
    }
}
