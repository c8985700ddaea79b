//! Folders and files that no other user of the machine may change.
//!
//! On systems without the owners and modes of Unix, nothing is checked.

#[cfg(unix)]
mod check;
mod temporary;

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use temporary::{TemporaryFolder, sweep_temporary_folders};

/// What follows the name of a SQLite database in the names of its own file and of those beside it.
#[cfg(unix)]
const DATABASE_FILES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Why other users of the machine can change what is in a folder.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    /// A file or folder belongs to somebody else.
    #[error("{} belongs to another user (id {owner})", .path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// The id of its owner.
        owner: u32,
    },
    /// Others can write to a file or folder.
    #[error("other users can write to {} (mode {mode:03o})", .path.display())]
    Writable {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something in the folder is neither a file nor a folder, as a link that leads out of it.
    #[error("{} is neither a file nor a folder", .path.display())]
    Kind {
        /// Which.
        path: PathBuf,
    },
    /// There is too much in the folder.
    #[error("{} holds more than {limit} files", .path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many are looked at.
        limit: usize,
    },
    /// Something cannot be looked at or created.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl NotPrivate {
    /// What to do about it. `folder`: what was checked; `variable`: the environment variable that names another one.
    #[must_use]
    pub fn hint(&self, folder: &Path, variable: &str) -> String {
        let otherwise = format!("set {variable} to another folder");
        // A new one is made at the next start.
        let delete = format!(
            "delete {}, whose files others may have changed",
            folder.display()
        );
        match self {
            Self::Owner { path, .. } | Self::Writable { path, .. } | Self::Kind { path }
                if path.starts_with(folder) =>
            {
                format!("{delete}; or {otherwise}")
            }
            Self::Owner { path, .. } => {
                format!(
                    "{delete}, and run `chown $(id -u) {}`; or {otherwise}",
                    path.display()
                )
            }
            Self::Writable { path, .. } => {
                format!(
                    "{delete}, and run `chmod go-w {}`; or {otherwise}",
                    path.display()
                )
            }
            Self::Kind { .. } | Self::TooMany { .. } | Self::Io { .. } => otherwise,
        }
    }
}

/// Creates a folder that only its owner can enter, with its missing parents. A folder that exists stays as it is.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates a folder for temporary files that only this user can enter; removed with the value.
pub fn create_temporary_folder(prefix: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}

/// Checks that only this user and root can change a folder, anything in it, or what its path leads to, and returns its
/// real path. As long as that is so, nobody else can change that between the check and the use.
pub fn check(folder: &Path) -> Result<PathBuf, NotPrivate> {
    #[cfg(unix)]
    return check::check(folder);
    #[cfg(not(unix))]
    std::path::absolute(folder).map_err(|error| NotPrivate::Io {
        path: folder.to_owned(),
        error,
    })
}

/// Creates the file of a SQLite database, or takes it as it is, and lets its owner alone read and write it and the files
/// beside it, whatever the umask is. SQLite gives the mode of the database to the files that it creates beside it.
pub fn make_database_private(database: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // One that exists is not opened: closing it would drop the locks that SQLite has on it in this process.
    match options.open(database) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(_) | Err(_) => {}
    }
    #[cfg(unix)]
    for suffix in DATABASE_FILES {
        use std::os::unix::fs::PermissionsExt as _;
        let mut file = database.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::metadata(&file) {
            Ok(metadata) if metadata.permissions().mode() & 0o777 == 0o600 => {}
            Ok(_) => std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets this user alone reach the files and folders that this process creates from now on, except where a mode is set
/// explicitly. It counts for all threads.
pub fn restrict_new_files() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

#[cfg(test)]
mod tests;
