//! Comparing tables row by row, with code of the tests' own.

use super::postgres::Database;
use super::sqlite::Sqlite;

/// A table as its database stores it: what its columns are, and the exact image of every cell.
#[derive(Debug)]
pub struct Table {
    name: String,
    columns: Vec<Vec<String>>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    pub fn new(name: &str, columns: Vec<Vec<String>>, mut rows: Vec<Vec<Option<String>>>) -> Self {
        rows.sort();
        Self {
            name: name.to_owned(),
            columns,
            rows,
        }
    }

    /// The rows in the order of their cells.
    pub fn rows(&self) -> &[Vec<Option<String>>] {
        &self.rows
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Checks that columns and rows are the same, and shows the first difference.
    pub fn assert_same(&self, other: &Self) {
        assert_eq!(self.columns, other.columns, "columns of {}", self.name);
        assert_eq!(self.len(), other.len(), "rows of {}", self.name);
        for (number, (one, other)) in self.rows.iter().zip(&other.rows).enumerate() {
            assert_eq!(
                one, other,
                "row {number} of {} in the order of its cells",
                self.name
            );
        }
    }
}

/// A database of either kind, for tests that run with both.
pub enum Store {
    /// A file.
    Sqlite(String),
    /// A database of the cluster.
    Postgres(Database),
}

impl Store {
    /// How it is named on the command line.
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

    /// Rows of a query whose columns are all text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Sqlite(path) => Sqlite::open(path).rows(sql),
            Self::Postgres(database) => database.rows(sql),
        }
    }

    /// The tables, without the database's and Tombolo's own.
    pub fn tables(&self) -> Vec<String> {
        match self {
            Self::Sqlite(path) => Sqlite::open(path).tables(),
            Self::Postgres(database) => database.tables(),
        }
    }
}
