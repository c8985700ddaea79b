//! Failures: a code for programs, a message and a hint for people.

pub use tombolo_errors::{ErrorCode, nearest};

use crate::bindings::types::{Error, Failure};

/// The hint where the two sites do not understand each other.
pub const SAME_VERSION: &str = "use the same version of tombolo on both sides";

/// The longest text that is taken over from a peer or a component, in characters.
const MAX_TEXT: usize = 500;

/// Returns a failure with these three parts.
pub fn failure(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code: code.as_str().to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

/// What an error of the host means where the caller has nothing to add.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, message, hint) = match error {
            Error::NotFound(message) => (ErrorCode::NotFound, message, "check the name"),
            Error::Denied(message) => (
                ErrorCode::Denied,
                message,
                "ask the operator of this site to grant it",
            ),
            Error::Invalid(message) => (
                ErrorCode::BadRequest,
                message,
                "correct the request and try again",
            ),
            Error::Conflict(error) => (
                ErrorCode::Busy,
                error.message,
                "try again when the database is less busy",
            ),
            Error::Database(error) => (
                ErrorCode::Database,
                error.message,
                "fix the cause and try again; what was committed before is complete",
            ),
            Error::Limit(message) => (ErrorCode::Limit, message, "request less at once"),
            Error::Unavailable(message) => (ErrorCode::Unavailable, message, "try again later"),
            Error::Timeout => (
                ErrorCode::Timeout,
                "no answer arrived in time".to_owned(),
                "try again",
            ),
            // The host uses this case for a component that failed.
            Error::Other(message) => (
                ErrorCode::Plugin,
                message,
                "report it to the plugin's author, or leave out --plugin to use the standard component",
            ),
        };
        failure(code, message, hint)
    }
}

/// Returns a failure that a peer sent, with a code that peers may send and with printable texts.
pub fn from_peer(sent: Failure) -> Failure {
    let code = sent.code.parse().ok();
    let code = code.filter(|code: &ErrorCode| code.is_from_peer());
    failure(
        code.unwrap_or(ErrorCode::Internal),
        printable(&sent.message),
        printable(&sent.hint),
    )
}

/// Returns at most the first 500 characters of a text from elsewhere, with a space for each character that can change
/// how a terminal shows the rest.
pub fn printable(text: &str) -> String {
    let harmless = |character: char| {
        if character.is_control() || is_direction_mark(character) {
            ' '
        } else {
            character
        }
    };
    text.chars().map(harmless).take(MAX_TEXT).collect()
}

/// The characters that change the writing direction of the text behind them.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_peer_are_made_printable_and_cut() {
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

    #[test]
    fn a_code_that_no_peer_sends_is_replaced() {
        for code in ErrorCode::ALL {
            let taken = from_peer(failure(*code, "", ""));
            let expected = if code.is_from_peer() {
                *code
            } else {
                ErrorCode::Internal
            };
            assert_eq!(taken.code, expected.as_str());
        }
        assert!(ErrorCode::Expired.is_from_peer() && !ErrorCode::NotStored.is_from_peer());
    }

    #[test]
    fn control_characters_and_direction_marks_become_spaces() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a [2J  b");
        for mark in "\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{7f}\u{9b}".chars() {
            assert_eq!(printable(&mark.to_string()), " ", "{mark:?}");
        }
        assert_eq!(printable("Größe 数 \u{200d}"), "Größe 数 \u{200d}");
        assert_eq!(printable(&"ü".repeat(2_000)).chars().count(), MAX_TEXT);
    }
}
