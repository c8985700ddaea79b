//! Reads and writes SQLite files.

mod catalog;
mod codec;
mod collations;
mod connection;
mod error;
mod file;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod meta;
mod raw;
mod snapshot;
mod target;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::Mutex;

use self::catalog::features;
use self::catalog::values::Scans;
use self::file::access::{self, Access, Reader};
use self::meta::{maintenance, rejects};
use super::{Database, DatabaseError, Omission, OmissionReason, Reject, Snapshot, Target, quote};
use crate::bindings::database::{RowCount, TableSummary};
use crate::bindings::types::{DbError, Dialect, TableFacts, TableSchema};
use crate::digest::sha256;

/// The time limit of an exact count.
const COUNT_LIMIT: Duration = Duration::from_millis(200);

/// The time limit of one look at the values of a table.
const FACTS_LIMIT: Duration = Duration::from_millis(800);

/// Steps of SQLite's virtual machine between two checks of the time; they take much less than a millisecond.
const STEPS: i32 = 1_000;

/// How often a file is read that is modified while it is read.
const ATTEMPTS: u32 = 5;

/// A SQLite file.
#[derive(Debug)]
pub struct SqliteDatabase {
    /// The canonical path: the working directory and links may change.
    file: PathBuf,
    /// The path as it was given, for messages.
    name: String,
    /// Whether its address says that it is not written.
    read_only: bool,
    /// The looks at the values of tables that go on when they are asked for again.
    scans: Scans,
}

impl SqliteDatabase {
    /// Opens a file. With `create`, creates a missing file in WAL mode, but never its folder, and rolls back the journal that
    /// an interrupted writer left.
    ///
    /// # Errors
    ///
    /// Fails with [`DatabaseError::Open`] if the file cannot be opened, and with [`DatabaseError::NotADatabase`] if it is of
    /// another kind.
    pub async fn open(path: &Path, create: bool) -> Result<Self, DatabaseError> {
        let name = path.display().to_string();
        let failed = |reason: &str| DatabaseError::Open {
            database: name.clone(),
            reason: reason.to_owned(),
        };
        if create && !path.exists() {
            // SQLite would create the file that the link names.
            if path.is_symlink() {
                return Err(failed("it is a link to a file that does not exist"));
            }
            create_file(path, &name).await?;
        }
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("there is no such file"),
            _ => failed(&error.to_string()),
        })?;
        if !metadata.is_file() {
            return Err(failed("it is not a file"));
        }
        let file = path
            .canonicalize()
            .map_err(|error| failed(&error.to_string()))?;
        if create {
            access::recover(&file).await;
        }
        Reader::open(&file, &name).await?.close().await;
        Ok(Self {
            file,
            name,
            read_only: false,
            scans: Scans::default(),
        })
    }

    /// Makes it a database that is never written. Fails with [`DatabaseError::Open`] if it is `opened_to_write`.
    pub fn read_only(mut self, opened_to_write: bool) -> Result<Self, DatabaseError> {
        self.read_only = true;
        match opened_to_write {
            true => Err(self.not_writable()),
            false => Ok(self),
        }
    }

    fn not_writable(&self) -> DatabaseError {
        DatabaseError::Open {
            database: self.name.clone(),
            reason: "its address says mode=ro, and it would be written".to_owned(),
        }
    }

    /// Looks at a table until this time.
    async fn look(
        &self,
        reader: &Arc<Mutex<Reader>>,
        table: &str,
        until: Instant,
    ) -> Result<Option<TableFacts>, DatabaseError> {
        let mut locked = reader.lock().await;
        let found = catalog::table(&mut locked.connection, &self.name, table).await?;
        let features = features::of_table(&mut locked.connection, &found).await?;
        drop(locked);
        let mut scan = self.scans.take(&found);
        loop {
            let (scanned, ended) = scan.go_on(Arc::clone(reader), &found).await?;
            if ended {
                let values = scanned.values();
                return Ok(Some(TableFacts { values, features }));
            }
            scan = scanned;
            if Instant::now() >= until {
                self.scans.keep(table, scan);
                return Ok(None);
            }
        }
    }

    fn concurrently_modified(&self) -> DatabaseError {
        DatabaseError::Busy(DbError {
            code: None,
            message: format!(
                "{} was modified each time it was read; try again when its writers are less busy",
                self.name
            ),
            table: None,
            constraint: None,
            column: None,
        })
    }
}

/// Creates an empty database.
async fn create_file(path: &Path, name: &str) -> Result<(), DatabaseError> {
    let failed = |reason: String| DatabaseError::Open {
        database: name.to_owned(),
        reason,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder
        .canonicalize()
        .map_err(|_| failed(format!("there is no folder {}", folder.display())))?;
    let file_name = path
        .file_name()
        .ok_or_else(|| failed("it is not the name of a file".to_owned()))?;
    // An absolute path, because names such as `:memory:` and `file:…` have a special meaning in SQLite.
    let file = folder.join(file_name);
    let options = access::options(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    access::connect_to_write(&file, &options, name)
        .await?
        .close()
        .await
        .map_err(|error| error::opening(name, &error))
}

#[async_trait]
impl Database for SqliteDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn identity(&self) -> String {
        let place = [b"sqlite:", self.file.as_os_str().as_encoded_bytes()].concat();
        hex::encode(sha256(&place))
    }

    async fn fingerprint(&self) -> Result<String, DatabaseError> {
        let metadata = std::fs::metadata(&self.file).map_err(|error| DatabaseError::Open {
            database: self.name.clone(),
            reason: error.to_string(),
        })?;
        let place = file::identity::of(&self.file, &metadata);
        Ok(hex::encode(sha256(&place)))
    }

    async fn omissions(&self) -> Result<Vec<Omission>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let reserved = catalog::reserved(&mut reader.connection).await;
            if reader.close().await {
                let reserved = reserved?.into_iter();
                return Ok(reserved
                    .map(|table| Omission {
                        table,
                        reason: OmissionReason::Reserved,
                    })
                    .collect());
            }
        }
        Err(self.concurrently_modified())
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let tables = catalog::tables(&mut reader.connection).await;
            if reader.close().await {
                return tables;
            }
        }
        Err(self.concurrently_modified())
    }

    async fn describe(&self, table: &str) -> Result<TableSchema, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let table = catalog::table(&mut reader.connection, &self.name, table).await;
            if reader.close().await {
                return table.map(|table| table.schema);
            }
        }
        Err(self.concurrently_modified())
    }

    async fn check_target(&self, table: &str) -> Result<(), DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let checked = match catalog::table(&mut reader.connection, &self.name, table).await {
                Ok(table) => catalog::application::check(&mut reader.connection, &table).await,
                Err(error) => Err(error),
            };
            if reader.close().await {
                return checked;
            }
        }
        Err(self.concurrently_modified())
    }

    async fn describe_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<TableSchema, DatabaseError>>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let mut described = Vec::with_capacity(tables.len());
            for table in tables {
                let table = catalog::table(&mut reader.connection, &self.name, table).await;
                described.push(table.map(|table| table.schema));
            }
            if reader.close().await {
                return Ok(described);
            }
        }
        Err(self.concurrently_modified())
    }

    async fn count_all(
        &self,
        tables: &[String],
    ) -> Result<Vec<Result<RowCount, DatabaseError>>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let mut counted = Vec::with_capacity(tables.len());
            for table in tables {
                let table = catalog::table(&mut reader.connection, &self.name, table).await;
                counted.push(match table {
                    Ok(table) => count(&mut reader.connection, &table, COUNT_LIMIT).await,
                    Err(error) => Err(error),
                });
            }
            if reader.close().await {
                return Ok(counted);
            }
        }
        Err(self.concurrently_modified())
    }

    async fn facts(&self, table: &str) -> Result<Option<TableFacts>, DatabaseError> {
        let until = Instant::now() + FACTS_LIMIT;
        for _ in 0..ATTEMPTS {
            let reader = Reader::open(&self.file, &self.name).await?;
            let reader = Arc::new(Mutex::new(reader));
            let facts = self.look(&reader, table, until).await;
            // The work on another thread is over, and nothing else has the reader.
            let undisturbed = match Arc::into_inner(reader) {
                Some(reader) => reader.into_inner().close().await,
                None => true,
            };
            if undisturbed {
                return facts;
            }
        }
        Err(self.concurrently_modified())
    }

    async fn count(&self, table: &str) -> Result<RowCount, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let counted = match catalog::table(&mut reader.connection, &self.name, table).await {
                Ok(table) => count(&mut reader.connection, &table, COUNT_LIMIT).await,
                Err(error) => Err(error),
            };
            if reader.close().await {
                return counted;
            }
        }
        Err(self.concurrently_modified())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let reader = Reader::open(&self.file, &self.name).await?;
            let reader = match reader.access {
                Access::Journal | Access::WalIdle => reader.copy(&self.name).await?,
                Access::Live | Access::WalWithoutShm => reader,
            };
            if reader.undisturbed() {
                let snapshot = snapshot::SqliteSnapshot::begin(reader, self.name.clone()).await?;
                return Ok(Box::new(snapshot));
            }
        }
        Err(self.concurrently_modified())
    }

    fn writers(&self) -> usize {
        1
    }

    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError> {
        if self.read_only {
            return Err(self.not_writable());
        }
        // A commit waits for the disk, which costs little because chunks are few.
        let options = access::options(&self.file)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full);
        let connection = access::connect_to_write(&self.file, &options, &self.name).await?;
        let target = target::SqliteTarget::new(connection, self.name.clone());
        Ok(Box::new(target))
    }

    async fn rejects(&self, limit: u32) -> Result<Vec<Reject>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let mut reader = Reader::open(&self.file, &self.name).await?;
            let rejects = rejects::list(&mut reader.connection, limit).await;
            if reader.close().await {
                return rejects;
            }
        }
        Err(self.concurrently_modified())
    }

    async fn clean(&self) -> Result<Vec<String>, DatabaseError> {
        if self.read_only {
            return Err(self.not_writable());
        }
        let options = access::options(&self.file);
        let mut connection = access::connect_to_write(&self.file, &options, &self.name).await?;
        let removed = maintenance::clean(&mut connection).await;
        // The removal is committed already.
        let _ = connection.close().await;
        removed
    }
}

/// Returns an exact count if it takes less than `limit`, else an estimate.
async fn count(
    connection: &mut SqliteConnection,
    table: &catalog::Table,
    limit: Duration,
) -> Result<RowCount, DatabaseError> {
    let refused = |error: sqlx::Error| error::refused(&error);
    let name = quote(&table.schema.table);
    let deadline = Instant::now() + limit;
    connection
        .lock_handle()
        .await
        .map_err(refused)?
        .set_progress_handler(STEPS, move || Instant::now() < deadline);
    // SQLite counts count(*) in one step, which no progress handler can end.
    let counted = number(connection, format!("SELECT count(1) FROM main.{name}")).await;
    connection
        .lock_handle()
        .await
        .map_err(refused)?
        .remove_progress_handler();
    match counted {
        Ok(rows) => return Ok(RowCount { rows, exact: true }),
        Err(error) if error::is_interrupt(&error) => {}
        Err(error) => return Err(refused(error)),
    }
    let estimate = match table.rowid() {
        Some(rowid) => format!("SELECT max({rowid}) FROM main.{name}"),
        // A lower bound, because the rows are too many to count and have no numbers.
        None => format!("SELECT count(*) FROM (SELECT 1 FROM main.{name} LIMIT 1000000)"),
    };
    let rows = number(connection, estimate).await.map_err(refused)?;
    Ok(RowCount { rows, exact: false })
}

async fn number(connection: &mut SqliteConnection, sql: String) -> Result<u64, sqlx::Error> {
    let number: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await?;
    // Rowids may be negative.
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0))
}
