//! Describes PostgreSQL's errors without the values that its messages and details quote.

use sqlx::postgres::PgDatabaseError;

use crate::bindings::types::DbError;
use crate::database::DatabaseError;

/// The SQLSTATE of a function that raises an error and names no other.
const RAISED: &str = "P0001";

/// The SQLSTATE of a missing privilege.
pub(super) const DENIED: &str = "42501";

/// What is said instead of a function's own words, which may quote values.
const REFUSED_BY_A_FUNCTION: &str = "a trigger or function of the database refused it";
/// The SQLSTATE of a connection too many, of the server, the database or the login.
const FULL: &str = "53300";

/// Converts an error of a statement.
pub(super) fn at_work(error: &sqlx::Error) -> DatabaseError {
    match server_error(error) {
        Some(server) if is_raised(server) => DatabaseError::Refused(describe(server)),
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

/// Returns true if a value of a row may have caused an error of a statement. Types, checks, triggers and functions of the
/// database may give any code, so that what cannot be caused by a row is what is named here.
pub(super) fn may_be_caused_by_a_row(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Refused(error) => match error.code.as_deref() {
            Some(code) => !is_about_the_server(code),
            None => false,
        },
        DatabaseError::Unqualified(_) => true,
        _ => false,
    }
}

/// Connections, logins, transactions, cursors, resources, an operator's intervention, broken files and settings.
fn is_about_the_server(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    matches!(
        class,
        "08" | "24"
            | "25"
            | "26"
            | "28"
            | "34"
            | "3B"
            | "3D"
            | "40"
            | "53"
            | "57"
            | "58"
            | "72"
            | "F0"
    ) || matches!(code, "55P03" | "55006" | "55P02" | "XX001" | "XX002")
}

/// Returns true if errors of this code break a rule for values: no other statement is needed to tell that a row did it.
pub(super) fn is_about_values(error: &DatabaseError) -> bool {
    let code = code(error).unwrap_or_default();
    matches!(error, DatabaseError::Refused(_))
        && (code.starts_with("22") || code.starts_with("23") || code == RAISED)
}

/// Returns why a row is refused, without what the database quotes: names of its own objects are shown, and values may
/// stand where names do.
pub(super) fn reason(error: &DatabaseError) -> String {
    let DatabaseError::Refused(refused) = error else {
        return error.to_string();
    };
    let code = refused.code.as_deref().unwrap_or_default();
    // These name constraints, indexes and types.
    let shows_names = ["22", "23", "53", "54", "P0"];
    if shows_names.iter().any(|class| code.starts_with(class)) {
        return error.to_string();
    }
    DatabaseError::Refused(DbError {
        message: without_quotes(&refused.message),
        ..refused.clone()
    })
    .to_string()
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
        code: Some(
            match is_raised(error) && is_about_the_server(error.code()) {
                // Only its words are the function's: nothing happened to the server.
                true => RAISED.to_owned(),
                false => error.code().to_owned(),
            },
        ),
        message: message(error),
        table: error.table().map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
        column: error.column().map(str::to_owned),
    }
}

/// Returns true if a function of the database raised the error in its own words, with a code of its choice; and if a
/// policy refused the row, which PostgreSQL counts as a missing privilege.
fn is_raised(error: &PgDatabaseError) -> bool {
    matches!(
        error.routine(),
        Some("exec_stmt_raise" | "PLy_elog_impl" | "ExecWithCheckOptions")
    )
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
    match error.routine() {
        Some("exec_stmt_raise" | "PLy_elog_impl") => REFUSED_BY_A_FUNCTION.to_owned(),
        // Its own message shows the bytes.
        Some("report_untranslatable_char") => {
            "the database's encoding does not have a character of the text".to_owned()
        }
        _ => without_values(error.code(), error.message()),
    }
}

fn without_values(code: &str, message: &str) -> String {
    match code.get(..2).unwrap_or_default() {
        // Functions and triggers of the database word these.
        "P0" | "38" | "39" => REFUSED_BY_A_FUNCTION.to_owned(),
        "22" if code == "22021" => "text is not valid in the database's encoding".to_owned(),
        "22" => without_quotes(message),
        _ => message.to_owned(),
    }
}

/// Returns a message without what stands between its first and its last quotation mark.
fn without_quotes(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) => format!(
            "{}…{}",
            message.get(..first).unwrap_or_default(),
            message.get(last + 1..).unwrap_or_default()
        ),
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
