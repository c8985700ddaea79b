//! How a file is read without a trace in it or beside it.
//!
//! SQLite makes `-wal` and `-shm` files beside a database in WAL mode as soon as somebody reads it. While nobody has
//! it open they do not exist, and then the file is read as one that does not change, and checked afterwards.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::copy::{self, CopyError};
use crate::database::DatabaseError;
use crate::database::sqlite::error::opening;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a file can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Rollback journal: a reader's locks leave no trace.
    Journal,
    /// WAL, in use: its files are there already.
    Live,
    /// WAL, at rest: its files would have to be made.
    WalIdle,
    /// WAL that somebody left without its `-shm`: read in a private copy.
    WalWithoutShm,
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub connection: SqliteConnection,
    pub access: Access,
    /// The file, and its handle from before the connection was made.
    #[cfg(unix)]
    opened: (PathBuf, Arc<File>),
    /// What the file looked like, where nothing locks it.
    stamp: Option<(PathBuf, Stamp)>,
    /// Dropped after the connection, and the folder goes with it.
    _folder: Option<TempDir>,
}

impl Reader {
    /// Opens a file that is there; `database` is its name for people.
    pub async fn open(file: &Path, database: &str) -> Result<Self, DatabaseError> {
        let failed = |error: io::Error| DatabaseError::Open {
            database: database.to_owned(),
            reason: error.to_string(),
        };
        #[cfg(unix)]
        let opened = (file.to_owned(), handle(file).map_err(failed)?);
        let stamp = Stamp::of(file).map_err(failed)?;
        let access = access(file).map_err(failed)?;
        let (path, folder, stamp) = match access {
            Access::Journal | Access::Live => (file.to_owned(), None, None),
            Access::WalIdle => (file.to_owned(), None, Some((file.to_owned(), stamp))),
            Access::WalWithoutShm => {
                // Without that file nobody has a lock that closing our handles could drop.
                let (folder, copy) = private_folder().map_err(failed)?;
                tokio::fs::copy(file, &copy).await.map_err(failed)?;
                let log = beside(file, "-wal");
                tokio::fs::copy(log, beside(&copy, "-wal"))
                    .await
                    .map_err(failed)?;
                (copy, Some(folder), Some((file.to_owned(), stamp)))
            }
        };
        let connection = reading(&path)
            .immutable(access == Access::WalIdle)
            .connect()
            .await
            .map_err(|error| opening(database, &error))?;
        let mut reader = Self {
            connection,
            access,
            #[cfg(unix)]
            opened,
            stamp,
            _folder: folder,
        };
        // Nothing was read so far: now the header and the schema are.
        sqlx::query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut reader.connection)
            .await
            .map_err(|error| opening(database, &error))?;
        Ok(reader)
    }

    /// Opens a private copy of the file as it is now, so that nobody is locked out while it is read.
    pub async fn copy(mut self, database: &str) -> Result<Self, DatabaseError> {
        let failed = |reason: String| DatabaseError::Open {
            database: database.to_owned(),
            reason: format!(
                "no copy can be made in the folder for temporary files, {}: {reason}",
                std::env::temp_dir().display()
            ),
        };
        let (folder, copy) = private_folder().map_err(|error| failed(error.to_string()))?;
        self.copy_to(&copy).await.map_err(|error| match error {
            CopyError::Io(error) => failed(error.to_string()),
            CopyError::Database(DatabaseError::Refused(error)) => failed(error.message),
            CopyError::Database(other) => other,
        })?;
        let connection = reading(&copy)
            .connect()
            .await
            .map_err(|error| opening(database, &error))?;
        let original = std::mem::replace(&mut self.connection, connection);
        self._folder = Some(folder);
        // What it held is released before its owner can notice; its outcome no longer matters.
        let _ = original.close().await;
        Ok(self)
    }

    async fn copy_to(&mut self, copy: &Path) -> Result<(), CopyError> {
        // By a path that names another file by now, the wrong one would be copied.
        #[cfg(unix)]
        if self.access == Access::Journal
            && let (path, opened) = &self.opened
            && Arc::ptr_eq(opened, &handle(path)?)
        {
            return copy::in_steps(&mut self.connection, opened, copy).await;
        }
        copy::at_once(&mut self.connection, copy).await
    }

    /// Whether what was read is one state of the database.
    pub fn undisturbed(&self) -> bool {
        match &self.stamp {
            Some((file, stamp)) => Stamp::of(file).is_ok_and(|now| now == *stamp),
            None => true,
        }
    }

    /// Closes the file, and says whether what was read is one state of the database.
    pub async fn close(self) -> bool {
        let undisturbed = self.undisturbed();
        // A read-only connection has nothing to lose.
        let _ = self.connection.close().await;
        undisturbed
    }
}

/// What all connections have in common.
pub fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Lets SQLite roll back the journal that an interrupted writer of a target left: only a connection that may write can.
pub async fn recover(file: &Path) {
    if !beside(file, "-journal").exists() {
        return;
    }
    // What is wrong with the file is found, and said, by whoever reads it next.
    if let Ok(mut connection) = options(file).connect().await {
        let _ = sqlx::query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut connection)
            .await;
        let _ = connection.close().await;
    }
}

/// The file may be a stranger's: its schema gets no functions with side effects, and its pages are checked.
fn reading(file: &Path) -> SqliteConnectOptions {
    options(file)
        .read_only(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
}

fn access(file: &Path) -> io::Result<Access> {
    let exists = |suffix| beside(file, suffix).exists();
    Ok(match (is_wal(file)?, exists("-wal"), exists("-shm")) {
        (false, ..) => Access::Journal,
        (true, true, true) => Access::Live,
        (true, true, false) => Access::WalWithoutShm,
        (true, false, _) => Access::WalIdle,
    })
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

fn private_folder() -> io::Result<(TempDir, PathBuf)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("tombolo-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let folder = builder.tempdir()?;
    let copy = folder.path().join("snapshot.sqlite");
    Ok((folder, copy))
}

/// Whether the file's header says WAL: read version 2.
fn is_wal(file: &Path) -> io::Result<bool> {
    let mut header = [0; 20];
    Ok(read_header(file, &mut header)? == header.len()
        && header.starts_with(b"SQLite format 3\0")
        && header.ends_with(&[2]))
}

/// A handle of a file that is never closed: closing one drops every POSIX lock that this process has on the file,
/// SQLite's own included (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
#[cfg(unix)]
pub fn handle(file: &Path) -> io::Result<Arc<File>> {
    use std::os::unix::fs::MetadataExt as _;

    /// By device and inode.
    type Handles = HashMap<(u64, u64), Arc<File>>;
    static HANDLES: Mutex<Option<Handles>> = Mutex::new(None);

    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    let handles = handles.get_or_insert_default();
    let wanted = id(std::fs::metadata(file)?);
    if let Some(handle) = handles.get(&wanted) {
        return Ok(Arc::clone(handle));
    }
    let handle = Arc::new(File::open(file)?);
    let opened = id(handle.metadata()?);
    Ok(Arc::clone(handles.entry(opened).or_insert(handle)))
}

/// Reads the start of a file.
#[cfg(unix)]
fn read_header(file: &Path, header: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(handle(file)?.as_ref(), header, 0)
}

/// Elsewhere locks belong to handles.
#[cfg(not(unix))]
fn read_header(file: &Path, header: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut File::open(file)?, header)
}

/// Tells whether a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: SystemTime,
}

impl Stamp {
    fn of(file: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(file)?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified()?,
        })
    }
}
