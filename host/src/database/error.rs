//! Why a database cannot do what was asked.

use crate::bindings::types::{DbError, Failure};
use crate::failure::{ErrorCode, failure};

/// Why a database cannot do what was asked. Messages name the database, the table and the column, and never show values
/// of rows or passwords.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The table does not exist.
    #[error("there is no table {table:?} in {database}")]
    NotFound {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// The name is that of a view.
    #[error("{table:?} in {database} is a view; only tables can be transferred")]
    View {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// The file does not exist or cannot be opened.
    #[error("cannot open {database}: {reason}")]
    Open {
        /// The database.
        database: String,
        /// Why.
        reason: String,
    },
    /// The file is not a SQLite database.
    #[error("{database} is not a SQLite database")]
    NotADatabase {
        /// The database.
        database: String,
    },
    /// The server cannot be reached, or refuses the login.
    #[error("cannot connect to {database}: {reason}")]
    Unreachable {
        /// The database.
        database: String,
        /// Why.
        reason: String,
    },
    /// The database refused a statement; a retry would fail the same way.
    #[error("{}", describe(.0))]
    Refused(DbError),
    /// A function of the database names something without its schema.
    #[error("a trigger or function of the database failed: {}", describe(.0))]
    Unqualified(DbError),
    /// Tombolo's own tables cannot be created in the target.
    #[error("Tombolo's own tables cannot be created in the target: {}", describe(.0))]
    NoLedger(DbError),
    /// Something has a name of Tombolo's own tables, or hangs on them, and is not what Tombolo makes.
    #[error("{object} is in the place of Tombolo's own tables and cannot be used: {problem}")]
    NotAsMade {
        /// What it is, and its name.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// All connections to the database that may be open are in use.
    #[error("all {limit} connections to {database} that may be open at a time are in use")]
    TooManyConnections {
        /// The database.
        database: String,
        /// How many may be open.
        limit: usize,
    },
    /// The server takes no more connections.
    #[error("{database} takes no more connections of this login: {reason}")]
    ServerFull {
        /// The database.
        database: String,
        /// What the server says.
        reason: String,
    },
    /// The login has no schema in which tables could be found.
    #[error(
        "the search_path of this login names no schema of {database} that exists and that it may use: {search_path:?}"
    )]
    NoSchema {
        /// The database.
        database: String,
        /// The login's setting.
        search_path: String,
    },
    /// A table was emptied or rewritten since the view of the database began, so that its rows are not in the view.
    #[error(
        "table {table:?} was emptied or rewritten while it was shared (TRUNCATE, ALTER TABLE, CLUSTER or VACUUM FULL)"
    )]
    Rewritten {
        /// The table.
        table: String,
    },
    /// The database is busy, or the connection broke; a retry may succeed.
    #[error("{}", describe(.0))]
    Busy(DbError),
    /// A column cannot hold a value exactly.
    #[error("{0}")]
    Unrepresentable(Box<Unrepresentable>),
    /// The table cannot be used as asked.
    #[error("table {table:?}: {reason}")]
    Unsuitable {
        /// The table.
        table: String,
        /// Why.
        reason: String,
    },
    /// More rows are rejected than the run allows.
    #[error("table {table:?}: more than {limit} rows are rejected, the last one because {reason}")]
    TooManyRejects {
        /// The table.
        table: String,
        /// How many rows may be rejected.
        limit: u64,
        /// Why the last row was rejected.
        reason: String,
    },
    /// Rows are not stored as they were written.
    #[error(
        "table {table:?}: {rows} rows were not stored as they were written; nothing of this chunk was kept"
    )]
    NotStored {
        /// The table.
        table: String,
        /// How many rows differ.
        rows: u64,
    },
    /// A type that a new table needs cannot be created, because another type has its name.
    #[error(
        "table {table:?} cannot be created: the target has a type {name:?} that is not the enum of its columns"
    )]
    TypeTaken {
        /// The table.
        table: String,
        /// The type.
        name: String,
    },
    /// Another process advanced the ledger of this run.
    #[error(
        "another process writes table {table:?} for the same run; nothing of this chunk was kept"
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
    /// The row: its number as it arrived, from 1, or its key.
    pub row: String,
    /// The column.
    pub column: String,
    /// Why it does not fit, without the value.
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
            DatabaseError::Unqualified(_) => (
                ErrorCode::Database,
                "its search_path has only schemas in which nobody else may create; let its owner qualify the names, or run: ALTER FUNCTION … SET search_path = …",
            ),
            DatabaseError::NoLedger(_) => (
                ErrorCode::NoLedger,
                "pull as a login that may create them, or let the database's owner run once: CREATE SCHEMA tombolo AUTHORIZATION login",
            ),
            DatabaseError::NotAsMade { .. } => (
                ErrorCode::NoLedger,
                "find out who made it; let its owner or a superuser remove it, for example with psql or the sqlite3 shell, and repeat the command",
            ),
            DatabaseError::TooManyConnections { .. } => (
                ErrorCode::Limit,
                "try again when other transfers of this database are done",
            ),
            DatabaseError::ServerFull { .. } => (
                ErrorCode::Limit,
                "close other connections, or let the server's owner allow more (max_connections, ALTER ROLE … CONNECTION LIMIT)",
            ),
            DatabaseError::NoSchema { .. } => (
                ErrorCode::Unreachable,
                "add ?schema=NAME to the address, or run: ALTER ROLE … SET search_path = NAME, and let its owner GRANT USAGE ON SCHEMA",
            ),
            DatabaseError::Rewritten { .. } => (
                ErrorCode::SnapshotExpired,
                "pull again: the run goes on with the database as it is now",
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
            DatabaseError::TooManyRejects { .. } => (
                ErrorCode::TooManyRejects,
                "`tombolo rejects DB` lists some of them; raise --reject-limit, correct the cause, or choose another --conversion for values that do not fit, and pull again",
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
