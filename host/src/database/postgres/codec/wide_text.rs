//! Writes every value of a SQLite column, with its storage class, into a `text` column, as `docs/row-format.md` specifies
//! it.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::bindings::types::LogicalType;
use crate::database::logical_of;
use crate::rows::CellRef;

/// No printed number is longer.
const MAX_LITERAL: usize = 32;

/// Which values are written as they are; all others are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Form {
    /// Texts, in columns declared for them.
    Texts,
    /// Numbers, and texts that do not look like one.
    Numbers,
    /// The same, and truth values.
    Booleans,
}

/// Buffers for values that are not in the text as they are.
#[derive(Debug, Default)]
pub(in crate::database::postgres) struct Scratch {
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Form {
    /// Returns the form of a column of this origin.
    pub fn of(origin: &str) -> Self {
        match logical_of(origin) {
            LogicalType::Text => Self::Texts,
            LogicalType::Boolean => Self::Booleans,
            _ => Self::Numbers,
        }
    }

    /// Prints a cell; none for NULL. The error says what has no form, without the value.
    pub fn print(self, cell: CellRef<'_>) -> Result<Option<Cow<'_, str>>, String> {
        let literal = match cell {
            CellRef::Null => return Ok(None),
            CellRef::Boolean(value) => value.to_string(),
            CellRef::Integer(value) => value.to_string(),
            CellRef::Real(value) if value.is_nan() => {
                return Err("SQLite has no number that is none".to_owned());
            }
            CellRef::Real(value) => print_real(value),
            CellRef::Bytes(bytes) => return Ok(Some(format!("\\x{}", hex::encode(bytes)).into())),
            CellRef::Text(text) => return Ok(Some(self.print_text(text))),
        };
        Ok(Some(match self.is_plain(cell) {
            true => literal.into(),
            false => format!("\\n{literal}").into(),
        }))
    }

    fn print_text(self, text: &str) -> Cow<'_, str> {
        let looks_otherwise = || literal(text).is_some_and(|cell| self.is_plain(cell));
        if !text.starts_with('\\') && !text.contains('\0') && !looks_otherwise() {
            return text.into();
        }
        format!("\\t{}", text.replace('\\', "\\\\").replace('\0', "\\0")).into()
    }

    /// Reads a printed cell. Any other text is read as it is.
    pub fn read<'a>(self, text: &'a str, scratch: &'a mut Scratch) -> CellRef<'a> {
        let Some(marked) = text.strip_prefix('\\') else {
            let plain = literal(text).filter(|cell| self.is_plain(*cell));
            return plain.unwrap_or(CellRef::Text(text));
        };
        let Scratch { text: own, bytes } = scratch;
        let read = match marked.split_at_checked(1) {
            Some(("n", digits)) => literal(digits),
            Some(("x", digits)) => decode_hex(digits, bytes).map(|()| CellRef::Bytes(bytes)),
            Some(("t", escaped)) => unescape(escaped, own).map(|()| CellRef::Text(own)),
            _ => None,
        };
        read.unwrap_or(CellRef::Text(text))
    }

    /// Returns true if a value that is no text is printed without a mark.
    fn is_plain(self, cell: CellRef<'_>) -> bool {
        match (self, cell) {
            (Self::Texts, _) => false,
            (Self::Numbers, CellRef::Boolean(_)) => false,
            (Self::Numbers | Self::Booleans, _) => true,
        }
    }
}

/// Prints the shortest digits that read back the same; a point or an exponent tells them from an integer.
pub(super) fn print_real(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        value => format!("{value:?}"),
    }
}

/// Reads a number or truth value, if it would be printed so.
fn literal(text: &str) -> Option<CellRef<'static>> {
    match text {
        "true" => return Some(CellRef::Boolean(true)),
        "false" => return Some(CellRef::Boolean(false)),
        "Infinity" => return Some(CellRef::Real(f64::INFINITY)),
        "-Infinity" => return Some(CellRef::Real(f64::NEG_INFINITY)),
        _ => {}
    }
    let begins = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    if text.len() > MAX_LITERAL || !text.as_bytes().first().is_some_and(begins) {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return (integer.to_string() == text).then_some(CellRef::Integer(integer));
    }
    let real: f64 = text.parse().ok()?;
    (real.is_finite() && print_real(real) == text).then_some(CellRef::Real(real))
}

fn decode_hex(digits: &str, bytes: &mut Vec<u8>) -> Option<()> {
    bytes.clear();
    bytes.resize(digits.len() / 2, 0);
    hex::decode_to_slice(digits, bytes).ok()
}

fn unescape(escaped: &str, text: &mut String) -> Option<()> {
    text.clear();
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                '0' => '\0',
                _ => return None,
            },
            other => other,
        };
        text.write_char(character).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::Cell;
    use proptest::prelude::*;

    const FORMS: [Form; 3] = [Form::Texts, Form::Numbers, Form::Booleans];

    fn printed(form: Form, cell: CellRef<'_>) -> String {
        form.print(cell).unwrap().unwrap().into_owned()
    }

    #[test]
    fn values_of_the_declared_type_have_no_mark() {
        let of = |declared: &str| Form::of(&format!("sqlite:{declared}"));
        let cases = [
            ("INTEGER", CellRef::Integer(-7), "-7"),
            ("INTEGER", CellRef::Text("n/a"), "n/a"),
            ("INTEGER", CellRef::Text("7"), "\\t7"),
            ("INTEGER", CellRef::Text("007"), "007"),
            ("INTEGER", CellRef::Text("true"), "true"),
            ("", CellRef::Real(1.0), "1.0"),
            ("", CellRef::Real(f64::INFINITY), "Infinity"),
            ("", CellRef::Text("Infinity"), "\\tInfinity"),
            ("REAL", CellRef::Real(5e-324), "5e-324"),
            ("REAL", CellRef::Real(-0.0), "-0.0"),
            ("BLOB", CellRef::Bytes(&[0, 255]), "\\x00ff"),
            ("TEXT", CellRef::Text("7"), "7"),
            ("TEXT", CellRef::Integer(7), "\\n7"),
            ("TEXT", CellRef::Text("a\0b"), "\\ta\\0b"),
            ("TEXT", CellRef::Text("\\x00"), "\\t\\\\x00"),
            ("TEXT", CellRef::Text("a\\b"), "a\\b"),
            ("DATETIME", CellRef::Integer(7), "\\n7"),
            ("BOOLEAN", CellRef::Boolean(true), "true"),
            ("BOOLEAN", CellRef::Text("true"), "\\ttrue"),
            ("BOOLEAN", CellRef::Integer(2), "2"),
        ];
        for (declared, cell, expected) in cases {
            assert_eq!(printed(of(declared), cell), expected, "{declared} {cell:?}");
        }
        assert_eq!(Form::Texts.print(CellRef::Null), Ok(None));
        assert!(Form::Numbers.print(CellRef::Real(f64::NAN)).is_err());
    }

    #[test]
    fn a_text_that_was_not_printed_is_read_as_it_is() {
        for text in [
            "\\", "\\q", "\\xf", "\\xfg", "\\t\\", "\\t\\q", "\\n", "\\n07", "\\nx", "+7",
        ] {
            for form in FORMS {
                assert_eq!(
                    form.read(text, &mut Scratch::default()),
                    CellRef::Text(text)
                );
            }
        }
    }

    fn cells() -> impl Strategy<Value = Cell> {
        let reals = any::<f64>().prop_filter("a number", |real| !real.is_nan());
        prop_oneof![
            any::<bool>().prop_map(Cell::Boolean),
            any::<i64>().prop_map(Cell::Integer),
            reals.prop_map(Cell::Real),
            any::<String>().prop_map(Cell::Text),
            "\\\\?[ntx]?(-?[0-9.e]{0,6}|true|false|-?Infinity|\0|\\\\)".prop_map(Cell::Text),
            any::<i64>().prop_map(|number| Cell::Text(number.to_string())),
            any::<f64>().prop_map(|number| Cell::Text(format!("{number:?}"))),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Cell::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn every_value_is_read_as_it_was(cell in cells()) {
            for form in FORMS {
                let text = printed(form, (&cell).into());
                prop_assert!(!text.contains('\0'));
                let mut scratch = Scratch::default();
                let back = form.read(&text, &mut scratch).to_cell();
                match (&back, &cell) {
                    (Cell::Real(back), Cell::Real(cell)) => prop_assert_eq!(back.to_bits(), cell.to_bits()),
                    _ => prop_assert_eq!(&back, &cell, "{}", text),
                }
            }
        }
    }
}
