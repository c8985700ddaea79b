//! Folders for temporary copies, and what crashed processes left of them.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::create_temporary_folder;

/// What the names of the folders begin with.
const PREFIX: &str = "tombolo-copy-";

/// The file in each folder that its process has locked.
const LOCK: &str = "lock";

/// The name of that file until it is locked.
const NEW_LOCK: &str = "lock.new";

/// After this time, a folder without a lock is one that its process left.
const CREATION: Duration = Duration::from_secs(60);

/// A folder that only this user can enter; removed with the value, and after a crash by the next process.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: TempDir,
    /// Holds the lock.
    _lock: File,
}

impl TemporaryFolder {
    /// Creates a folder in that for temporary files.
    pub fn create() -> io::Result<Self> {
        let folder = create_temporary_folder(PREFIX)?;
        let new = folder.path().join(NEW_LOCK);
        let lock = File::create_new(&new)?;
        lock.lock()?;
        // Whoever finds the lock finds it locked.
        std::fs::rename(new, folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders that processes of this user left when they crashed. Those of live processes stay.
pub fn sweep_temporary_folders() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        if let Some(_lock) = abandoned(&folder)
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            tracing::warn!(%error, "a copy that a crashed process left in {} cannot be removed", folder.display());
        }
    }
}

/// What shows that a folder has no process.
enum Abandoned {
    /// Its lock, which is held from here on.
    Locked(#[expect(dead_code, reason = "it is held, not read")] File),
    /// It is old and has no lock.
    Old,
}

/// Returns whether a folder belongs to this user and to no process.
fn abandoned(folder: &Path) -> Option<Abandoned> {
    let found = std::fs::symlink_metadata(folder).ok()?;
    if !found.is_dir() || !is_own(&found) {
        return None;
    }
    match open_lock(&folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok().then_some(Abandoned::Locked(lock)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = found.modified().ok()?.elapsed().ok()?;
            (age > CREATION).then_some(Abandoned::Old)
        }
        Err(_) => None,
    }
}

fn open_lock(path: &PathBuf) -> io::Result<File> {
    // A pipe would keep the opener waiting.
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

/// Whether a folder belongs to this user, and nobody else can have put anything into it.
#[cfg(unix)]
fn is_own(found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_own(_: &Metadata) -> bool {
    true
}
