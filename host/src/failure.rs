//! How the host's errors look on every face: a code for programs, a message and a hint for people.
//!
//! The codes are a closed list, kept in `docs/cli.md`; the engine component uses the same.

use crate::bindings::types::{Error, Failure};
use crate::database::DatabaseError;
use crate::egress::EgressError;
use crate::rows::FrameError;
use crate::sandbox::{Cause, LoadError, SandboxError};
use crate::state::StateError;

/// A failure from its three parts.
pub fn failure(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let (code, hint) = match &error {
            DatabaseError::NotFound { .. } => {
                ("no-such-table", "`tombolo tables DB` lists what is there")
            }
            DatabaseError::View { .. } => {
                ("not-a-table", "name the tables behind the view instead")
            }
            DatabaseError::Open { .. } => (
                "unreachable",
                "check the name and the permissions of the file",
            ),
            DatabaseError::NotADatabase { .. } => (
                "not-a-database",
                "name a SQLite file or a postgres:// address",
            ),
            DatabaseError::Unreachable { .. } => (
                "unreachable",
                "check the address, and that the server runs and lets this login in",
            ),
            DatabaseError::Refused(_) => (
                "database",
                "the database refused the statement; what was committed before is complete",
            ),
            DatabaseError::NoLedger(_) => (
                "no-ledger",
                "pull as a login that may create them, or let the database's owner run once: CREATE SCHEMA tombolo AUTHORIZATION login",
            ),
            DatabaseError::Busy(_) => ("busy", "try again when the database is less busy"),
            DatabaseError::Misfit(_) => (
                "misfit",
                "change the column's type in the target, or the value at the source",
            ),
            DatabaseError::Unsuitable { .. } => {
                ("unsuitable-table", "leave this table out, or change it")
            }
            DatabaseError::NotStraight { .. } => ("internal", "pull again"),
            DatabaseError::TooManyRejects { .. } => (
                "too-many-rejects",
                "`tombolo rejects DB` lists them; raise --max-rejects, or mend the cause and pull again",
            ),
            DatabaseError::NotStored { .. } => (
                "not-stored",
                "something in the target changes rows while they are written; look for triggers and rules",
            ),
            DatabaseError::TypeTaken { .. } => (
                "type-taken",
                "pull again to use the type that is here, or rename it, or create the table yourself with the types it should have",
            ),
            DatabaseError::LedgerTaken { .. } => ("busy", "wait for the other process"),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<EgressError> for Failure {
    fn from(error: EgressError) -> Self {
        let (code, hint) = match &error {
            EgressError::Address { .. } => (
                "bad-request",
                "use the address that `tombolo share` printed",
            ),
            EgressError::Denied(_) => ("denied", "the operator has to grant this peer"),
            EgressError::Plain(_) => (
                "denied",
                "use https, a tunnel, or --allow-plain-http if the network is trusted",
            ),
            EgressError::Unreachable { .. } => (
                "unreachable",
                "check that `tombolo share` is still running there and the address is right",
            ),
            EgressError::Timeout(_) => ("timeout", "check the network and try again"),
            EgressError::TooLarge(_) => ("limit", "the other site does not speak this protocol"),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        const AGAIN: &str = "what is committed is complete; pull again for the rest";
        match error {
            FrameError::Sender(sent) => failure(
                "sender",
                format!(
                    "the other site ended the transfer: {}",
                    printable(&sent.message)
                ),
                AGAIN,
            ),
            FrameError::Truncated | FrameError::Connection(_) => {
                failure("truncated", error.to_string(), AGAIN)
            }
            FrameError::Magic => failure(
                "incompatible-peer",
                error.to_string(),
                "use the same version of tombolo on both sides",
            ),
            FrameError::TooLarge { .. } => failure("limit", error.to_string(), AGAIN),
            FrameError::Corrupt(_) | FrameError::Cell => {
                failure("corrupt", error.to_string(), AGAIN)
            }
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        failure(
            "internal",
            error.to_string(),
            "check that the folder in TOMBOLO_DATA can be written",
        )
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let (code, hint) = match &error {
            SandboxError::Load(load) if load.is_wrong_digest() => (
                "plugin-digest",
                "check where the file comes from, then pin the digest it should have",
            ),
            SandboxError::Load(_) => ("plugin", "use a component that was built for this role"),
            SandboxError::Engine(_)
            | SandboxError::Call {
                cause: Cause::Host(_),
                ..
            } => ("internal", ""),
            SandboxError::Call { .. } => (
                "plugin",
                "the plugin's author has to mend it; without --plugin the standard one is used",
            ),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        SandboxError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        failure("internal", error.to_string(), "")
    }
}

/// What a capability or a rule answered, when nobody has anything to add.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::NotFound(message) => ("not-found", message),
            Error::Denied(message) => ("denied", message),
            Error::Invalid(message) => ("bad-request", message),
            Error::Conflict(error) => ("busy", error.message),
            Error::Database(error) => ("database", error.message),
            Error::Limit(message) => ("limit", message),
            Error::Unavailable(message) => ("unavailable", message),
            Error::Timeout => ("timeout", "no answer in time".to_owned()),
            Error::Other(message) => ("internal", message),
        };
        failure(code, printable(&message), "")
    }
}

/// Text from elsewhere, made harmless for a terminal and a log: no control characters, a bounded length.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() || is_directional(character) {
                ' '
            } else {
                character
            }
        })
        .take(1_000)
        .collect()
}

/// Characters that turn the direction of what is printed behind them.
fn is_directional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a [2J  b");
        assert_eq!(printable(&"ü".repeat(2_000)).chars().count(), 1_000);
    }
}
