//! Failures as clients see them: a code for programs, a message and a hint for people.
//!
//! The codes are those of [`ErrorCode`], in the host and in the standard engine alike.

pub use tombolo_errors::ErrorCode;

use crate::bindings::types::{Error, Failure};
use crate::database::DatabaseError;
use crate::egress::EgressError;
use crate::printable::printable;
use crate::rows::FrameError;
use crate::sandbox::{Cause, LoadError, SandboxError};
use crate::state::StateError;

/// A failure from its three parts.
pub fn failure(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.as_str().to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let (code, hint) = match &error {
            DatabaseError::NotFound { .. } => (
                ErrorCode::NoSuchTable,
                "`tombolo tables DB` lists the tables",
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
                "check the URL, and that the server runs and accepts this login",
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
                "`tombolo rejects DB` lists them; raise --reject-limit, or fix the cause and pull again",
            ),
            DatabaseError::NotStored { .. } => (
                ErrorCode::NotStored,
                "something in the target changes rows while they are written; look for triggers and rules",
            ),
            DatabaseError::TypeTaken { .. } => (
                ErrorCode::TypeTaken,
                "pull again to use the existing type, or rename it, or create the table yourself with the types that it needs",
            ),
            DatabaseError::LedgerTaken { .. } => (ErrorCode::Busy, "wait for the other process"),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<EgressError> for Failure {
    fn from(error: EgressError) -> Self {
        let (code, hint) = match &error {
            EgressError::Address { .. } => (
                ErrorCode::BadRequest,
                "use the address that `tombolo share` printed",
            ),
            EgressError::Denied(_) => (ErrorCode::Denied, "the operator has to grant this peer"),
            EgressError::Plain(_) => (
                ErrorCode::Denied,
                "use https, a tunnel, or --allow-plain-http if the network is trusted",
            ),
            EgressError::Unreachable { .. } => (
                ErrorCode::Unreachable,
                "check the address, and that `tombolo share` is still running at the other site",
            ),
            EgressError::Timeout(_) => (ErrorCode::Timeout, "check the network and try again"),
            EgressError::TooLarge(_) => (
                ErrorCode::Limit,
                "the other site does not speak this protocol",
            ),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        const AGAIN: &str = "what is committed is complete; pull again for the rest";
        match error {
            FrameError::Sender(sent) => failure(
                ErrorCode::Sender,
                format!(
                    "the other site ended the transfer: {}",
                    printable(&sent.message)
                ),
                AGAIN,
            ),
            FrameError::Truncated | FrameError::Connection(_) => {
                failure(ErrorCode::Truncated, error.to_string(), AGAIN)
            }
            FrameError::Magic => failure(
                ErrorCode::IncompatiblePeer,
                error.to_string(),
                "use the same version of tombolo on both sides",
            ),
            FrameError::TooLarge { .. } => failure(ErrorCode::Limit, error.to_string(), AGAIN),
            FrameError::Corrupt(_) | FrameError::Cell => {
                failure(ErrorCode::Corrupt, error.to_string(), AGAIN)
            }
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        failure(
            ErrorCode::Internal,
            error.to_string(),
            "check that the folder in TOMBOLO_DATA can be written",
        )
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let (code, hint) = match &error {
            SandboxError::Load(load) if load.is_wrong_digest() => (
                ErrorCode::PluginDigest,
                "check where the file comes from, and use the digest of the right one",
            ),
            SandboxError::Load(_) => (
                ErrorCode::Plugin,
                "use a component that was built for this role",
            ),
            SandboxError::Engine(_)
            | SandboxError::Call {
                cause: Cause::Host(_),
                ..
            } => (ErrorCode::Internal, ""),
            SandboxError::Call { .. } => (
                ErrorCode::Plugin,
                "report it to the plugin's author; without --plugin the standard component is used",
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
        failure(ErrorCode::Internal, error.to_string(), "")
    }
}

/// The answer of a capability or a rule, as it is.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::NotFound(message) => (ErrorCode::NotFound, message),
            Error::Denied(message) => (ErrorCode::Denied, message),
            Error::Invalid(message) => (ErrorCode::BadRequest, message),
            Error::Conflict(error) => (ErrorCode::Busy, error.message),
            Error::Database(error) => (ErrorCode::Database, error.message),
            Error::Limit(message) => (ErrorCode::Limit, message),
            Error::Unavailable(message) => (ErrorCode::Unavailable, message),
            Error::Timeout => (ErrorCode::Timeout, "no answer in time".to_owned()),
            Error::Other(message) => (ErrorCode::Internal, message),
        };
        failure(code, printable(&message), "")
    }
}
