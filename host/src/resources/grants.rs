//! Grants: the databases of a tenant and the tables it may read and write there.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::bindings::types::Error;
use crate::database::Database;

/// The most patterns of one list, and the most bytes of one pattern.
const MAX_PATTERNS: usize = 1_000;

/// Patterns of table names: `*` any text, `?` one character, `{a,b}` either. Empty matches nothing.
#[derive(Clone, Debug)]
pub struct Patterns(GlobSet);

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
        Ok(Self(set))
    }

    /// Matches every name.
    pub fn all() -> Result<Self, Error> {
        Self::new(&["*".to_owned()])
    }

    /// Whether a table's name matches.
    #[must_use]
    pub fn matches(&self, table: &str) -> bool {
        self.0.is_match(table)
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

    pub(crate) fn readable(&self) -> &Patterns {
        &self.readable
    }

    pub(crate) fn writable(&self) -> &Patterns {
        &self.writable
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

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
