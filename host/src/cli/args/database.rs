//! The argument `DB`: a SQLite file or a PostgreSQL URL.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use tombolo::bindings::types::Failure;
use tombolo::database::{self, Database, DatabaseError, Location, LoginView};
use tombolo::failure::{ErrorCode, failure};

/// A database, or why the argument names none.
///
/// [`DatabaseArgument::check`] reports the error instead of clap, whose message would repeat a password.
#[derive(Clone, Debug)]
pub struct DatabaseArgument(Result<Location, String>);

impl FromStr for DatabaseArgument {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let location = text.parse::<Location>();
        Ok(Self(location.map_err(|error| error.to_string())))
    }
}

impl DatabaseArgument {
    /// Checks that the argument names a database.
    pub fn check(&self) -> Result<(), String> {
        self.0.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Returns the login of a PostgreSQL database: that of the URL, else of the environment.
    pub fn login(&self) -> Option<String> {
        let Ok(Location::Postgres(url)) = &self.0 else {
            return None;
        };
        let named = url::Url::parse(url).ok()?.username().to_owned();
        let named = Some(named).filter(|name| !name.is_empty());
        named.or_else(|| {
            std::env::var("PGUSER")
                .or_else(|_| std::env::var("USER"))
                .ok()
        })
    }

    /// Opens the database. With `create`, a missing SQLite file is created.
    pub async fn open(&self, create: bool) -> Result<Arc<dyn Database>, Failure> {
        let location = self
            .0
            .as_ref()
            .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
        let is_missing = |path: &Path| std::fs::symlink_metadata(path).is_err();
        let is_new = matches!(location, Location::Sqlite(path) if create && is_missing(path));
        match (database::open(location, create).await, location) {
            (Ok(database), _) => Ok(Arc::from(database)),
            (Err(DatabaseError::Open { .. }), Location::Sqlite(path)) if is_new => {
                Err(not_created(path))
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Opens the database to read it, and says what of tables with policies is read.
    pub async fn open_view(&self, view: LoginView) -> Result<Arc<dyn Database>, Failure> {
        let location = self
            .0
            .as_ref()
            .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
        Ok(Arc::from(database::open_view(location, false, view).await?))
    }

    /// Returns a guard that removes a SQLite file that does not exist yet.
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

/// The failure of a file that cannot be created.
fn not_created(path: &Path) -> Failure {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let (reason, hint) = match folder.is_dir() {
        true => (
            "you may not write there",
            "make the folder writable, or choose another one",
        ),
        false => (
            "there is no such folder",
            "create the folder, or choose another one",
        ),
    };
    let file = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let message = format!("cannot create {file} in {}/: {reason}", folder.display());
    failure(ErrorCode::Unreachable, message, hint)
}

/// Never prints a password.
impl std::fmt::Display for DatabaseArgument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Ok(location) => write!(formatter, "{location}"),
            Err(_) => formatter.write_str("no database"),
        }
    }
}

/// A SQLite file that this command creates. Dropping the guard removes the file, unless it is kept.
pub struct NewFile {
    path: Option<PathBuf>,
}

impl NewFile {
    /// Keeps the file.
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
            // Most of them do not exist, and nothing can be done about a failure.
            let _ = std::fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_error_does_not_contain_the_password() {
        let argument: DatabaseArgument = "mysql://ana:secret@host/shop".parse().unwrap();
        let reason = argument.check().unwrap_err();
        assert!(
            reason.contains("mysql") && !reason.contains("secret"),
            "{reason}"
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
        assert!(file.exists(), "it existed before");
        drop(new);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut new = argument.new_file();
        std::fs::write(&file, "").unwrap();
        new.keep();
        drop(new);
        assert!(file.exists());
    }
}
