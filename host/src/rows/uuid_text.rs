//! The text form of UUIDs.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// Prints a UUID as PostgreSQL does: lower-case digits in five groups.
#[must_use]
pub fn format_uuid(bytes: [u8; 16]) -> String {
    Uuid::from_bytes(bytes).to_string()
}

/// Parses what [`format_uuid`] prints; returns none for any other spelling, which would not come back as it was.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut printed = [0; Hyphenated::LENGTH];
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.hyphenated().encode_lower(&mut printed) == text).then(|| uuid.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_printed_spelling_is_parsed() {
        let text = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        assert_eq!(parse_uuid(text).map(format_uuid).as_deref(), Some(text));
        for other in [
            "",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0ee-bc999c0b-4ef8-bb6d-6bb9bd380a11",
            "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert_eq!(parse_uuid(other), None, "{other}");
        }
    }
}
