use crate::bindings::types::DbError;

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
