//! Converts SQLite's result codes to database errors.

use std::borrow::Cow;

use super::raw::RawError;
use crate::bindings::types::DbError;
use crate::database::DatabaseError;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;
const READONLY_ROLLBACK: i32 = 776;
const CONSTRAINT_FOREIGNKEY: i32 = 787;
const CONSTRAINT_TRIGGER: i32 = 1811;

/// Returns the extended result code; none if the error is not SQLite's.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Returns true if a progress handler ended the statement.
pub(super) fn is_interrupt(error: &sqlx::Error) -> bool {
    code(error).map(primary) == Some(INTERRUPT)
}

/// Returns the error for a file that cannot be opened or read for the first time.
pub(super) fn opening(database: &str, error: &sqlx::Error) -> DatabaseError {
    let reason = match code(error) {
        Some(code) if primary(code) == NOTADB => {
            return DatabaseError::NotADatabase {
                database: database.to_owned(),
            };
        }
        Some(code) if matches!(primary(code), BUSY | LOCKED) => return refused(error),
        Some(READONLY_ROLLBACK) => {
            "its last writer was interrupted and left a journal; open it once with a program that \
             may write, such as the sqlite3 shell, so that the journal is rolled back"
                .to_owned()
        }
        Some(code) if primary(code) == CANTOPEN => {
            "the file cannot be read; check its permissions".to_owned()
        }
        _ => message(error).into_owned(),
    };
    DatabaseError::Open {
        database: database.to_owned(),
        reason,
    }
}

/// Returns the error for a statement that failed.
pub(super) fn refused(error: &sqlx::Error) -> DatabaseError {
    refusal(code(error), message(error).into_owned())
}

impl From<RawError> for DatabaseError {
    fn from(error: RawError) -> Self {
        refusal(Some(error.code), error.message)
    }
}

/// Returns the error for work whose thread panicked.
pub(super) fn interrupted() -> DatabaseError {
    refusal(
        None,
        "the work with the database was interrupted inside this process".to_owned(),
    )
}

fn refusal(code: Option<i32>, message: String) -> DatabaseError {
    let mut refusal = DbError {
        code: code.map(|code| code.to_string()),
        message,
        table: None,
        constraint: None,
        column: None,
    };
    match code {
        Some(code) if matches!(primary(code), BUSY | LOCKED) => {
            return DatabaseError::Busy(refusal);
        }
        // The text of a trigger's message may show a value.
        Some(CONSTRAINT_TRIGGER) => {
            "a trigger of the table refused a row".clone_into(&mut refusal.message)
        }
        Some(CONSTRAINT_FOREIGNKEY) => {
            "a foreign key refers to a row that does not exist".clone_into(&mut refusal.message);
        }
        Some(code) if primary(code) == FULL => {
            "the disk is full, or the database has reached its size limit"
                .clone_into(&mut refusal.message);
        }
        Some(code) if primary(code) == READONLY => {
            "the database cannot be written; check the permissions of the file and of its folder"
                .clone_into(&mut refusal.message);
        }
        _ => name_constraint(&mut refusal),
    }
    DatabaseError::Refused(refusal)
}

/// Returns the primary code of an extended result code: its low byte.
fn primary(code: i32) -> i32 {
    code & 0xff
}

fn message(error: &sqlx::Error) -> Cow<'_, str> {
    match error {
        sqlx::Error::Database(error) => error.message().into(),
        // Names in a schema that cannot be decoded; the message shows no value.
        other => other.to_string().into(),
    }
}

/// Parses messages such as `UNIQUE constraint failed: t.a, t.b`.
fn name_constraint(refusal: &mut DbError) {
    let Some((kind, what)) = refusal.message.split_once(" constraint failed: ") else {
        return;
    };
    let (kind, what) = (kind.to_owned(), what.to_owned());
    match kind.as_str() {
        "CHECK" => refusal.constraint = Some(what),
        "UNIQUE" if what.starts_with("index ") => refusal.constraint = Some(what),
        "UNIQUE" | "NOT NULL" => {
            let columns: Vec<_> = what
                .split(", ")
                .filter_map(|name| name.split_once('.'))
                .collect();
            refusal.table = columns.first().map(|(table, _)| (*table).to_owned());
            let names: Vec<_> = columns.iter().map(|(_, column)| *column).collect();
            refusal.column = (!names.is_empty()).then(|| names.join(", "));
        }
        _ => return,
    }
    refusal.message = format!("{kind} constraint failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(message: &str) -> DbError {
        let mut refusal = DbError {
            code: None,
            message: message.to_owned(),
            table: None,
            constraint: None,
            column: None,
        };
        name_constraint(&mut refusal);
        refusal
    }

    #[test]
    fn constraints_are_named() {
        let unique = named("UNIQUE constraint failed: t.a, t.b");
        assert_eq!(unique.table.as_deref(), Some("t"));
        assert_eq!(unique.column.as_deref(), Some("a, b"));
        assert_eq!(unique.message, "UNIQUE constraint failed");
        let check = named("CHECK constraint failed: price > 0");
        assert_eq!(check.constraint.as_deref(), Some("price > 0"));
        let other = named("no such table: x");
        assert_eq!(
            (other.message.as_str(), other.table),
            ("no such table: x", None)
        );
    }
}
