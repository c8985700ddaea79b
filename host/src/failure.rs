//! The form of errors that all clients see: a code for programs, a message and a hint for people.

pub use tombolo_errors::ErrorCode;

use crate::bindings::types::{Error, Failure};

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

/// Makes text from elsewhere harmless for a terminal and a log: control characters and characters that change the writing
/// direction become spaces, and at most 1 000 characters are kept.
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

/// Returns true for characters that change the writing direction of the text behind them.
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
