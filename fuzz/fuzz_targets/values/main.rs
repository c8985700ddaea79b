//! The value codecs: whatever a PostgreSQL or SQLite column takes in, it gives back, whoever made it up.

#![no_main]

mod input;

use std::cell::RefCell;

use input::{Input, Sign, Type};
use libfuzzer_sys::fuzz_target;
use tombolo::bindings::types::{Cell, LogicalType};
use tombolo::fuzzing::postgres::{self, Column};
use tombolo::fuzzing::sqlite::{self, DECLARED, Kept, Memory};
use tombolo::rows::{CellRef, FRAME_BYTES, FRAME_ROWS, MAX_ROW_BYTES, RowBlock, temporal};

fuzz_target!(|input: Input| match input {
    Input::Postgres { column, incoming, value } => {
        let column = column.column();
        let incoming = incoming.of(column.logical());
        in_postgres(&column, &incoming, &value.cell());
    }
    Input::Field { column, field } => decoded(&column.column(), &field),
    Input::Copy { columns, rows, noise, cut } => copied(&columns, &rows, &noise, cut),
    Input::Sqlite { declared, logical, value } => {
        let number = usize::from(declared) % DECLARED.len();
        let logical = logical.of(&LogicalType::Any);
        in_sqlite(number, &logical, &value.cell());
    }
    Input::Numeric { count, weight, sign, scale, groups, raw } => {
        let sign = match sign {
            Sign::Positive => 0,
            Sign::Negative => 0x4000,
            Sign::NotANumber => 0xC000,
            Sign::Infinity => 0xD000,
            Sign::NegativeInfinity => 0xF000,
            Sign::Other(sign) => sign,
        };
        let count = if count == u8::MAX { 7 } else { groups.len() as u16 };
        let mut data = Vec::new();
        for word in [count, weight as u16, sign, scale].iter().chain(&groups) {
            data.extend(word.to_be_bytes());
        }
        numeric(raw.as_ref().unwrap_or(&data));
    }
    Input::Text(text) => parsed(&text.text()),
});

/// What a column takes in, it gives back; what it takes in from another type can be given back to that type.
fn in_postgres(column: &Column, incoming: &LogicalType, cell: &Cell) {
    let Ok(field) = column.encode(incoming, cell.into()) else {
        return;
    };
    let Some(field) = field else {
        assert_eq!(*cell, Cell::Null);
        return;
    };
    let back = column.decode(&field).expect("what was written can be read");
    if incoming == column.logical() {
        assert!(same(&back, cell) || is_other_number(cell, &back, incoming), "{cell:?} became {back:?}");
        return;
    }
    // The way back, into a column of the type it came from.
    let Some(home) = home(incoming, cell) else {
        return;
    };
    match home.encode(column.logical(), (&back).into()) {
        Ok(Some(field)) => {
            let again = home.decode(&field).expect("what was written can be read");
            // A large integer is exactly a float whose shortest text is another integer.
            let is_held = matches!((cell, &back), (Cell::Integer(_), Cell::Real(_))) && equal(&back, cell);
            assert!(is_held || equal(&again, cell), "{cell:?} became {back:?} and {again:?}");
        }
        // Numbers do not turn back into booleans, integers or floats by themselves.
        refused => assert!(is_number(cell), "{cell:?} became {back:?}: {refused:?}"),
    }
}

/// A column whose own type is the incoming one.
fn home(incoming: &LogicalType, cell: &Cell) -> Option<Column> {
    let oid = match (incoming, cell) {
        (LogicalType::Boolean, _) | (LogicalType::Any, Cell::Boolean(_)) => 16,
        (LogicalType::Integer, _) | (LogicalType::Any, Cell::Integer(_)) => 20,
        (LogicalType::Float, _) | (LogicalType::Any, Cell::Real(_)) => 701,
        (LogicalType::Decimal, _) => 1700,
        (LogicalType::Text, _) | (LogicalType::Any, Cell::Text(_)) => 25,
        (LogicalType::Bytes, _) | (LogicalType::Any, Cell::Bytes(_)) => 17,
        (LogicalType::Date, _) => 1082,
        (LogicalType::Time, _) => 1083,
        (LogicalType::Timestamp, _) => 1114,
        (LogicalType::Timestamptz, _) => 1184,
        (LogicalType::Uuid, _) => 2950,
        (LogicalType::Json, _) => 114,
        _ => return None,
    };
    Some(Column::new(oid, -1))
}

/// What PostgreSQL sends is read as a cell that its own column takes in and gives back as it was.
fn decoded(column: &Column, field: &[u8]) {
    let Some(cell) = column.decode(field) else {
        return;
    };
    match column.encode(column.logical(), (&cell).into()) {
        Ok(again) => {
            let again = again.expect("a value is not NULL");
            let again = column.decode(&again).expect("what was written can be read");
            assert!(same(&again, &cell), "{cell:?} became {again:?}");
        }
        // A broken server sends what no server takes in: out of range, too long, no document.
        Err(_) => {}
    }
}

fn copied(columns: &[Type], rows: &[Vec<Option<Vec<u8>>>], noise: &[u8], cut: u8) {
    let columns: Vec<Column> = columns.iter().take(40).map(Type::column).collect();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend((columns.len() as u16).to_be_bytes());
        for (number, _) in columns.iter().enumerate() {
            match row.get(number) {
                Some(Some(field)) => {
                    bytes.extend((field.len() as u32).to_be_bytes());
                    bytes.extend(field);
                }
                _ => bytes.extend((-1i32).to_be_bytes()),
            }
        }
    }
    bytes.extend(noise);
    let stream = postgres::copy_stream(&bytes);
    let whole = read_copy(&columns, &stream, stream.len());
    let pieces = read_copy(&columns, &stream, 1 + usize::from(cut));
    let complete = |read: Option<(Vec<u8>, bool)>| read.filter(|(_, complete)| *complete);
    assert_eq!(complete(whole), complete(pieces), "the pieces in which bytes arrive change nothing");
    let raw = read_copy(&columns, noise, 1 + usize::from(cut));
    assert!(raw.is_none() || noise.len() < 19 || noise.starts_with(b"PGCOPY\n\xff\r\n\0"));
}

/// The rows' bytes, and whether the stream was complete.
fn read_copy(columns: &[Column], stream: &[u8], piece: usize) -> Option<(Vec<u8>, bool)> {
    let mut data = Vec::new();
    let complete = postgres::read_copy(columns, stream.chunks(piece), |block| {
        assert!(block.row_count() <= FRAME_ROWS);
        assert!(block.data().len() <= FRAME_BYTES + MAX_ROW_BYTES);
        if !columns.is_empty() {
            let parsed = RowBlock::parse(block.data().clone(), block.row_count(), columns.len());
            parsed.expect("what is made can be parsed");
        }
        data.extend_from_slice(block.data());
    })?;
    Some((data, complete))
}

/// What SQLite keeps is what comes back from the column.
fn in_sqlite(number: usize, logical: &LogicalType, cell: &Cell) {
    thread_local! {
        static MEMORY: RefCell<Memory> = RefCell::new(futures::executor::block_on(Memory::open()).unwrap());
    }
    let kept = MEMORY.with_borrow_mut(|memory| {
        futures::executor::block_on(memory.keep(number, logical, CellRef::from(cell))).unwrap()
    });
    match kept {
        Kept::Refused => {}
        Kept::Read(back) => {
            let accepted = same(&back, cell) || (*logical == LogicalType::Decimal && equal(&back, cell));
            assert!(accepted, "{logical:?} in {:?}: {cell:?} became {back:?}", DECLARED[number]);
        }
        Kept::Unreadable(reason) => {
            panic!("{logical:?} in {:?}: {cell:?} is stored and cannot be read: {reason}", DECLARED[number])
        }
    }
}

/// A number's text is read back as the same bits, and printed from them as the same text.
fn numeric(data: &[u8]) {
    let Some(text) = postgres::print_numeric(data) else {
        return;
    };
    let again = postgres::decimal_round_trip(&text).expect("what is printed can be read");
    assert_eq!(again, text);
}

/// Parsers take exactly what their printers print.
fn parsed(text: &str) {
    if let Some(days) = temporal::parse_date(text) {
        assert_eq!(temporal::format_date(days), text);
    }
    if let Some(at) = temporal::parse_time(text) {
        assert_eq!(temporal::format_time(at), text);
    }
    for utc in [false, true] {
        if let Some(at) = temporal::parse_timestamp(text, utc) {
            assert_eq!(temporal::format_timestamp(at, utc), text);
        }
    }
    if let Some(printed) = postgres::decimal_round_trip(text) {
        assert!(same_number(&printed, text), "{text:?} became {printed:?}");
        assert_eq!(postgres::decimal_round_trip(&printed).as_deref(), Some(&printed[..]));
    }
    sqlite::parse_number(text);
}

/// Equal to the bit.
fn same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Real(one), Cell::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// Equal, or the same number in another form.
fn equal(one: &Cell, other: &Cell) -> bool {
    let same_in_binary = match (one, other) {
        (Cell::Real(real), Cell::Integer(integer)) | (Cell::Integer(integer), Cell::Real(real)) => {
            *real as i128 == i128::from(*integer) && real.fract() == 0.0
        }
        _ => same(one, other),
    };
    // The shortest text of a large float is another integer, and the one that it means as a decimal.
    same_in_binary
        || matches!((number_text(one), number_text(other)), (Some(one), Some(other)) if same_number(&one, &other))
}

/// A column of numbers took a number in another form: integers in columns of floats and decimals, floats in decimals.
fn is_other_number(cell: &Cell, back: &Cell, logical: &LogicalType) -> bool {
    let other_form = matches!(
        (logical, cell),
        (LogicalType::Float, Cell::Integer(_))
            | (LogicalType::Decimal, Cell::Integer(_) | Cell::Real(_))
    );
    other_form && equal(cell, back)
}

fn is_number(cell: &Cell) -> bool {
    number_text(cell).is_some()
}

fn number_text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Boolean(value) => Some(u8::from(*value).to_string()),
        Cell::Integer(value) => Some(value.to_string()),
        Cell::Real(value) if value.is_nan() => Some("NaN".to_owned()),
        Cell::Real(value) if value.is_infinite() => {
            Some(if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        }
        Cell::Real(value) => Some(value.to_string()),
        Cell::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// Compares digits as a person would: without signs of zero, leading zeros, and zeros at the end of a fraction.
fn same_number(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
        format!("{sign}{whole}.{fraction}")
    };
    plain(one) == plain(other)
}
