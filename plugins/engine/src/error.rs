//! Failures: a code for programs, a message and a hint for people.

pub use tombolo_errors::ErrorCode;

use crate::bindings::types::{Error, Failure};

/// The codes that may come from a peer; any other is replaced. Those that the engine, or the
/// host for it, answers peers with.
const CODES: [ErrorCode; 22] = [
    ErrorCode::NoSuchCode,
    ErrorCode::AlreadyUsed,
    ErrorCode::Expired,
    ErrorCode::OwnerGone,
    ErrorCode::Unauthorized,
    ErrorCode::Denied,
    ErrorCode::NoSuchTable,
    ErrorCode::NotATable,
    ErrorCode::ColumnsDiffer,
    ErrorCode::Cycle,
    ErrorCode::MissingTable,
    ErrorCode::IncompatiblePeer,
    ErrorCode::Unreachable,
    ErrorCode::Timeout,
    ErrorCode::BadRequest,
    ErrorCode::NotFound,
    ErrorCode::Unavailable,
    ErrorCode::Limit,
    ErrorCode::Busy,
    ErrorCode::Database,
    ErrorCode::Plugin,
    ErrorCode::Internal,
];

/// What to do where the two sites do not understand each other.
pub const VERSIONS: &str = "use the same version of tombolo on both sides";

/// The longest text that is taken from a peer, in characters.
const MAX_TEXT: usize = 500;

/// A failure from its three parts.
pub fn failure(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.as_str().to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

/// What the host answered, when nobody knows better what it means.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(message) => failure(ErrorCode::NotFound, message, "check the name"),
            Error::Denied(message) => {
                failure(ErrorCode::Denied, message, "the operator has to grant it")
            }
            Error::Invalid(message) => {
                failure(ErrorCode::BadRequest, message, "change it and try again")
            }
            Error::Conflict(error) => failure(
                ErrorCode::Busy,
                error.message,
                "try again when the database is less busy",
            ),
            Error::Database(error) => failure(
                ErrorCode::Database,
                error.message,
                "the database refused; what was committed before is complete",
            ),
            Error::Limit(message) => failure(ErrorCode::Limit, message, "ask for less at once"),
            Error::Unavailable(message) => {
                failure(ErrorCode::Unavailable, message, "try again later")
            }
            Error::Timeout => failure(ErrorCode::Timeout, "no answer in time", "try again"),
            // Beyond its own errors the host has nothing to tell but that another component failed.
            Error::Other(message) => failure(
                ErrorCode::Plugin,
                message,
                "the plugin's author has to mend it; without --plugin the standard one is used",
            ),
        }
    }
}

/// A failure that a peer sent, made harmless.
pub fn from_peer(sent: Failure) -> Failure {
    let known = CODES.iter().find(|code| sent.code == **code);
    let code = known.copied().unwrap_or(ErrorCode::Internal);
    failure(code, printable(&sent.message), printable(&sent.hint))
}

/// Text from elsewhere without control characters and of a bounded length.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(MAX_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_words_are_made_harmless() {
        let sent = Failure {
            code: "rm -rf".to_owned(),
            message: "\u{1b}[2Jgone\n".to_owned(),
            hint: "x".repeat(9_000),
        };
        let taken = from_peer(sent);
        assert_eq!(taken.code, "internal");
        assert_eq!(taken.message, " [2Jgone ");
        assert_eq!(taken.hint.len(), MAX_TEXT);
    }
}
