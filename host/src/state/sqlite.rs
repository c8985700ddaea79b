//! A state store in a SQLite file that several processes may share.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{StateError, StateStore};
use crate::bindings::state::Entry;
use crate::private_files::make_database_private;

/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);

/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(30);

/// Keys and values of one file.
#[derive(Clone, Debug)]
pub struct SqliteStore(SqlitePool);

impl SqliteStore {
    /// Opens a file, created when missing, and makes it readable for its owner only.
    pub async fn open(file: &Path) -> Result<Self, StateError> {
        // Before anything is in it.
        make_database_private(file).map_err(|error| StateError::File {
            file: file.display().to_string(),
            error,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY);
        // One connection: a file has one writer.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(TURN)
            .connect_with(options)
            .await?;
        for statement in [
            "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
            "INSERT OR IGNORE INTO counter VALUES (1, 0)",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self(pool))
    }
}

/// Runs work on the store to its end, also when the caller is dropped: a connection that is left in the middle of a
/// statement is closed.
async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, StateError>> + Send + 'static,
) -> Result<T, StateError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        // Only a runtime that stops ends such a task.
        Err(_) => Err(StateError::Store(sqlx::Error::WorkerCrashed)),
    }
}

/// Begins a transaction that writes. Not sqlx's own: SQLite ends a transaction itself after some errors, as a full disk, and
/// sqlx would take it for open.
async fn begin(connection: &mut SqliteConnection) -> Result<(), StateError> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Ends the transaction that `result` came from, with whatever is left of it.
async fn end<T>(
    connection: &mut SqliteConnection,
    result: Result<T, StateError>,
) -> Result<T, StateError> {
    let done = match result {
        Ok(value) => sqlx::query("COMMIT")
            .execute(&mut *connection)
            .await
            .map(|_| value)
            .map_err(StateError::from),
        error => error,
    };
    if done.is_err() {
        // The first error says more than this one would.
        let _ = sqlx::query("ROLLBACK").execute(connection).await;
    }
    done
}

async fn put(
    connection: &mut SqliteConnection,
    key: String,
    value: Vec<u8>,
    if_version: Option<u64>,
    condition: &str,
) -> Result<Option<u64>, StateError> {
    // One counter for all keys: a key that was deleted and created again never shows an old version.
    let version: i64 =
        sqlx::query_scalar("UPDATE counter SET version = version + 1 RETURNING version")
            .fetch_one(&mut *connection)
            .await?;
    let written = sqlx::query(AssertSqlSafe(format!(
        "INSERT OR REPLACE INTO state (key, value, version) SELECT ?1, ?2, ?4{condition}"
    )))
    .bind(key)
    .bind(value)
    .bind(if_version.and_then(|version| i64::try_from(version).ok()))
    .bind(version)
    .execute(connection)
    .await?
    .rows_affected();
    Ok((written > 0).then_some(version.unsigned_abs()))
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        key: row.try_get("key")?,
        value: row.try_get("value")?,
        version: row.try_get::<i64, _>("version")?.unsigned_abs(),
    })
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StateError> {
        let (pool, key) = (self.0.clone(), key.to_owned());
        run_to_completion(async move {
            let row = sqlx::query("SELECT key, value, version FROM state WHERE key = ?1")
                .bind(key)
                .fetch_optional(&pool)
                .await?;
            Ok(row.as_ref().map(entry).transpose()?)
        })
        .await
    }

    async fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
    ) -> Result<Option<u64>, StateError> {
        let condition = match if_version {
            None => "",
            Some(0) => " WHERE NOT EXISTS (SELECT 1 FROM state WHERE key = ?1)",
            Some(_) => " WHERE EXISTS (SELECT 1 FROM state WHERE key = ?1 AND version = ?3)",
        };
        let (pool, key, value) = (self.0.clone(), key.to_owned(), value.to_owned());
        run_to_completion(async move {
            let mut connection = pool.acquire().await?;
            begin(&mut connection).await?;
            let written = put(&mut connection, key, value, if_version, condition).await;
            end(&mut connection, written).await
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<bool, StateError> {
        let (pool, key) = (self.0.clone(), key.to_owned());
        run_to_completion(async move {
            let deleted = sqlx::query("DELETE FROM state WHERE key = ?1")
                .bind(key)
                .execute(&pool)
                .await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StateError> {
        let (pool, prefix) = (self.0.clone(), prefix.to_owned());
        let after = after.unwrap_or_default().to_owned();
        run_to_completion(async move {
            let rows = sqlx::query(
                "SELECT key, value, version FROM state \
                 WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
            )
            .bind(prefix)
            .bind(after)
            .bind(limit)
            .fetch_all(&pool)
            .await?;
            Ok(rows.iter().map(entry).collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_full_file_harms_nothing_and_is_usable_again_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.sqlite"))
            .await
            .unwrap();
        store.put("a", b"1", None).await.unwrap();
        let bound = async |pages: u32| {
            let pragma = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(pragma).execute(&store.0).await.unwrap();
        };
        bound(8).await;
        let large = vec![7; 1 << 20];
        for _ in 0..3 {
            assert!(matches!(
                store.put("a", &large, None).await,
                Err(StateError::Store(_))
            ));
        }
        assert_eq!(store.get("a").await.unwrap().unwrap().value, b"1");
        bound(10_000).await;
        assert!(store.put("a", &large, None).await.unwrap().is_some());
    }
}
