//! JSON documents as `jsonb` prints them.

use std::collections::BTreeMap;

use super::numbers;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// The most zeros that the exponent of a number may add: more than a double has.
const MAX_EXPONENT: i64 = 400;

/// Why a text has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoForm {
    /// A key comes twice in one object: which of its values counts is not said.
    Twice,
    /// It is no document, or one that is not read here.
    Unread,
}

/// Returns a document as `jsonb` prints it.
pub(super) fn canonical(text: &str) -> Result<String, NoForm> {
    let mut reader = Reader {
        rest: text,
        out: String::with_capacity(text.len() + text.len() / 8),
        twice: false,
    };
    let read = reader.value(0);
    reader.skip_blanks();
    match (read, reader.rest.is_empty()) {
        (Some(()), true) if reader.twice => Err(NoForm::Twice),
        (Some(()), true) => Ok(reader.out),
        _ => Err(NoForm::Unread),
    }
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    /// Whether a key came twice.
    twice: bool,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a sign if it comes next.
    fn take(&mut self, sign: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        match self.rest.as_bytes().first()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                let text = self.string()?;
                print_string(&text, &mut self.out);
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["true", "false", "null"].into_iter().find_map(|word| {
                self.rest = self.rest.strip_prefix(word)?;
                self.out.push_str(word);
                Some(())
            }),
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.take('[');
        self.out.push('[');
        let mut first = true;
        while !self.take(']') {
            if !first {
                if !self.take(',') {
                    return None;
                }
                self.out.push_str(", ");
            }
            first = false;
            self.value(depth + 1)?;
        }
        self.out.push(']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.take('{');
        // Shorter keys come first.
        let mut members: BTreeMap<(usize, String), String> = BTreeMap::new();
        let mut first = true;
        while !self.take('}') {
            if !first && !self.take(',') {
                return None;
            }
            first = false;
            self.skip_blanks();
            let key = self.string()?;
            if !self.take(':') {
                return None;
            }
            let before = std::mem::take(&mut self.out);
            self.value(depth + 1)?;
            let value = std::mem::replace(&mut self.out, before);
            self.twice |= members.insert((key.len(), key), value).is_some();
        }
        self.out.push('{');
        let mut separator = "";
        for ((_, key), value) in members {
            self.out.push_str(separator);
            print_string(&key, &mut self.out);
            self.out.push_str(": ");
            self.out.push_str(&value);
            separator = ", ";
        }
        self.out.push('}');
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let is_part = |sign: char| matches!(sign, '-' | '+' | '.' | 'e' | 'E' | '0'..='9');
        let end = self.rest.find(|sign| !is_part(sign));
        let (number, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        self.rest = rest;
        let unsigned = number.strip_prefix('-').unwrap_or(number);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (unsigned, 0i64),
        };
        let whole = mantissa.split('.').next()?;
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let bare_point = whole.is_empty() || mantissa.ends_with('.');
        if leading_zero || bare_point || exponent.abs() > MAX_EXPONENT {
            return None;
        }
        self.out.push_str(&numbers::decimal(number)?);
        Some(())
    }

    /// Reads a string with its quotes.
    fn string(&mut self) -> Option<String> {
        let mut rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let end = rest.find(|sign: char| sign == '"' || sign == '\\' || sign < ' ')?;
            let (plain, after) = rest.split_at_checked(end)?;
            text.push_str(plain);
            if let Some(after) = after.strip_prefix('"') {
                self.rest = after;
                return Some(text);
            }
            let escaped = after.strip_prefix('\\')?;
            let sign = escaped.chars().next()?;
            rest = escaped.get(sign.len_utf8()..)?;
            text.push(match sign {
                '"' | '\\' | '/' => sign,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let (code, after) = code_point(rest)?;
                    rest = after;
                    code
                }
                _ => return None,
            });
        }
    }
}

/// Reads the digits behind `\u`, and a second escape where the first is half a character. PostgreSQL holds no U+0000.
fn code_point(text: &str) -> Option<(char, &str)> {
    let unit = |text: &str| {
        let digits = text.get(..4)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
    };
    let first = unit(text)?;
    let rest = text.get(4..)?;
    let (code, rest) = match first {
        0xD800..=0xDBFF => {
            let low = rest.strip_prefix("\\u")?;
            let second = unit(low)?;
            if !(0xDC00..=0xDFFF).contains(&second) {
                return None;
            }
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (code, low.get(4..)?)
        }
        code => (code, rest),
    };
    char::from_u32(code)
        .filter(|sign| *sign != '\0')
        .map(|sign| (sign, rest))
}

fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            sign if sign < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(sign))),
            sign => out.push(sign),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_are_printed_as_jsonb_prints_them() {
        for (text, expected) in [
            (r#"{"b":1,"a":2}"#, r#"{"a": 2, "b": 1}"#),
            (
                r#"{"bb":[ 1 ,2,{ } ],"c":[]}"#,
                r#"{"c": [], "bb": [1, 2, {}]}"#,
            ),
            (
                r#" "\u0061\/\u00e9\ud83d\ude00\u001f\n" "#,
                "\"a/é😀\\u001f\\n\"",
            ),
            ("1.50e2", "150"),
            ("-0", "0"),
            ("1.0", "1.0"),
            ("[true,false,null]", "[true, false, null]"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_document_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{a:1}",
            "{'a':1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e999999",
            "NaN",
            "nulll",
            "1 2",
            "\"\\u0000\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0061\"",
            "\"\\x\"",
            "\"a\nb\"",
            deep.as_str(),
        ] {
            let shown: String = text.chars().take(30).collect();
            assert_eq!(canonical(text), Err(NoForm::Unread), "{shown}");
        }
        for text in [r#"{"a":1,"a":2}"#, r#"[{"a":1,"\u0061":1}]"#] {
            assert_eq!(canonical(text), Err(NoForm::Twice), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String, like in "[\\[\\]{}\",:0-9eE.u\\\\d-]{0,40}") {
            for text in [text, like] {
                if let Ok(once) = canonical(&text) {
                    prop_assert_eq!(canonical(&once), Ok(once.clone()));
                }
            }
        }
    }
}
