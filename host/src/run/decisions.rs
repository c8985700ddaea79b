//! Checks what a component decided about a conflict, and the row that it wrote against the columns of the table.

use crate::bindings::conflicts::{Conflict, Decision};
use crate::bindings::types::{Cell, Column, Generation, LogicalType, TableSchema};
use crate::database::{Origin, Resolution};

/// Microseconds until 24:00:00.
const DAY: i64 = 86_400_000_000;

/// The columns of a table whose values are sent, and which of them are the key of its conflicts.
pub struct SentColumns {
    columns: Vec<Column>,
    key: Vec<usize>,
}

impl SentColumns {
    /// Returns those of an incoming table, whose rows a component finds by `key`.
    pub fn of(table: &TableSchema, key: &[String]) -> Self {
        let sent = |column: &&Column| column.generation != Generation::Computed;
        let columns: Vec<Column> = table.columns.iter().filter(sent).cloned().collect();
        let named = columns.iter().enumerate();
        let named = named.filter(|(_, column)| key.contains(&column.name));
        Self {
            key: named.map(|(position, _)| position).collect(),
            columns,
        }
    }

    /// Returns what a decision means for a row. Fails with the reason if it cannot be carried out.
    pub fn check(&self, decision: Decision, conflict: &Conflict) -> Result<Resolution, String> {
        let row = match decision {
            Decision::KeepLocal => return Ok(Resolution::KeepLocal),
            Decision::TakeIncoming => return Ok(Resolution::TakeIncoming),
            Decision::Write(row) => row,
            Decision::Other(_) => {
                return Err("its decision needs a newer version of tombolo".to_owned());
            }
        };
        let incoming = &conflict.incoming;
        if row.len() != incoming.len() {
            return Err(format!(
                "it wrote a row of {} cells, and {} arrive",
                row.len(),
                incoming.len()
            ));
        }
        let is_key = |position: &usize| match (row.get(*position), incoming.get(*position)) {
            (Some(written), Some(incoming)) => is_same(written, incoming),
            _ => false,
        };
        if !self.key.iter().all(is_key) {
            return Err("it wrote a row with another key than the incoming row has".to_owned());
        }
        for ((position, cell), column) in row.iter().enumerate().zip(&self.columns) {
            // A value that is there already may be anything that its database stores.
            let mut there = [&conflict.incoming, &conflict.local].into_iter();
            let is_there = there.any(|row| row.get(position).is_some_and(|it| is_same(it, cell)));
            if !is_there && !is_of(column, cell) {
                return Err(format!(
                    "it wrote {} into column {:?}, which takes {}",
                    kind_of(cell),
                    column.name,
                    taken_by(column)
                ));
            }
        }
        Ok(Resolution::Write(row))
    }
}

/// Returns true for cells of the same image; doubles are compared by their bits.
fn is_same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Real(one), Cell::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// Returns true if a cell has the form of a column's logical type (`docs/row-format.md`).
fn is_of(column: &Column, cell: &Cell) -> bool {
    use LogicalType as Type;
    let is_sqlite = Origin::parse(&column.origin).is_sqlite();
    match (&column.logical, cell) {
        (_, Cell::Null) => column.nullable,
        (Type::Any, _)
        | (Type::Boolean, Cell::Boolean(_))
        | (Type::Integer, Cell::Integer(_))
        | (Type::Float, Cell::Real(_))
        | (Type::Text, Cell::Text(_))
        | (Type::Bytes, Cell::Bytes(_))
        | (Type::Timetz | Type::Interval | Type::Other(_), Cell::Text(_)) => true,
        // A column of SQLite sends the values as they are stored.
        (Type::Boolean, Cell::Integer(0 | 1))
        | (Type::Decimal, Cell::Integer(_) | Cell::Real(_)) => is_sqlite,
        (Type::Date | Type::Timestamp | Type::Timestamptz, Cell::Integer(_)) => true,
        (Type::Time, Cell::Integer(time)) => (0..=DAY).contains(time),
        (Type::Decimal, Cell::Text(text)) => is_decimal(text),
        (Type::Json, Cell::Text(text)) => {
            serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        }
        (Type::Uuid, Cell::Bytes(bytes)) => bytes.len() == 16,
        _ => false,
    }
}

/// Returns true for a decimal as PostgreSQL prints it.
fn is_decimal(text: &str) -> bool {
    if ["NaN", "Infinity", "-Infinity"].contains(&text) {
        return true;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

fn kind_of(cell: &Cell) -> &'static str {
    match cell {
        Cell::Null => "NULL",
        Cell::Boolean(_) => "a boolean",
        Cell::Integer(_) => "an integer",
        Cell::Real(_) => "a real",
        Cell::Text(_) => "a text",
        Cell::Bytes(_) => "bytes",
    }
}

fn taken_by(column: &Column) -> String {
    let values = match &column.logical {
        LogicalType::Boolean => "booleans",
        LogicalType::Integer => "integers",
        LogicalType::Float => "reals",
        LogicalType::Decimal => "decimals, as texts",
        LogicalType::Text => "texts",
        LogicalType::Bytes => "bytes",
        LogicalType::Date => "dates, as integers: days since 2000-01-01",
        LogicalType::Time => "times, as integers: microseconds from 0 to 86400000000",
        LogicalType::Timestamp | LogicalType::Timestamptz => {
            "times, as integers: microseconds since 2000-01-01"
        }
        LogicalType::Uuid => "UUIDs of 16 bytes",
        LogicalType::Json => "texts of JSON",
        LogicalType::Any => "any value",
        LogicalType::Timetz | LogicalType::Interval | LogicalType::Other(_) => {
            "its values as texts"
        }
    };
    match column.nullable {
        true => format!("{values}, or NULL"),
        false => format!("{values}, and not NULL"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn column(name: &str, logical: LogicalType, origin: &str) -> Column {
        Column {
            name: name.to_owned(),
            logical,
            origin: origin.to_owned(),
            nullable: false,
            default: None,
            generation: Generation::None,
        }
    }

    fn columns(columns: Vec<Column>, key: &[&str]) -> SentColumns {
        let table = TableSchema {
            table: "t".to_owned(),
            columns,
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        SentColumns::of(&table, &key)
    }

    fn write(
        columns: &SentColumns,
        incoming: &[Cell],
        local: &[Cell],
        row: &[Cell],
    ) -> Result<Resolution, String> {
        let conflict = Conflict {
            incoming: incoming.to_vec(),
            local: local.to_vec(),
        };
        columns.check(Decision::Write(row.to_vec()), &conflict)
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_written_row_keeps_its_width_and_its_key() {
        let mut computed = column("computed", LogicalType::Integer, "pg:integer");
        computed.generation = Generation::Computed;
        // A computed column has no cell.
        let columns = columns(
            vec![
                computed,
                column("id", LogicalType::Integer, "pg:integer"),
                column("a", LogicalType::Text, "pg:text"),
                column("f", LogicalType::Float, "pg:float8"),
            ],
            &["id", "f"],
        );
        let incoming = [Cell::Integer(1), text("a"), Cell::Real(0.0)];
        let with = |position: usize, cell: Cell| {
            let mut row = incoming.clone();
            row[position] = cell;
            write(&columns, &incoming, &incoming, &row)
        };
        assert!(matches!(with(1, text("b")), Ok(Resolution::Write(row)) if row[1] == text("b")));
        assert!(
            with(0, Cell::Integer(2))
                .unwrap_err()
                .contains("another key")
        );
        assert!(
            with(2, Cell::Real(-0.0))
                .unwrap_err()
                .contains("another key")
        );
        let short = write(&columns, &incoming, &incoming, &incoming[..2]);
        assert!(short.unwrap_err().contains("2 cells, and 3 arrive"));
    }

    #[test]
    fn a_written_value_has_the_form_of_its_column() {
        let (pg, sqlite) = ("pg:x", "sqlite:X");
        let uuid = |bytes: usize| Cell::Bytes(vec![0; bytes]);
        let cases = [
            (LogicalType::Integer, pg, Cell::Integer(7), true),
            (LogicalType::Integer, pg, text("7"), false),
            (LogicalType::Integer, sqlite, text("x"), false),
            (LogicalType::Integer, pg, Cell::Null, false),
            (LogicalType::Float, pg, Cell::Real(f64::NAN), true),
            (LogicalType::Float, pg, Cell::Integer(7), false),
            (LogicalType::Boolean, pg, Cell::Boolean(true), true),
            (LogicalType::Boolean, pg, Cell::Integer(1), false),
            (LogicalType::Boolean, sqlite, Cell::Integer(1), true),
            (LogicalType::Boolean, sqlite, Cell::Integer(2), false),
            (LogicalType::Decimal, pg, text("-1.50"), true),
            (LogicalType::Decimal, pg, text("NaN"), true),
            (LogicalType::Decimal, pg, text("1."), false),
            (LogicalType::Decimal, pg, text("one"), false),
            (LogicalType::Decimal, pg, Cell::Integer(1), false),
            (LogicalType::Decimal, sqlite, Cell::Integer(1), true),
            (LogicalType::Text, pg, text(""), true),
            (LogicalType::Text, sqlite, Cell::Bytes(Vec::new()), false),
            (LogicalType::Bytes, pg, Cell::Bytes(Vec::new()), true),
            (LogicalType::Bytes, pg, text("x"), false),
            (LogicalType::Date, pg, Cell::Integer(i64::MAX), true),
            (LogicalType::Timestamp, pg, text("2024-01-01"), false),
            (LogicalType::Time, pg, Cell::Integer(DAY), true),
            (LogicalType::Time, pg, Cell::Integer(DAY + 1), false),
            (LogicalType::Interval, pg, text("1 day"), true),
            (LogicalType::Interval, pg, Cell::Integer(1), false),
            (LogicalType::Uuid, pg, uuid(16), true),
            (LogicalType::Uuid, pg, uuid(15), false),
            (LogicalType::Json, pg, text("{\"a\": [1]}"), true),
            (LogicalType::Json, pg, text("{"), false),
            (LogicalType::Any, sqlite, Cell::Real(1.0), true),
            (LogicalType::Other("mood".to_owned()), pg, text("sad"), true),
            (
                LogicalType::Other("mood".to_owned()),
                pg,
                Cell::Integer(1),
                false,
            ),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .filter(|(logical, origin, cell, is_taken)| {
                let columns = columns(vec![column("c", logical.clone(), origin)], &[]);
                let other = [text("what is there")];
                let written = write(&columns, &other, &other, std::slice::from_ref(cell));
                written.is_ok() != *is_taken
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_value_that_is_there_may_be_written_again() {
        let columns = columns(
            vec![column("n", LogicalType::Integer, "sqlite:INTEGER")],
            &[],
        );
        let (incoming, local) = ([text("many")], [Cell::Null]);
        for row in [&incoming, &local] {
            assert!(write(&columns, &incoming, &local, row).is_ok());
        }
        let refused = write(&columns, &incoming, &local, &[text("few")]).unwrap_err();
        assert_eq!(
            refused,
            "it wrote a text into column \"n\", which takes integers, and not NULL"
        );
    }
}
