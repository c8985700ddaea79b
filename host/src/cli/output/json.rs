//! Events as lines of JSON that are safe to print.

use std::io;

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use tombolo::printable::is_harmful;

/// Returns a value as one line. What would harm a terminal is escaped, so that a program reads it unchanged.
pub fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut line, Escaping))?;
    String::from_utf8(line).map_err(serde_json::Error::custom)
}

/// The compact form of JSON, with more characters escaped than JSON demands.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_harmful) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            for unit in characters.next().into_iter().flat_map(units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A character as JSON escapes it: in one or two units of UTF-16.
fn units(character: char) -> Vec<u16> {
    character.encode_utf16(&mut [0; 2]).to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn programs_read_what_terminals_do_not_see() {
        let text = "a\"\u{1b}]8;;x\u{7}\u{9d}\u{7f}\u{202e}ü\u{200b}数🏝\u{e0041}\n";
        let printed = line(&[text]).unwrap();
        assert_eq!(
            printed,
            r#"["a\"\u001b]8;;x\u0007\u009d\u007f\u202eü\u200b数🏝\udb40\udc41\n"]"#
        );
        assert_eq!(
            serde_json::from_str::<[String; 1]>(&printed).unwrap(),
            [text]
        );
        assert!(!printed.contains(is_harmful));
    }
}
