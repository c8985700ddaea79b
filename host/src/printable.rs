//! Text from elsewhere, made safe to print.

/// The longest text, in characters.
const MAX_CHARACTERS: usize = 1_000;

/// Returns a text for a terminal or a log: control characters and direction marks become spaces, and the text is cut
/// after 1 000 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() || is_direction_mark(character) {
                ' '
            } else {
                character
            }
        })
        .take(MAX_CHARACTERS)
        .collect()
}

/// The characters that change the writing direction of the text behind them.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_become_spaces() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a [2J  b");
        assert_eq!(
            printable(&"ü".repeat(2_000)).chars().count(),
            MAX_CHARACTERS
        );
    }
}
