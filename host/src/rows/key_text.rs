//! Keys of rows as text for people: each value as the database that it comes from prints it.

use super::temporal::{format_date, format_time, format_timestamp};
use super::{KeyColumns, format_uuid};
use crate::bindings::types::{Cell, Column, LogicalType, TableSchema};

/// A longer text is cut, in characters.
const MAX_CHARACTERS: usize = 120;

/// Returns a key as text. `key` has the cells of the primary key in its sequence, or those of all columns where there is
/// no primary key.
///
/// A text stands as it is. Where several values stand beside each other, a text that could be read as more than one of
/// them, as none or as NULL is in quotation marks.
#[must_use]
pub fn format_key(table: &TableSchema, key: &[Cell]) -> String {
    let positions = KeyColumns::of(table);
    let columns = positions
        .positions()
        .map(|position| table.columns.get(position));
    let alone = key.len() == 1;
    let mut text = String::new();
    let mut columns = columns.chain(std::iter::repeat(None));
    for (number, cell) in key.iter().enumerate() {
        if number > 0 {
            text.push_str(", ");
        }
        let column = columns.next().flatten();
        let value = format_cell(column, cell);
        match cell {
            Cell::Text(_) if is_ambiguous(&value, alone) => {
                text.push('"');
                text.push_str(&value.replace('\\', "\\\\").replace('"', "\\\""));
                text.push('"');
            }
            _ => text.push_str(&value),
        }
        // No more is shown, and a row may be large.
        if text.len() > MAX_CHARACTERS * 4 {
            break;
        }
    }
    shorten(&text.replace(char::is_control, "\u{fffd}"))
}

/// Returns the key of a whole row as text; empty where the table has no primary key.
#[must_use]
pub fn format_primary_key(table: &TableSchema, row: &[Cell]) -> String {
    let Some(key) = KeyColumns::primary(table) else {
        return String::new();
    };
    let cells = key.positions().filter_map(|position| row.get(position));
    format_key(table, &cells.cloned().collect::<Vec<_>>())
}

fn is_ambiguous(text: &str, alone: bool) -> bool {
    text.is_empty() || text == "NULL" || (!alone && text.contains([',', '"', '\\']))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn format_cell(column: Option<&Column>, cell: &Cell) -> String {
    let logical = column.map(|column| &column.logical);
    let origin = column.map_or("", |column| column.origin.as_str());
    match (cell, logical) {
        (Cell::Null, _) => "NULL".to_owned(),
        (Cell::Boolean(value), _) => if *value { "t" } else { "f" }.to_owned(),
        (Cell::Integer(days), Some(LogicalType::Date)) => format_date(*days),
        (Cell::Integer(time), Some(LogicalType::Time)) => format_time(*time),
        (Cell::Integer(time), Some(LogicalType::Timestamp)) => format_timestamp(*time, false),
        (Cell::Integer(time), Some(LogicalType::Timestamptz)) => format_timestamp(*time, true),
        (Cell::Integer(value), _) => value.to_string(),
        (Cell::Real(value), _) => match origin {
            "pg:real" | "pg:float4" => format_single(*value),
            origin => format_real(&format!("{value:e}"), origin.starts_with("sqlite:")),
        },
        (Cell::Text(text), _) => text.clone(),
        (Cell::Bytes(bytes), Some(LogicalType::Uuid)) => match bytes.as_slice().try_into() {
            Ok(uuid) => format_uuid(uuid),
            Err(_) => format_bytes(bytes),
        },
        (Cell::Bytes(bytes), _) => format_bytes(bytes),
    }
}

fn format_bytes(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_CHARACTERS).unwrap_or(bytes);
    format!("\\x{}", hex::encode(shown))
}

/// Formats a double that holds a value of single precision by the digits that this needs.
fn format_single(value: f64) -> String {
    // Widening was exact, so narrowing is.
    format_real(&format!("{:e}", value as f32), false)
}

/// Formats a number given as `digits e exponent` in the way of both databases: with an exponent outside of 10⁻⁴ to 10¹⁵.
/// `pointed`: always with a point.
fn format_real(scientific: &str, pointed: bool) -> String {
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return match scientific {
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            other => other.to_owned(),
        };
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let point = |digits: &str| match pointed && !digits.contains('.') {
        true => format!("{digits}.0"),
        false => digits.to_owned(),
    };
    if (-4..15).contains(&exponent) {
        // Printing what was printed exactly gives the same digits.
        let value: f64 = scientific.parse().unwrap_or_default();
        return point(&value.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", point(digits), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::Generation;

    fn table(columns: &[(LogicalType, &str)], primary_key: &[usize]) -> TableSchema {
        let names: Vec<String> = (0..columns.len())
            .map(|number| format!("c{number}"))
            .collect();
        TableSchema {
            table: "t".to_owned(),
            columns: std::iter::zip(&names, columns)
                .map(|(name, (logical, origin))| Column {
                    name: name.clone(),
                    logical: logical.clone(),
                    origin: (*origin).to_owned(),
                    nullable: true,
                    default: None,
                    generation: Generation::None,
                })
                .collect(),
            primary_key: names
                .iter()
                .enumerate()
                .filter(|(number, _)| primary_key.contains(number))
                .map(|(_, name)| name.clone())
                .collect(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn one(logical: LogicalType, origin: &str, cell: Cell) -> String {
        format_key(&table(&[(logical, origin)], &[0]), &[cell])
    }

    #[test]
    fn values_are_as_the_database_prints_them() {
        use LogicalType as L;
        let text = |text: &str| Cell::Text(text.to_owned());
        for (logical, origin, cell, expected) in [
            (L::Date, "pg:date", Cell::Integer(10_958), "2030-01-01"),
            (L::Date, "pg:date", Cell::Integer(i64::MAX), "infinity"),
            (
                L::Time,
                "pg:time",
                Cell::Integer(3_723_500_000),
                "01:02:03.5",
            ),
            (
                L::Timestamp,
                "pg:timestamp",
                Cell::Integer(0),
                "2000-01-01 00:00:00",
            ),
            (
                L::Timestamptz,
                "pg:timestamptz",
                Cell::Integer(946_807_200_000_000),
                "2030-01-01 10:00:00+00",
            ),
            (
                L::Uuid,
                "pg:uuid",
                Cell::Bytes(vec![1; 16]),
                "01010101-0101-0101-0101-010101010101",
            ),
            (L::Bytes, "pg:bytea", Cell::Bytes(vec![1, 0x90]), "\\x0190"),
            (L::Decimal, "pg:numeric", text("1.10"), "1.10"),
            (
                L::Other("int4[]".to_owned()),
                "pg:int4[]",
                text("{1,2}"),
                "{1,2}",
            ),
            (L::Boolean, "pg:boolean", Cell::Boolean(true), "t"),
            (L::Integer, "sqlite:INTEGER", Cell::Integer(-7), "-7"),
            (L::Float, "pg:double precision", Cell::Real(1.0), "1"),
            (L::Float, "pg:double precision", Cell::Real(1e15), "1e+15"),
            (
                L::Float,
                "pg:double precision",
                Cell::Real(1.5e-7),
                "1.5e-07",
            ),
            (
                L::Float,
                "pg:double precision",
                Cell::Real(0.0001),
                "0.0001",
            ),
            (
                L::Float,
                "pg:double precision",
                Cell::Real(f64::NEG_INFINITY),
                "-Infinity",
            ),
            (L::Float, "pg:double precision", Cell::Real(f64::NAN), "NaN"),
            (L::Float, "pg:real", Cell::Real(f64::from(0.1_f32)), "0.1"),
            (L::Float, "sqlite:REAL", Cell::Real(2.0), "2.0"),
            (L::Float, "sqlite:REAL", Cell::Real(1e20), "1.0e+20"),
            (L::Text, "pg:text", text("a, \"b\""), "a, \"b\""),
            (L::Text, "pg:text", text(""), "\"\""),
            (L::Text, "pg:text", text("NULL"), "\"NULL\""),
            (L::Text, "pg:text", Cell::Null, "NULL"),
            (
                L::Text,
                "pg:text",
                text("a\u{1b}[2J\n"),
                "a\u{fffd}[2J\u{fffd}",
            ),
            // A cell of another type than announced.
            (L::Uuid, "pg:uuid", Cell::Bytes(vec![1]), "\\x01"),
            (L::Date, "pg:date", text("soon"), "soon"),
        ] {
            assert_eq!(one(logical, origin, cell), expected);
        }
    }

    #[test]
    fn a_key_has_its_columns_in_sequence_and_is_short() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let two = table(
            &[
                (LogicalType::Date, "pg:date"),
                (LogicalType::Text, "pg:text"),
            ],
            &[0, 1],
        );
        assert_eq!(
            format_key(&two, &[Cell::Integer(0), text("a b")]),
            "2000-01-01, a b"
        );
        assert_eq!(
            format_key(&two, &[Cell::Integer(0), text("a, b")]),
            "2000-01-01, \"a, b\""
        );
        let row = [Cell::Integer(0), text("x")];
        assert_eq!(format_primary_key(&two, &row), "2000-01-01, x");
        let none = table(&[(LogicalType::Date, "pg:date")], &[]);
        assert_eq!(format_primary_key(&none, &row), "");
        assert_eq!(format_key(&none, &[Cell::Integer(1)]), "2000-01-02");
        let long = format_key(&two, &[text(&"ü".repeat(1_000)), text("b")]);
        assert_eq!(long.chars().count(), MAX_CHARACTERS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(format_key(&two, &[]), "");
        assert_eq!(
            format_key(&none, &[Cell::Null, text("more than announced")]),
            "NULL, more than announced"
        );
    }
}
