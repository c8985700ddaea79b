//! Finds the nearest value that a column can hold, as `docs/row-format.md` specifies it.

use super::numeric::Decimal;
use super::types::{PhysicalType, TextLimit};
use super::wide_text::print_real;
use crate::bindings::types::{Cell, LogicalType};
use crate::rows::CellRef;

/// Returns a value near to one that does not fit, and the logical type to read it by; it may not fit either. None if
/// nothing is nearer than NULL.
pub(in crate::database::postgres) fn nearest(
    cell: CellRef<'_>,
    incoming: &LogicalType,
    physical: PhysicalType,
) -> Option<(LogicalType, Cell)> {
    let counted = matches!(
        incoming,
        LogicalType::Date
            | LogicalType::Time
            | LogicalType::Timestamp
            | LogicalType::Timestamptz
            | LogicalType::Uuid
    );
    // The integers and bytes of these types mean something else.
    if counted && !matches!(cell, CellRef::Text(_)) {
        return None;
    }
    match physical {
        PhysicalType::Text(limit) => {
            Some((LogicalType::Text, Cell::Text(cut(&text(cell)?, limit))))
        }
        PhysicalType::Bytea => Some((LogicalType::Bytes, Cell::Bytes(bytes(cell)?))),
        PhysicalType::Int2 | PhysicalType::Int4 | PhysicalType::Int8 => {
            Some((LogicalType::Integer, Cell::Integer(integer(cell)?)))
        }
        PhysicalType::Float8 => Some((LogicalType::Float, Cell::Real(real(cell)?))),
        #[allow(clippy::cast_possible_truncation, reason = "the nearest is asked for")]
        PhysicalType::Float4 => Some((LogicalType::Float, Cell::Real((real(cell)? as f32).into()))),
        PhysicalType::Numeric(_) => Some((LogicalType::Decimal, Cell::Text(decimal(cell)?))),
        _ => None,
    }
    .filter(|(_, cell)| !matches!(cell, Cell::Real(real) if !real.is_finite()))
}

/// Prints numbers, reads bytes as UTF-8, and drops what PostgreSQL's texts cannot hold.
fn text(cell: CellRef<'_>) -> Option<String> {
    let text = match cell {
        CellRef::Text(text) => text.to_owned(),
        CellRef::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        CellRef::Integer(value) => value.to_string(),
        CellRef::Real(value) => print_real(value),
        CellRef::Boolean(value) => value.to_string(),
        CellRef::Null => return None,
    };
    Some(text.replace('\0', ""))
}

fn cut(text: &str, limit: TextLimit) -> String {
    match limit {
        TextLimit::None => text.to_owned(),
        TextLimit::Characters(limit) | TextLimit::Padded(limit) => {
            text.chars().take(limit).collect()
        }
        TextLimit::Bytes(limit) => {
            let mut end = limit.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.get(..end).unwrap_or_default().to_owned()
        }
    }
}

fn bytes(cell: CellRef<'_>) -> Option<Vec<u8>> {
    match cell {
        CellRef::Text(text) => Some(text.as_bytes().to_vec()),
        CellRef::Integer(value) => Some(value.to_string().into_bytes()),
        CellRef::Real(value) => Some(print_real(value).into_bytes()),
        _ => None,
    }
}

/// Rounds nothing: an integer that was never written is not nearer than NULL.
fn integer(cell: CellRef<'_>) -> Option<i64> {
    decimal(cell)?
        .split('.')
        .enumerate()
        .try_fold(0, |value, (position, digits)| match position {
            0 => digits.parse().ok(),
            _ => digits.bytes().all(|digit| digit == b'0').then_some(value),
        })
}

#[allow(clippy::cast_precision_loss, reason = "the nearest is asked for")]
fn real(cell: CellRef<'_>) -> Option<f64> {
    match cell {
        CellRef::Real(value) => Some(value),
        CellRef::Integer(value) => Some(value as f64),
        CellRef::Text(text) => digits(text)?.parse().ok(),
        _ => None,
    }
}

/// Returns the digits as `numeric` prints them.
fn decimal(cell: CellRef<'_>) -> Option<String> {
    match cell {
        CellRef::Integer(value) => Some(value.to_string()),
        CellRef::Real(value) if value.is_finite() => digits(&value.to_string()),
        CellRef::Boolean(value) => Some(u8::from(value).to_string()),
        CellRef::Text(text) => digits(text),
        _ => None,
    }
}

/// Returns a text as a decimal number, without leading zeros and without the sign of a zero.
fn digits(text: &str) -> Option<String> {
    let Decimal::Finite {
        negative,
        integer,
        fraction,
    } = Decimal::parse(text.trim_ascii())?
    else {
        return None;
    };
    let sign = if negative { "-" } else { "" };
    let integer = if integer.is_empty() { "0" } else { integer };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{integer}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::postgres::codec::types::NumericLimit;

    fn near(cell: CellRef<'_>, physical: PhysicalType) -> Option<Cell> {
        nearest(cell, &LogicalType::Any, physical).map(|(_, cell)| cell)
    }

    fn text(text: &str) -> Option<Cell> {
        Some(Cell::Text(text.to_owned()))
    }

    #[test]
    fn texts_lose_what_cannot_be_held() {
        let plain = PhysicalType::Text(TextLimit::None);
        let short = PhysicalType::Text(TextLimit::Characters(2));
        let name = PhysicalType::Text(TextLimit::Bytes(5));
        for (cell, physical, expected) in [
            (CellRef::Text("a\0b\0"), plain, "ab"),
            (CellRef::Text("größer"), short, "gr"),
            (CellRef::Text("\0ö🏝ab"), short, "ö🏝"),
            (CellRef::Text("aö🏝b"), name, "aö"),
            (CellRef::Bytes(b"a\xffb"), plain, "a\u{fffd}b"),
            (CellRef::Integer(-7), plain, "-7"),
            (CellRef::Real(1.0), plain, "1.0"),
            (CellRef::Real(f64::INFINITY), short, "In"),
        ] {
            assert_eq!(near(cell, physical), text(expected), "{cell:?}");
        }
    }

    #[test]
    fn integers_are_never_rounded() {
        for (cell, expected) in [
            (CellRef::Real(7.0), Some(7)),
            (CellRef::Real(-0.0), Some(0)),
            (CellRef::Real(1.5), None),
            (CellRef::Real(1e19), None),
            (CellRef::Real(f64::INFINITY), None),
            (CellRef::Real(f64::NAN), None),
            (CellRef::Text("007"), Some(7)),
            (CellRef::Text("-7.00"), Some(-7)),
            (CellRef::Text("7.5"), None),
            (CellRef::Text("x"), None),
            (CellRef::Text(""), None),
            (CellRef::Bytes(b"7"), None),
        ] {
            let expected = expected.map(Cell::Integer);
            assert_eq!(near(cell, PhysicalType::Int8), expected, "{cell:?}");
        }
    }

    #[test]
    fn floats_take_the_nearest_and_decimals_the_same_number() {
        let big = CellRef::Integer(9_007_199_254_740_993);
        assert_eq!(
            near(big, PhysicalType::Float8),
            Some(Cell::Real(9_007_199_254_740_992.0))
        );
        let single = f64::from(0.1_f32);
        assert_eq!(
            near(CellRef::Real(0.1), PhysicalType::Float4),
            Some(Cell::Real(single))
        );
        assert_eq!(near(CellRef::Real(1e300), PhysicalType::Float4), None);
        assert_eq!(
            near(CellRef::Text(" 1.50 "), PhysicalType::Float8),
            Some(Cell::Real(1.5))
        );
        assert_eq!(near(CellRef::Text("many"), PhysicalType::Float8), None);
        let limit = Some(NumericLimit {
            precision: 4,
            scale: 2,
        });
        for limit in [None, limit] {
            for (cell, expected) in [
                (CellRef::Real(-0.0), text("0")),
                (CellRef::Text("007.10"), text("7.10")),
                (CellRef::Text("-0.0"), text("0.0")),
                (CellRef::Text("abc"), None),
                (CellRef::Real(f64::NEG_INFINITY), None),
            ] {
                assert_eq!(
                    near(cell, PhysicalType::Numeric(limit)),
                    expected,
                    "{cell:?}"
                );
            }
        }
    }

    #[test]
    fn bytes_take_the_bytes_of_a_text_and_the_rest_has_nothing_near() {
        let bytes = |text: &[u8]| Some(Cell::Bytes(text.to_vec()));
        assert_eq!(
            near(CellRef::Text("a\0ö"), PhysicalType::Bytea),
            bytes("a\0ö".as_bytes())
        );
        assert_eq!(near(CellRef::Integer(7), PhysicalType::Bytea), bytes(b"7"));
        for physical in [
            PhysicalType::Bool,
            PhysicalType::Date,
            PhysicalType::Uuid,
            PhysicalType::Json,
            PhysicalType::ByText,
        ] {
            assert_eq!(near(CellRef::Text("x"), physical), None);
        }
        let day = nearest(
            CellRef::Integer(i64::MAX - 1),
            &LogicalType::Date,
            PhysicalType::Text(TextLimit::None),
        );
        assert_eq!(day, None, "a date is not the number of its days");
    }
}
