//! JSON from elsewhere: how much of it is parsed, and why it cannot be read.

use serde_json::error::Category;

use crate::bindings::types::Failure;
use crate::error::{ErrorCode, SAME_VERSION, failure};

/// The most values of one document. Parsed, a value takes a multiple of its shortest text; a page of 4 MiB has fewer.
const MAX_VALUES: usize = 400_000;

/// Checks a document before it is parsed. Fails with `limit` if it has too many values.
pub fn check(json: &[u8]) -> Result<(), Failure> {
    if values(json) <= MAX_VALUES {
        return Ok(());
    }
    Err(failure(
        ErrorCode::Limit,
        format!("an answer of the other site has more than {MAX_VALUES} values"),
        SAME_VERSION,
    ))
}

/// Returns at least the number of values of a document.
fn values(json: &[u8]) -> usize {
    let mut values = 0;
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{' | b',') => values += 1,
            _ => {}
        }
    }
    values
}

/// Returns why JSON cannot be read, without any of its values: they can be secret, and they can be hostile.
pub fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "a field is missing or has another type",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::wire::Claimed;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, expected) in [
            (r#"[1,2,[3],{"a":4}]"#, 6),
            (r#"["a,b[{",""]"#, 2),
            (r#"["a\"[,[","\\",[]]"#, 4),
        ] {
            assert_eq!(values(json.as_bytes()), expected, "{json}");
        }
        let many = format!("[{}0]", "[],".repeat(MAX_VALUES));
        assert_eq!(check(many.as_bytes()).unwrap_err().code, "limit");
        check(b"[]").unwrap();
    }

    #[test]
    fn the_reason_does_not_repeat_values() {
        for json in [
            r#"{"token":{"secret":1}}"#,
            r#"{"token":"secret","scope":"secret"}"#,
            "secret",
            "[",
        ] {
            let error = serde_json::from_str::<Claimed>(json).unwrap_err();
            assert!(!reason(&error).contains("secret"), "{}", reason(&error));
        }
    }
}
