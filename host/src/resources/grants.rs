//! Grants: the databases of a tenant and the tables it may read and write there.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::bindings::types::{Error, Scope};
use crate::database::Database;

/// The most patterns of one list, and the most bytes of one pattern.
const MAX_PATTERNS: usize = 1_000;

/// Patterns of table names: `*` any text, `?` one character, `{a,b}` either. Empty matches nothing.
///
/// The second set is of names that are left out.
#[derive(Clone, Debug)]
pub struct Patterns(GlobSet, GlobSet);

impl Patterns {
    /// Reads patterns; fails with `invalid` or `limit`.
    pub fn new(patterns: &[String]) -> Result<Self, Error> {
        if patterns.len() > MAX_PATTERNS || patterns.iter().any(|one| one.len() > MAX_PATTERNS) {
            return Err(Error::Limit(format!(
                "at most {MAX_PATTERNS} patterns of {MAX_PATTERNS} bytes"
            )));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = Glob::new(pattern).map_err(|_| {
                Error::Invalid(format!("{pattern:?} is not a pattern of table names"))
            })?;
            set.add(glob);
        }
        let set = set
            .build()
            .map_err(|_| Error::Limit("the patterns are too large together".to_owned()))?;
        Ok(Self(set, GlobSet::empty()))
    }

    /// Leaves out what other patterns match.
    #[must_use]
    pub fn except(mut self, others: Self) -> Self {
        self.1 = others.0;
        self
    }

    /// Matches every name.
    pub fn all() -> Result<Self, Error> {
        Self::new(&["*".to_owned()])
    }

    /// Whether a table's name matches.
    #[must_use]
    pub fn matches(&self, table: &str) -> bool {
        self.0.is_match(table) && !self.1.is_match(table)
    }
}

/// A database and what the operator allows the tenant to do with it.
#[derive(Clone)]
pub struct GrantedDatabase {
    database: Arc<dyn Database>,
    readable: Patterns,
    writable: Patterns,
}

impl GrantedDatabase {
    /// Grants a database with the tables that may be read and those that may be written.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, readable: Patterns, writable: Patterns) -> Self {
        Self {
            database,
            readable,
            writable,
        }
    }

    pub(crate) fn database(&self) -> &Arc<dyn Database> {
        &self.database
    }

    /// Returns the tables that may be read: those of the operator's grant, and of them only those of a peer's scope.
    pub(crate) fn readable(&self, scope: Option<&Scope>) -> Result<ReadableTables, Error> {
        Ok(ReadableTables {
            granted: self.readable.clone(),
            scope: scope
                .map(|scope| Patterns::new(&scope.tables))
                .transpose()?,
        })
    }

    /// Fails with `denied` if the operator did not grant to write a table.
    pub(crate) fn check_writable(&self, table: &str) -> Result<(), Error> {
        match self.writable.matches(table) {
            true => Ok(()),
            false => Err(Error::Denied(format!("table {table:?} is not granted"))),
        }
    }

    /// Fails with `denied` if the operator did not grant to read a table.
    pub(crate) fn check_readable(&self, table: &str) -> Result<(), Error> {
        match self.readable.matches(table) {
            true => Ok(()),
            false => Err(Error::Denied(format!("table {table:?} is not granted"))),
        }
    }
}

/// The tables that somebody may read.
pub(crate) struct ReadableTables {
    granted: Patterns,
    scope: Option<Patterns>,
}

impl ReadableTables {
    /// Whether a table is among them.
    pub(crate) fn contains(&self, table: &str) -> bool {
        let scope = self.scope.as_ref();
        self.granted.matches(table) && scope.is_none_or(|scope| scope.matches(table))
    }

    /// Fails with `denied` if a table is not among them.
    pub(crate) fn check(&self, table: &str) -> Result<(), Error> {
        match self.contains(table) {
            true => Ok(()),
            false => Err(Error::Denied(format!(
                "table {table:?} is outside what is shared"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_scope_narrows_a_grant_and_never_widens_it() {
        let patterns =
            |list: &[&str]| -> Vec<String> { list.iter().map(|one| (*one).to_owned()).collect() };
        let folder = tempfile::tempdir().unwrap();
        let file = crate::database::Location::Sqlite(folder.path().join("a.db"));
        let database = Arc::from(crate::database::open(&file, true).await.unwrap());
        let read = Patterns::new(&patterns(&["order*"])).unwrap();
        let write = Patterns::new(&patterns(&["orders"])).unwrap();
        let granted = GrantedDatabase::new(database, read, write);
        let scope = Scope {
            tables: patterns(&["*s", "secrets"]),
        };
        let readable = granted.readable(Some(&scope)).unwrap();
        assert!(readable.check("orders").is_ok());
        for outside in ["order_items_2", "secrets"] {
            assert!(matches!(readable.check(outside), Err(Error::Denied(_))));
        }
        assert!(granted.readable(None).unwrap().contains("order_items_2"));
        assert!(granted.check_writable("orders").is_ok());
        assert!(granted.check_writable("order_items").is_err());
        assert!(granted.check_readable("secrets").is_err());
    }

    #[test]
    fn patterns_match_whole_names() {
        let patterns = Patterns::new(&["order*".to_owned(), "{a,b}c".to_owned()]).unwrap();
        for name in ["orders", "order/items", "ac", "bc"] {
            assert!(patterns.matches(name), "{name}");
        }
        for name in ["my orders", "c", "Orders"] {
            assert!(!patterns.matches(name), "{name}");
        }
        assert!(!Patterns::new(&[]).unwrap().matches("orders"));
        assert!(Patterns::new(&["{".to_owned()]).is_err());
    }
}
