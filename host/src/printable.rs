//! Text from elsewhere, made safe to print.
//!
//! A terminal takes some characters as orders, and shows others not at all or in another order than they are in.
//! [`is_harmful`] knows them; everything that is printed or logged comes through here.

use std::borrow::Cow;

/// The longest text, in characters.
const MAX_CHARACTERS: usize = 1_000;

/// Returns a text for a terminal or a log: it has one line, harmful characters become spaces, and it is cut after 1 000
/// characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_CHARACTERS)
        .map(|character| {
            if is_harmful(character) {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// Returns a text of our own for a terminal: as [`printable`], but with its lines and tabs, and whole.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let is_layout = |character: char| matches!(character, '\n' | '\t');
    let harmful = |character: char| is_harmful(character) && !is_layout(character);
    if text.contains(harmful) {
        text.replace(harmful, " ").into()
    } else {
        text.into()
    }
}

/// Whether a character is no part of what people read: a control character (C0, DEL, C1: what escape sequences such as
/// OSC 8 begin with), an end of a line or a paragraph, one that changes the direction of the text behind it, or one that
/// is not seen.
#[must_use]
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Ends of lines and paragraphs.
            '\u{2028}' | '\u{2029}'
            // Marks, embeddings, overrides and isolates of direction.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Without width: soft hyphen, joiners and spaces, invisible operators, byte order mark.
            | '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
            | '\u{feff}'
            // Letters that look like nothing: fillers and the blank pattern of Braille.
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            // Annotations, and controls of musical notation and of shorthand.
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{1bca0}'..='\u{1bca3}'
            // Tags, and variation selectors beyond the common ones: a hidden text fits into them.
            | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_characters_become_spaces() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a [2J  b");
        let link = "\u{1b}]8;;http://evil\u{7}here\u{1b}]8;;\u{7}\u{9d}8;;\u{9c}";
        assert_eq!(printable(link), " ]8;;http://evil here ]8;;  8;; ");
        for character in [
            '\0',
            '\r',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{2060}',
            '\u{2067}',
            '\u{3164}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(printable(&character.to_string()), " ", "{character:?}");
        }
    }

    #[test]
    fn what_people_read_stays() {
        let text = "Größe 数 ✓ 🏝\u{fe0f} e\u{301} «ש» ├─┤ …";
        assert_eq!(printable(text), text);
        assert_eq!(printable_lines(text), text);
    }

    #[test]
    fn a_text_from_elsewhere_is_cut_and_one_of_our_own_is_not() {
        let long = "ü".repeat(2_000);
        assert_eq!(printable(&long).chars().count(), MAX_CHARACTERS);
        assert_eq!(printable_lines(&long), long);
    }

    #[test]
    fn lines_and_tabs_of_our_own_stay() {
        assert_eq!(
            printable_lines("a\tb\nc\u{1b}[2J\r\u{202e}"),
            "a\tb\nc [2J  "
        );
    }
}
