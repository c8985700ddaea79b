//! Reads a file without changing it and without creating files next to it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::copy::{self, CopyError};
use crate::database::DatabaseError;
use crate::database::sqlite::collations;
use crate::database::sqlite::error::opening;
use crate::database::sqlite::raw::RawConnection;
use crate::private_files::TemporaryFolder;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a file can be read.
///
/// SQLite creates `-wal` and `-shm` files next to a database in WAL mode as soon as it is read. If they do not exist, no
/// other process has the file open: it is read as an immutable file, and checked afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Rollback journal: a reader creates no files.
    Journal,
    /// WAL, in use: its files exist.
    Live,
    /// WAL, not in use: its files do not exist.
    WalIdle,
    /// WAL with a `-wal` and without a `-shm` file: read in a private copy.
    WalWithoutShm,
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub connection: SqliteConnection,
    pub access: Access,
    /// The file, and its handle from before the connection was opened.
    #[cfg(unix)]
    opened: (PathBuf, Arc<File>),
    /// The state of the file before it was read, if nothing locks it.
    stamp: Option<(PathBuf, Stamp)>,
    /// The folder of the private copy, where an open file cannot lose its name; dropped after the connection.
    _folder: Option<TemporaryFolder>,
}

impl Reader {
    /// Opens a file that exists; `database` is the name for messages. Fails with `Open`, `NotADatabase` or `Busy`.
    pub async fn open(file: &Path, database: &str) -> Result<Self, DatabaseError> {
        let failed = |error: io::Error| DatabaseError::Open {
            database: database.to_owned(),
            reason: error.to_string(),
        };
        #[cfg(unix)]
        let opened = (file.to_owned(), handle(file).map_err(failed)?);
        let stamp = Stamp::of(file).map_err(failed)?;
        check_beside(file).map_err(failed)?;
        let access = access(file).map_err(failed)?;
        let (path, folder, stamp) = match access {
            Access::Journal | Access::Live => (file.to_owned(), None, None),
            Access::WalIdle => (file.to_owned(), None, Some((file.to_owned(), stamp))),
            Access::WalWithoutShm => {
                // No process has a lock on this file, so that closing our handles drops none.
                let (folder, copy) = private_folder().map_err(failed)?;
                copy::whole(file, &copy).await.map_err(failed)?;
                let log = beside(file, "-wal");
                copy::whole(&log, &beside(&copy, "-wal"))
                    .await
                    .map_err(failed)?;
                (copy, Some(folder), Some((file.to_owned(), stamp)))
            }
        };
        let options = reading(&path).immutable(access == Access::WalIdle);
        let connection = connect_to_read(&options, database).await?;
        Ok(Self {
            connection,
            access,
            #[cfg(unix)]
            opened,
            stamp,
            _folder: folder.and_then(forget_name),
        })
    }

    /// Opens a private copy of the file's present state, so that reading it locks nobody out.
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
        let connection = connect_to_read(&reading(&copy), database).await?;
        let original = std::mem::replace(&mut self.connection, connection);
        self._folder = forget_name(folder);
        // Its locks are released now; the outcome does not matter.
        let _ = original.close().await;
        Ok(self)
    }

    async fn copy_to(&mut self, copy: &Path) -> Result<(), CopyError> {
        // The path may name another file by now, which must not be copied.
        #[cfg(unix)]
        if self.access == Access::Journal
            && let (path, opened) = &self.opened
            && Arc::ptr_eq(opened, &handle(path)?)
        {
            return copy::in_steps(&mut self.connection, opened, copy).await;
        }
        copy::at_once(&mut self.connection, copy).await
    }

    /// Returns true if what was read is one state of the database.
    pub fn undisturbed(&self) -> bool {
        match &self.stamp {
            Some((file, stamp)) => Stamp::of(file).is_ok_and(|now| now == *stamp),
            None => true,
        }
    }

    /// Closes the file. Returns true if what was read is one state of the database.
    pub async fn close(self) -> bool {
        let undisturbed = self.undisturbed();
        // A read-only connection has nothing to lose.
        let _ = self.connection.close().await;
        undisturbed
    }
}

/// Returns the options that all connections have in common. No file is trusted: its schema may call no function with side
/// effects, and its pages are checked.
pub fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
}

/// Opens a connection; `database` is the name for messages. Fails with `Open`, `NotADatabase` or `Busy`.
pub async fn connect(
    options: &SqliteConnectOptions,
    database: &str,
) -> Result<SqliteConnection, DatabaseError> {
    let opened = options.connect().await;
    let mut connection = opened.map_err(|error| opening(database, &error))?;
    RawConnection::lock(&mut connection).await?.defend()?;
    Ok(connection)
}

/// Opens a connection that only reads, as [`connect`] does, and reads the header and the schema, so that all files are open.
/// Collations that only an application has are replaced by others: the order of what is read does not matter.
async fn connect_to_read(
    options: &SqliteConnectOptions,
    database: &str,
) -> Result<SqliteConnection, DatabaseError> {
    let mut connection = connect(options, database).await?;
    collations::stand_in(&RawConnection::lock(&mut connection).await?)?;
    sqlx::query("SELECT count(*) FROM sqlite_schema")
        .execute(&mut connection)
        .await
        .map_err(|error| opening(database, &error))?;
    Ok(connection)
}

/// Opens a connection that may write, as [`connect`] does.
pub async fn connect_to_write(
    file: &Path,
    options: &SqliteConnectOptions,
    database: &str,
) -> Result<SqliteConnection, DatabaseError> {
    check_beside(file).map_err(|error| DatabaseError::Open {
        database: database.to_owned(),
        reason: error.to_string(),
    })?;
    connect(options, database).await
}

/// Rolls back the journal that an interrupted writer left, which only a connection that writes can do.
pub async fn recover(file: &Path) {
    if !beside(file, "-journal").exists() {
        return;
    }
    // The next reader reports what is wrong with the file.
    if let Ok(mut connection) = connect_to_write(file, &options(file), "").await {
        let _ = sqlx::query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut connection)
            .await;
        let _ = connection.close().await;
    }
}

/// Fails if a name that SQLite uses beside a file is that of a link, a pipe or a device, which somebody else put there.
fn check_beside(file: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let name = beside(file, suffix);
        match std::fs::symlink_metadata(&name) {
            Ok(found) if !found.is_file() => {
                return Err(io::Error::other(format!(
                    "{} beside it is not a file; remove it",
                    name.display()
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the options for reading.
fn reading(file: &Path) -> SqliteConnectOptions {
    options(file).read_only(true)
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

fn private_folder() -> io::Result<(TemporaryFolder, PathBuf)> {
    let folder = TemporaryFolder::create()?;
    let copy = folder.path().join("snapshot.sqlite");
    Ok((folder, copy))
}

/// Removes a folder whose copy is open: what is open stays, and nothing of it outlives the process.
#[cfg(unix)]
fn forget_name(folder: TemporaryFolder) -> Option<TemporaryFolder> {
    drop(folder);
    None
}

/// Keeps a folder. On this system, an open file has a name.
#[cfg(not(unix))]
fn forget_name(folder: TemporaryFolder) -> Option<TemporaryFolder> {
    Some(folder)
}

/// Returns true if the file's header says WAL, which is read version 2.
fn is_wal(file: &Path) -> io::Result<bool> {
    let mut header = [0; 20];
    Ok(read_header(file, &mut header)? == header.len()
        && header.starts_with(b"SQLite format 3\0")
        && header.ends_with(&[2]))
}

/// Returns a handle of a file that is never closed: closing one drops every POSIX lock that this process has on the file,
/// including SQLite's (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
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

/// Reads the start of a file, as [`handle`] allows.
#[cfg(unix)]
fn read_header(file: &Path, header: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(handle(file)?.as_ref(), header, 0)
}

/// Reads the start of a file. On this system, locks belong to handles.
#[cfg(not(unix))]
fn read_header(file: &Path, header: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut File::open(file)?, header)
}

/// Changes when a file is written.
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
