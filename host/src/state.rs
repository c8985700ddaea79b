//! The state of a tenant: a small ordered key-value store with versions.
//!
//! A key lives with the process (in memory) or durably (in a SQLite file that several processes may share).

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

use crate::bindings::state::{Entry, Lifetime};

/// The longest key in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The largest value in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The most entries of one listing.
pub const MAX_LIST: u32 = 1_000;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store's file cannot be opened or written.
    #[error("the state store cannot be used: {0}")]
    Store(#[from] sqlx::Error),
    /// A key or value is larger than allowed.
    #[error("{0}")]
    TooLarge(&'static str),
}

/// Both stores of a tenant.
#[derive(Clone, Debug)]
pub struct State {
    process: SqlitePool,
    durable: SqlitePool,
}

impl State {
    /// Opens the durable store in a file, made when missing, or in memory without one.
    pub async fn open(file: Option<&Path>) -> Result<Self, StateError> {
        let durable = match file {
            Some(file) => SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal),
            None => SqliteConnectOptions::new().in_memory(true),
        };
        Ok(Self {
            process: open_store(SqliteConnectOptions::new().in_memory(true)).await?,
            durable: open_store(durable).await?,
        })
    }

    /// Reads one key.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, StateError> {
        let (state, key) = (self.clone(), key.to_owned());
        run_to_completion(async move {
            for store in [&state.process, &state.durable] {
                let row = sqlx::query("SELECT value, version FROM state WHERE key = ?")
                    .bind(&key)
                    .fetch_optional(store)
                    .await?;
                if let Some(row) = row {
                    return Ok(Some(Entry {
                        key,
                        value: row.try_get(0)?,
                        version: row.try_get::<i64, _>(1)?.unsigned_abs(),
                    }));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Writes one key, and with `if_version` only over that version (0: only a new key); none: it was another.
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
        let condition = match if_version {
            None => "",
            Some(0) => " WHERE NOT EXISTS (SELECT 1 FROM state WHERE key = ?1)",
            Some(_) => " WHERE EXISTS (SELECT 1 FROM state WHERE key = ?1 AND version = ?3)",
        };
        let (store, key, value) = (store.clone(), key.to_owned(), value.to_owned());
        run_to_completion(async move {
            // One counter for all keys: a key that was deleted and made again never shows an old version.
            let mut transaction = store.begin_with("BEGIN IMMEDIATE").await?;
            let version: i64 =
                sqlx::query_scalar("UPDATE counter SET version = version + 1 RETURNING version")
                    .fetch_one(&mut *transaction)
                    .await?;
            let written = sqlx::query(AssertSqlSafe(format!(
                "INSERT OR REPLACE INTO state (key, value, version) SELECT ?1, ?2, ?4{condition}"
            )))
            .bind(key)
            .bind(value)
            .bind(if_version.and_then(|version| i64::try_from(version).ok()))
            .bind(version)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            transaction.commit().await?;
            Ok((written > 0).then_some(version.unsigned_abs()))
        })
        .await
    }

    /// Deletes one key; false if it did not exist.
    pub async fn delete(&self, key: &str) -> Result<bool, StateError> {
        let (state, key) = (self.clone(), key.to_owned());
        run_to_completion(async move {
            let mut deleted = 0;
            for store in [&state.process, &state.durable] {
                deleted += sqlx::query("DELETE FROM state WHERE key = ?")
                    .bind(&key)
                    .execute(store)
                    .await?
                    .rows_affected();
            }
            Ok(deleted > 0)
        })
        .await
    }

    /// Keys with a prefix, in byte order, after a key.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StateError> {
        let limit = limit.min(MAX_LIST);
        let (state, prefix) = (self.clone(), prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        run_to_completion(async move {
            let mut entries = Vec::new();
            for store in [&state.process, &state.durable] {
                let rows = sqlx::query(
                    "SELECT key, value, version FROM state WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 \
                     AND key > ?2 ORDER BY key LIMIT ?3",
                )
                .bind(&prefix)
                .bind(&after)
                .bind(limit)
                .fetch_all(store)
                .await?;
                for row in rows {
                    entries.push(Entry {
                        key: row.try_get(0)?,
                        value: row.try_get(1)?,
                        version: row.try_get::<i64, _>(2)?.unsigned_abs(),
                    });
                }
            }
            entries.sort_by(|one, other| one.key.cmp(&other.key));
            entries.truncate(limit as usize);
            Ok(entries)
        })
        .await
    }
}

/// Works on a store to the end, also when the caller is gone: a peer that hangs up ends its request anywhere. A connection
/// that is left in the middle of a statement is closed, and an in-memory store with it.
async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, StateError>> + Send + 'static,
) -> Result<T, StateError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        // Only a runtime that stops ends such a task.
        Err(_) => Err(StateError::Store(sqlx::Error::WorkerCrashed)),
    }
}

async fn open_store(options: SqliteConnectOptions) -> Result<SqlitePool, StateError> {
    // One connection: an in-memory database is its connection, and a file has one writer anyway.
    let store = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options.busy_timeout(Duration::from_secs(5)))
        .await?;
    for statement in [
        "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
        "INSERT OR IGNORE INTO counter VALUES (1, 0)",
    ] {
        sqlx::query(statement).execute(&store).await?;
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn one_of_many_racers_wins() {
        let state = State::open(None).await.unwrap();
        let version = state
            .put("k", b"0", Some(0), Lifetime::Process)
            .await
            .unwrap()
            .unwrap();
        let racers = (0..50).map(|_| state.put("k", b"1", Some(version), Lifetime::Process));
        let won = futures::future::join_all(racers).await;
        assert_eq!(
            won.iter()
                .filter(|result| result.as_ref().unwrap().is_some())
                .count(),
            1
        );
        assert_eq!(
            state
                .put("k", b"2", Some(0), Lifetime::Process)
                .await
                .unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn a_key_made_again_has_a_new_version() {
        let state = State::open(None).await.unwrap();
        let old = state
            .put("k", b"0", None, Lifetime::Process)
            .await
            .unwrap()
            .unwrap();
        assert!(state.delete("k").await.unwrap());
        state
            .put("k", b"1", Some(0), Lifetime::Process)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            state
                .put("k", b"2", Some(old), Lifetime::Process)
                .await
                .unwrap(),
            None
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_that_give_up_harm_nobody() {
        let state = State::open(None).await.unwrap();
        for microseconds in (0..500).cycle().take(5_000) {
            let patience = Duration::from_micros(microseconds);
            let key = microseconds.to_string();
            let put = state.put(&key, b"v", None, Lifetime::Process);
            let _ = tokio::time::timeout(patience, put).await;
        }
        state.get("0").await.unwrap();
        let put = state.put("1", b"v", None, Lifetime::Process).await;
        assert!(put.unwrap().is_some());
    }

    #[tokio::test]
    async fn durable_keys_survive_and_process_keys_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.sqlite");
        let state = State::open(Some(&file)).await.unwrap();
        state
            .put("a/1", b"p", None, Lifetime::Process)
            .await
            .unwrap();
        state
            .put("a/2", b"d", None, Lifetime::Durable)
            .await
            .unwrap();
        assert_eq!(state.list("a/", None, 10).await.unwrap().len(), 2);
        assert_eq!(state.list("a/", Some("a/1"), 10).await.unwrap().len(), 1);
        let again = State::open(Some(&file)).await.unwrap();
        assert_eq!(again.get("a/1").await.unwrap(), None);
        assert_eq!(again.get("a/2").await.unwrap().unwrap().value, b"d");
    }
}
