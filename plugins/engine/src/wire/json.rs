//! Reasons why JSON from elsewhere cannot be read.

use serde_json::error::Category;

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
