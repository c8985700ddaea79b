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

/// A listing ends after so many bytes of keys and values, and has one entry at least.
pub const MAX_LIST_BYTES: usize = 4 << 20;

/// How much of one store the keys below a prefix may take.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The first segment of the keys, without its slash.
    pub class: &'static str,
    /// What the entries are, for messages.
    pub entries: &'static str,
    /// The most keys.
    pub keys: u64,
    /// The most bytes of keys and values.
    pub bytes: u64,
}

impl Quota {
    /// Checks what the entries would take.
    fn check(&self, usage: Usage) -> Result<(), StateError> {
        let Self {
            entries,
            keys,
            bytes,
            ..
        } = self;
        if usage.keys > *keys {
            Err(StateError::Limit(format!(
                "{keys} {entries} are kept, and no more are allowed"
            )))
        } else if usage.bytes > *bytes {
            Err(StateError::Limit(format!(
                "{entries} have {bytes} bytes in all, and no more are allowed"
            )))
        } else {
            Ok(())
        }
    }
}

/// What the entries of one class take in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    keys: u64,
    bytes: u64,
}

/// The class of a key.
fn class(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

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
    /// A key or a value is larger than allowed, or there are too many.
    #[error("{0}")]
    Limit(String),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let (code, hint) = match &error {
            StateError::Limit(_) => (ErrorCode::Limit, "end sessions or runs first"),
            StateError::Store(_) | StateError::File { .. } | StateError::Random(_) => (
                ErrorCode::Internal,
                "check that the folder in TOMBOLO_DATA can be written",
            ),
        };
        failure(code, error.to_string(), hint)
    }
}

/// A place for keys and values. Keys and values are within the limits of this module.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Returns one entry; none if the key does not exist.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StateError>;

    /// Writes one key and returns its new version. With `if_version` only over that version (0: only a new key); none
    /// if the stored version is another. Fails with [`StateError::Limit`] beyond the quota of the key's class.
    async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        quota: &Quota,
    ) -> Result<Option<u64>, StateError>;

    /// Deletes one key; false if it did not exist.
    async fn delete(&self, key: &str) -> Result<bool, StateError>;

    /// Returns at most `limit` entries whose keys begin with `prefix` and are greater than `after`, in byte order, and
    /// none behind the one that reaches [`MAX_LIST_BYTES`].
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

    /// Writes one key, as [`StateStore::put`]. Fails with [`StateError::Limit`] beyond the limits of this module too.
    pub async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        lifetime: Lifetime,
        quota: &Quota,
    ) -> Result<Option<u64>, StateError> {
        if key.len() > MAX_KEY_BYTES || key.contains('\0') {
            let reason = format!("a key has at most {MAX_KEY_BYTES} bytes and no NUL");
            return Err(StateError::Limit(reason));
        }
        if value.len() > MAX_VALUE_BYTES {
            let reason = format!("a value has at most {MAX_VALUE_BYTES} bytes");
            return Err(StateError::Limit(reason));
        }
        debug_assert_eq!(class(key), quota.class);
        let store = match lifetime {
            Lifetime::Process => &self.process,
            Lifetime::Durable => &self.durable,
        };
        store.put(key, value, if_version, quota).await
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

    /// Lists keys, as [`StateStore::list`], at most [`MAX_LIST`]. The next page begins after the last key of this one; an
    /// empty page is the last.
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
        // Either store's page may have ended early; nothing behind that end is complete.
        let mut bytes = 0;
        let fitting = entries
            .iter()
            .take_while(|entry| fits(&mut bytes, entry.key.len() + entry.value.len()));
        let fitting = fitting.count();
        entries.truncate(fitting);
        Ok(entries)
    }
}

/// Whether one more entry goes into a listing with so many bytes.
fn fits(bytes: &mut usize, more: usize) -> bool {
    let fits = *bytes < MAX_LIST_BYTES;
    *bytes = bytes.saturating_add(more);
    fits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    /// Tests use keys of any class.
    const ANY: Quota = Quota {
        class: "",
        entries: "entries",
        keys: 10_000,
        bytes: 64 << 20,
    };

    fn quota(class: &'static str) -> Quota {
        Quota { class, ..ANY }
    }

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
            let version = store.put("k", b"0", Some(0), &ANY).await.unwrap().unwrap();
            let racers = (0..50).map(|_| store.put("k", b"1", Some(version), &ANY));
            let won = futures::future::join_all(racers).await;
            let won = won.iter().filter(|put| put.as_ref().unwrap().is_some());
            assert_eq!(won.count(), 1);
            assert_eq!(store.put("k", b"2", Some(0), &ANY).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_key_created_again_has_a_new_version() {
        let (stores, _folder) = stores().await;
        for store in stores {
            let old = store.put("k", b"0", None, &ANY).await.unwrap().unwrap();
            assert!(store.delete("k").await.unwrap());
            assert!(!store.delete("k").await.unwrap());
            store.put("k", b"1", Some(0), &ANY).await.unwrap().unwrap();
            assert_eq!(store.put("k", b"2", Some(old), &ANY).await.unwrap(), None);
            assert_eq!(store.get("k").await.unwrap().unwrap().value, b"1");
        }
    }

    #[tokio::test]
    async fn keys_are_listed_in_byte_order_page_by_page() {
        let (stores, _folder) = stores().await;
        for store in stores {
            for key in ["a/2", "a/1", "a/ü", "a/10", "b/1", "A/1", "a%"] {
                store.put(key, b"", None, &ANY).await.unwrap();
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
                let _ = tokio::time::timeout(limit, store.put(&key, b"v", None, &ANY)).await;
            }
            store.get("0").await.unwrap();
            assert!(store.put("1", b"v", None, &ANY).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn durable_keys_survive_and_process_keys_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.sqlite");
        let state = State::open(Some(&file)).await.unwrap();
        for (key, lifetime) in [("a/1", Lifetime::Process), ("a/2", Lifetime::Durable)] {
            state
                .put(key, b"v", None, lifetime, &quota("a"))
                .await
                .unwrap();
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
        state
            .put("k", b"v", None, Lifetime::Durable, &quota("k"))
            .await
            .unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
        }
    }

    #[tokio::test]
    async fn a_class_of_keys_has_its_quota() {
        let (stores, _folder) = stores().await;
        let few = Quota {
            keys: 3,
            bytes: 100,
            ..quota("a")
        };
        for store in stores {
            store.put("b/1", &[0; 500], None, &ANY).await.unwrap();
            store.put("a!", &[0; 500], None, &ANY).await.unwrap();
            for key in ["a/1", "a/2", "a/3"] {
                store.put(key, &[0; 10], None, &few).await.unwrap();
            }
            let put = async |key: &str, length: usize| {
                let value = vec![0; length];
                store
                    .put(key, &value, None, &few)
                    .await
                    .map_err(|error| error.to_string())
            };
            assert!(put("a/4", 1).await.unwrap_err().contains("3 entries"));
            assert!(put("a/1", 90).await.unwrap_err().contains("100 bytes"));
            assert_eq!(store.get("a/1").await.unwrap().unwrap().value, [0; 10]);
            // 9 bytes of keys, 20 of the other values.
            put("a/1", 71).await.unwrap();
            assert!(put("a/2", 11).await.is_err());
            store.delete("a/1").await.unwrap();
            put("a/4", 71).await.unwrap();
            assert!(put("a/4", 72).await.is_err());
            put("a/4", 0).await.unwrap();
            put("a/2", 60).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_page_is_bounded_by_its_bytes_and_all_pages_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(Some(&folder.path().join("state.sqlite")))
            .await
            .unwrap();
        for number in 0..20 {
            let lifetime = match number % 3 {
                0 => Lifetime::Durable,
                _ => Lifetime::Process,
            };
            let key = format!("a/{number:02}");
            let value = vec![0; MAX_VALUE_BYTES];
            state
                .put(&key, &value, None, lifetime, &quota("a"))
                .await
                .unwrap();
        }
        let page = state.list("a/", None, MAX_LIST).await.unwrap();
        let bytes: usize = page.iter().map(|entry| entry.value.len()).sum();
        assert!(bytes <= MAX_LIST_BYTES, "{bytes}");
        let all = state.list_all("a/").await.unwrap();
        let keys: Vec<String> = all.into_iter().map(|entry| entry.key).collect();
        let expected: Vec<String> = (0..20).map(|number| format!("a/{number:02}")).collect();
        assert_eq!(keys, expected);
    }
}
