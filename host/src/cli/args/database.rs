//! The database that an argument names.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tombolo::bindings::types::Failure;
use tombolo::database::{self, Database, Location};
use tombolo::failure::{ErrorCode, failure};

/// A database as it was typed. What is wrong with it is told by [`DatabaseArgument::check`] and not by clap, whose
/// message would repeat a password.
#[derive(Clone, Debug)]
pub struct DatabaseArgument(Result<Location, String>);

impl FromStr for DatabaseArgument {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let location = text.parse::<Location>();
        Ok(Self(location.map_err(|wrong| wrong.to_string())))
    }
}

impl DatabaseArgument {
    /// Says whether it names a database at all.
    pub fn check(&self) -> Result<(), String> {
        self.0.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Opens it. `create`: a missing SQLite file is made.
    pub async fn open(&self, create: bool) -> Result<Arc<dyn Database>, Failure> {
        let location = self
            .0
            .as_ref()
            .map_err(|wrong| failure(ErrorCode::BadRequest, wrong, ""))?;
        Ok(Arc::from(database::open(location, create).await?))
    }

    /// Watches over a SQLite file that is not there yet.
    pub fn new_file(&self) -> NewFile {
        let path = match &self.0 {
            Ok(Location::Sqlite(path)) if std::fs::symlink_metadata(path).is_err() => {
                Some(path.clone())
            }
            _ => None,
        };
        NewFile { path }
    }
}

/// For people: never a password.
impl std::fmt::Display for DatabaseArgument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Ok(location) => write!(formatter, "{location}"),
            Err(_) => formatter.write_str("no database"),
        }
    }
}

/// A SQLite file that this command makes: removed again when this is dropped, unless it is to be kept.
pub struct NewFile {
    path: Option<PathBuf>,
}

impl NewFile {
    /// Keeps the file: it may contain something.
    pub fn keep(&mut self) {
        self.path = None;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut file = OsString::from(path);
            file.push(suffix);
            // Mostly it is not there, and otherwise nobody can do anything about it.
            let _ = std::fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_no_database_is_told_without_the_password() {
        let argument: DatabaseArgument = "mysql://ana:secret@host/shop".parse().unwrap();
        let wrong = argument.check().unwrap_err();
        assert!(
            wrong.contains("mysql") && !wrong.contains("secret"),
            "{wrong}"
        );
        assert!(!format!("{argument} {argument:?}").contains("secret"));
    }

    #[test]
    fn only_a_new_file_is_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");
        let argument: DatabaseArgument = file.to_str().unwrap().parse().unwrap();

        let new = argument.new_file();
        std::fs::write(&file, "").unwrap();
        std::fs::write(folder.path().join("copy.db-wal"), "").unwrap();
        drop(argument.new_file());
        assert!(file.exists(), "it was there before");
        drop(new);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut new = argument.new_file();
        std::fs::write(&file, "").unwrap();
        new.keep();
        drop(new);
        assert!(file.exists());
    }
}
