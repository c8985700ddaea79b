//! Why a database cannot do what was asked.

use crate::bindings::types::{DbError, Failure};
use crate::failure::{ErrorCode, failure};

/// Why a database could not do what was asked. Says what and where, and never shows a row's values or a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No such table.
    #[error("there is no table {table:?} in {database}")]
    NotFound {
        /// Where.
        database: String,
        /// What was asked for.
        table: String,
    },
    /// The name is a view's.
    #[error("{table:?} in {database} is a view, and only tables can be transferred")]
    View {
        /// Where.
        database: String,
        /// What was asked for.
        table: String,
    },
    /// There is no such file, or it is none that can be opened.
    #[error("cannot open {database}: {reason}")]
    Open {
        /// Which.
        database: String,
        /// Why.
        reason: String,
    },
    /// The file is something else.
    #[error("{database} is not a SQLite database")]
    NotADatabase {
        /// Which.
        database: String,
    },
    /// The server cannot be reached, or does not let us in.
    #[error("cannot connect to {database}: {reason}")]
    Unreachable {
        /// Which.
        database: String,
        /// Why.
        reason: String,
    },
    /// The database refused a statement; trying the same again makes no sense.
    #[error("{}", describe(.0))]
    Refused(DbError),
    /// The tables that Tombolo keeps in a target cannot be made.
    #[error("the tables that Tombolo keeps in a target cannot be made: {}", describe(.0))]
    NoLedger(DbError),
    /// The database is busy or broke off; trying again may help.
    #[error("{}", describe(.0))]
    Busy(DbError),
    /// A value cannot be held exactly.
    #[error("{0}")]
    Unrepresentable(Box<Unrepresentable>),
    /// The table cannot be used as asked, and why.
    #[error("table {table:?}: {reason}")]
    Unsuitable {
        /// Which.
        table: String,
        /// Why.
        reason: String,
    },
    /// A table that rows went directly into did not take some of them; they have to go through a staging.
    #[error("table {table:?} does not take all rows as they come")]
    NeedsStaging {
        /// Which.
        table: String,
    },
    /// More rows were rejected than the run allows.
    #[error(
        "table {table:?}: more than {limit} rows cannot be taken in, the last one because {reason}"
    )]
    TooManyRejects {
        /// The table.
        table: String,
        /// How many are allowed.
        limit: u64,
        /// Why the last row was rejected.
        reason: String,
    },
    /// What was written is not what is there.
    #[error(
        "table {table:?}: {rows} rows were not stored as they were written; nothing of this chunk was kept"
    )]
    NotStored {
        /// The table.
        table: String,
        /// How many rows differ.
        rows: u64,
    },
    /// A type that a new table needs cannot be made, because something else has its name.
    #[error(
        "table {table:?} cannot be created: there is a type {name:?} here that is not the enum its columns have"
    )]
    TypeTaken {
        /// The table.
        table: String,
        /// The type.
        name: String,
    },
    /// Somebody else advanced this run's ledger.
    #[error(
        "another process writes the same run of table {table:?}; nothing of this chunk was kept"
    )]
    LedgerTaken {
        /// The table.
        table: String,
    },
}

/// A value that a column cannot hold exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table:?}, row {row}, column {column:?}: {reason}")]
pub struct Unrepresentable {
    /// The table.
    pub table: String,
    /// Which row, counted from 1 in the order of arrival, or its key.
    pub row: String,
    /// The column.
    pub column: String,
    /// What does not fit, without the value.
    pub reason: String,
}

impl From<Unrepresentable> for DatabaseError {
    fn from(unrepresentable: Unrepresentable) -> Self {
        Self::Unrepresentable(Box::new(unrepresentable))
    }
}

fn describe(error: &DbError) -> String {
    let mut text = error.message.clone();
    for (what, name) in [
        ("table", &error.table),
        ("column", &error.column),
        ("constraint", &error.constraint),
    ] {
        if let Some(name) = name {
            text.push_str(&format!(", {what} {name:?}"));
        }
    }
    if let Some(code) = &error.code {
        text.push_str(&format!(" (code {code})"));
    }
    text
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let (code, hint) = match &error {
            DatabaseError::NotFound { .. } => (
                ErrorCode::NoSuchTable,
                "`tombolo tables DB` lists what is there",
            ),
            DatabaseError::View { .. } => (
                ErrorCode::NotATable,
                "name the tables behind the view instead",
            ),
            DatabaseError::Open { .. } => (
                ErrorCode::Unreachable,
                "check the name and the permissions of the file",
            ),
            DatabaseError::NotADatabase { .. } => (
                ErrorCode::NotADatabase,
                "name a SQLite file or a postgres:// address",
            ),
            DatabaseError::Unreachable { .. } => (
                ErrorCode::Unreachable,
                "check the address, and that the server runs and lets this login in",
            ),
            DatabaseError::Refused(_) => (
                ErrorCode::Database,
                "the database refused the statement; what was committed before is complete",
            ),
            DatabaseError::NoLedger(_) => (
                ErrorCode::NoLedger,
                "pull as a login that may create them, or let the database's owner run once: CREATE SCHEMA tombolo AUTHORIZATION login",
            ),
            DatabaseError::Busy(_) => (ErrorCode::Busy, "try again when the database is less busy"),
            DatabaseError::Unrepresentable(_) => (
                ErrorCode::Unrepresentable,
                "change the column's type in the target, or the value at the source",
            ),
            DatabaseError::Unsuitable { .. } => (
                ErrorCode::UnsuitableTable,
                "leave this table out, or change it",
            ),
            DatabaseError::NeedsStaging { .. } => (ErrorCode::Internal, "pull again"),
            DatabaseError::TooManyRejects { .. } => (
                ErrorCode::TooManyRejects,
                "`tombolo rejects DB` lists them; raise --reject-limit, or mend the cause and pull again",
            ),
            DatabaseError::NotStored { .. } => (
                ErrorCode::NotStored,
                "something in the target changes rows while they are written; look for triggers and rules",
            ),
            DatabaseError::TypeTaken { .. } => (
                ErrorCode::TypeTaken,
                "pull again to use the type that is here, or rename it, or create the table yourself with the types it should have",
            ),
            DatabaseError::LedgerTaken { .. } => (ErrorCode::Busy, "wait for the other process"),
        };
        failure(code, error.to_string(), hint)
    }
}
