//! Words of command lines that people paste into a shell.

use tombolo::printable::printable;

/// Returns a word as it is typed in a shell: in single quotes if it has signs that a shell would not take as they are.
pub fn quoted(word: &str) -> String {
    let word = printable(word);
    let is_plain = |sign: char| sign.is_alphanumeric() || "_-./:@%+,=".contains(sign);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signs_of_the_shell_are_quoted() {
        for word in ["copy.db", "postgres://ana@localhost:5432/shop", "größe"] {
            assert_eq!(quoted(word), word);
        }
        assert_eq!(quoted("my copy.db"), "'my copy.db'");
        assert_eq!(quoted("a'b$(c)"), "'a'\\''b$(c)'");
        assert_eq!(quoted(""), "''");
        assert_eq!(
            quoted("postgres://h/d?options=x"),
            "'postgres://h/d?options=x'"
        );
    }
}
