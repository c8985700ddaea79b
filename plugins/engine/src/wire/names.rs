//! The names that peers send, and how a name is written in a path.

use super::MAX_NAME;

/// Returns whether a text can be the name of a table or column: 1 to 1 024 bytes without NUL.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0')
}

/// Returns whether a text can be the id of a run: 1 to 64 letters, digits and hyphens.
pub fn is_run(run: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&run.len()) && run.bytes().all(allowed)
}

/// Returns whether a text can be the name of a source: 8 to 64 hexadecimal digits.
pub fn is_source(source: &str) -> bool {
    (8..=64).contains(&source.len()) && source.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a text can be a bearer token: 1 to 4 096 printable ASCII characters.
pub fn is_token(token: &str) -> bool {
    (1..=4_096).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns a name as one segment of a path or one value of a query, percent-encoded.
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_percent_encoded_in_paths() {
        assert_eq!(segment("order items/ü"), "order%20items%2F%C3%BC");
    }

    #[test]
    fn run_ids_are_short_and_plain() {
        for run in ["a", "0f-9A", &"r".repeat(64)] {
            assert!(is_run(run), "{run:?}");
        }
        for run in ["", "a/b", "a b", "ü", &"r".repeat(65)] {
            assert!(!is_run(run), "{run:?}");
        }
    }
}
