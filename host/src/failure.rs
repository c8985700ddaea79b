//! The form of errors that all clients see: a code for programs, a message and a hint for people.

pub use tombolo_errors::{ErrorCode, nearest};

use crate::bindings::types::{Error, Failure};
use crate::printable::printable;

/// Returns a failure with a code, a message that says what happened to what, and a hint what to do.
pub fn failure(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.as_str().to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        failure(ErrorCode::Internal, error.to_string(), "")
    }
}

/// The answer of a capability or a rule, where nobody has anything to add.
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
