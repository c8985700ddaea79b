//! Failures: a code for programs, a message and a hint for people.

use crate::component::tombolo::sync::types::{Error, Failure};

/// The codes that may come from a peer; any other is replaced. The list is the one of `docs/cli.md`, as far as the engine,
/// or the host for it, answers peers.
const CODES: [&str; 22] = [
    "no-such-code",
    "already-used",
    "expired",
    "owner-gone",
    "unauthorized",
    "denied",
    "no-such-table",
    "not-a-table",
    "columns-differ",
    "cycle",
    "missing-table",
    "incompatible-peer",
    "unreachable",
    "timeout",
    "bad-request",
    "not-found",
    "unavailable",
    "limit",
    "busy",
    "database",
    "plugin",
    "internal",
];

/// What to do where the two sites do not understand each other.
pub const VERSIONS: &str = "use the same version of tombolo on both sides";

/// The longest text that is taken from a peer, in characters.
const MAX_TEXT: usize = 500;

/// A failure from its three parts.
pub fn failure(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

/// What the host answered, when nobody knows better what it means.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(message) => failure("not-found", message, "check the name"),
            Error::Denied(message) => failure("denied", message, "the operator has to grant it"),
            Error::Invalid(message) => failure("bad-request", message, "change it and try again"),
            Error::Conflict(error) => failure(
                "busy",
                error.message,
                "try again when the database is less busy",
            ),
            Error::Database(error) => failure(
                "database",
                error.message,
                "the database refused; what was committed before is complete",
            ),
            Error::Limit(message) => failure("limit", message, "ask for less at once"),
            Error::Unavailable(message) => failure("unavailable", message, "try again later"),
            Error::Timeout => failure("timeout", "no answer in time", "try again"),
            // Beyond its own errors the host has nothing to tell but that another component failed.
            Error::Other(message) => failure(
                "plugin",
                message,
                "the plugin's author has to mend it; without --plugin the standard one is used",
            ),
        }
    }
}

/// A failure that a peer sent, made harmless.
pub fn from_peer(sent: Failure) -> Failure {
    let code = CODES.iter().find(|code| **code == sent.code);
    let code = code.copied().unwrap_or("internal");
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
        let sent = failure("rm -rf", "\u{1b}[2Jgone\n", "x".repeat(9_000));
        let taken = from_peer(sent);
        assert_eq!(taken.code, "internal");
        assert_eq!(taken.message, " [2Jgone ");
        assert_eq!(taken.hint.len(), MAX_TEXT);
    }
}
