//! A database of either kind, for tests that run with both.

use super::postgres::Database;
use super::site::Site;
use super::sqlite::Sqlite;

/// A database of either kind.
pub enum AnyDatabase {
    /// The path of a file.
    Sqlite(String),
    Postgres(Database),
}

impl AnyDatabase {
    /// A SQLite file in the folder of a test.
    pub fn file(site: &Site, name: &str) -> Self {
        Self::Sqlite(site.path(name))
    }

    /// The argument that names it on the command line.
    pub fn location(&self) -> String {
        match self {
            Self::Sqlite(path) => path.clone(),
            Self::Postgres(database) => database.url(),
        }
    }

    /// Runs statements.
    pub fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => Sqlite::create(path).run(sql),
            Self::Postgres(database) => database.run(sql),
        }
    }

    /// Returns the rows of a query whose columns are all text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Sqlite(path) => Sqlite::open(path).rows(sql),
            Self::Postgres(database) => database.rows(sql),
        }
    }

    /// Returns the names of its tables, without those of the database and of Tombolo.
    pub fn tables(&self) -> Vec<String> {
        match self {
            Self::Sqlite(path) => Sqlite::open(path).tables(),
            Self::Postgres(database) => database.tables(),
        }
    }
}
