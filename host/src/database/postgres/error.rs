//! Describes PostgreSQL's errors without the values that its messages and details quote.

use sqlx::postgres::PgDatabaseError;

use crate::bindings::types::DbError;
use crate::database::DatabaseError;

/// The SQLSTATE of a missing privilege.
pub(super) const DENIED: &str = "42501";

/// The SQLSTATE of a connection too many, of the server, the database or the login.
const FULL: &str = "53300";

/// Converts an error of a statement.
pub(super) fn at_work(error: &sqlx::Error) -> DatabaseError {
    match server_error(error) {
        Some(server) if is_transient(server.code()) => DatabaseError::Busy(describe(server)),
        Some(server) if is_unqualified(server) => DatabaseError::Unqualified(describe(server)),
        Some(server) => DatabaseError::Refused(describe(server)),
        None => match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => {
                DatabaseError::Busy(plain(format!("the connection broke: {error}")))
            }
            // These may quote the bytes that could not be read.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => {
                DatabaseError::Refused(plain("the server's answer cannot be read".to_owned()))
            }
            _ => DatabaseError::Refused(plain(error.to_string())),
        },
    }
}

/// Converts an error of an attempt to connect to `place`.
pub(super) fn at_connect(place: &str, error: &sqlx::Error) -> DatabaseError {
    let reason = match (server_error(error), error) {
        (Some(server), _) if server.code() == FULL => {
            return DatabaseError::ServerFull {
                database: place.to_owned(),
                reason: message(server),
            };
        }
        // A pooler refuses settings and logins with the codes of broken connections.
        (Some(server), _) if is_transient(server.code()) && !server.code().starts_with("08") => {
            return DatabaseError::Busy(describe(server));
        }
        (Some(server), _) => format!("{} (code {})", message(server), server.code()),
        (None, sqlx::Error::Io(error)) => error.to_string(),
        (None, sqlx::Error::Tls(error)) => format!("TLS: {error}"),
        (None, _) => error.to_string(),
    };
    DatabaseError::Unreachable {
        database: place.to_owned(),
        reason,
    }
}

/// Returns the SQLSTATE of an error, if the database gave one.
pub(super) fn code(error: &DatabaseError) -> Option<&str> {
    match error {
        DatabaseError::Refused(error)
        | DatabaseError::Unqualified(error)
        | DatabaseError::Busy(error) => error.code.as_deref(),
        _ => None,
    }
}

/// Returns an error of Tombolo itself in the form of a database error.
pub(super) fn plain(message: String) -> DbError {
    DbError {
        code: None,
        message,
        table: None,
        constraint: None,
        column: None,
    }
}

fn server_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref())
}

fn describe(error: &PgDatabaseError) -> DbError {
    DbError {
        code: Some(error.code().to_owned()),
        message: message(error),
        table: error.table().map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
        column: error.column().map(str::to_owned),
    }
}

/// Returns true for serialization failures and deadlocks, a lock that is held, a server that stops or starts, and a
/// broken connection.
fn is_transient(code: &str) -> bool {
    code.starts_with("40") || code.starts_with("08") || code.starts_with("57P") || code == "55P03"
}

/// Returns true if a function did not find a schema, table, function, operator or type by its name: the path is pinned.
fn is_unqualified(error: &PgDatabaseError) -> bool {
    let in_function = error.r#where().is_some_and(|place| !place.is_empty());
    in_function && matches!(error.code(), "3F000" | "42P01" | "42883" | "42704")
}

fn message(error: &PgDatabaseError) -> String {
    without_values(error.code(), error.message())
}

fn without_values(code: &str, message: &str) -> String {
    match code.get(..2).unwrap_or_default() {
        // Functions and triggers of the database word these.
        "P0" | "38" | "39" => "a trigger or function of the database refused it".to_owned(),
        "22" => match (code, message.find('"'), message.rfind('"')) {
            ("22021", ..) => "text is not valid in the database's encoding".to_owned(),
            (_, Some(first), Some(last)) => format!(
                "{}…{}",
                message.get(..first).unwrap_or_default(),
                message.get(last + 1..).unwrap_or_default()
            ),
            _ => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_of_messages() {
        for (code, message, shown) in [
            (
                "22P02",
                "invalid input value for enum mood: \"secret\"",
                "invalid input value for enum mood: …",
            ),
            (
                "22003",
                "value \"1 \"2\" 3\" is out of range for type integer",
                "value … is out of range for type integer",
            ),
            ("22012", "division by zero", "division by zero"),
            (
                "23505",
                "duplicate key value violates unique constraint \"a\"",
                "duplicate key value violates unique constraint \"a\"",
            ),
            (
                "P0001",
                "secret is too young",
                "a trigger or function of the database refused it",
            ),
        ] {
            assert_eq!(without_values(code, message), shown);
        }
    }
}
