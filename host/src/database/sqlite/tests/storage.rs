//! Cells and what is stored for them.

use crate::bindings::types::{Column, Generation, LogicalType};
use crate::database::sqlite::codec::storage::*;
use crate::database::sqlite::codec::types::Affinity;
use crate::rows::{CellRef, temporal};

fn column(affinity: Affinity) -> LocalColumn {
    LocalColumn {
        name: "c".to_owned(),
        affinity,
        rowid: false,
        keeps_float_bits: false,
    }
}

fn store<'a>(
    cell: CellRef<'a>,
    logical: &LogicalType,
    affinity: Affinity,
) -> Result<SqliteValue<'a>, String> {
    to_storage(cell, logical, &column(affinity))
}

fn read(
    value: SqliteValueRef<'_>,
    logical: &LogicalType,
) -> Result<crate::bindings::types::Cell, String> {
    to_cell(value, logical, &mut [0; 16]).map(CellRef::to_cell)
}

#[test]
fn typed_values_of_postgresql_come_back() {
    let uuid = [0xab; 16];
    for (logical, cell, text) in [
        (LogicalType::Date, CellRef::Integer(0), "2000-01-01"),
        (LogicalType::Date, CellRef::Integer(i64::MAX), "infinity"),
        (
            LogicalType::Time,
            CellRef::Integer(86_400_000_000),
            "24:00:00",
        ),
        (
            LogicalType::Timestamp,
            CellRef::Integer(-1),
            "1999-12-31 23:59:59.999999",
        ),
        (
            LogicalType::Timestamptz,
            CellRef::Integer(0),
            "2000-01-01 00:00:00+00",
        ),
        (
            LogicalType::Uuid,
            CellRef::Bytes(&uuid),
            "abababab-abab-abab-abab-abababababab",
        ),
        (LogicalType::Decimal, CellRef::Text("1.10"), "1.10"),
        (LogicalType::Json, CellRef::Text("1"), "1"),
    ] {
        let stored = store(cell, &logical, Affinity::Text).unwrap();
        assert_eq!(stored.borrow(), SqliteValueRef::Text(text));
        assert_eq!(read(stored.borrow(), &logical).unwrap(), cell.to_cell());
    }
    assert_eq!(
        store(
            CellRef::Boolean(true),
            &LogicalType::Boolean,
            Affinity::Numeric
        )
        .unwrap()
        .borrow(),
        SqliteValueRef::Integer(1)
    );
}

#[test]
fn the_ends_of_postgresqls_ranges_come_back() {
    for days in [temporal::DATES.start, temporal::DATES.end - 1] {
        let stored = store(CellRef::Integer(days), &LogicalType::Date, Affinity::Text).unwrap();
        assert_eq!(
            to_cell(stored.borrow(), &LogicalType::Date, &mut [0; 16]),
            Ok(CellRef::Integer(days))
        );
    }
    for at in [temporal::TIMESTAMPS.start, temporal::TIMESTAMPS.end - 1] {
        let stored = store(
            CellRef::Integer(at),
            &LogicalType::Timestamp,
            Affinity::Text,
        )
        .unwrap();
        assert_eq!(
            to_cell(stored.borrow(), &LogicalType::Timestamp, &mut [0; 16]),
            Ok(CellRef::Integer(at))
        );
    }
    for (logical, beyond) in [
        (LogicalType::Date, temporal::DATES.end),
        (LogicalType::Date, i64::MAX - 1),
        (LogicalType::Time, -1),
        (LogicalType::Timestamp, temporal::TIMESTAMPS.end),
    ] {
        assert!(store(CellRef::Integer(beyond), &logical, Affinity::Text).is_err());
    }
}

#[test]
fn stored_text_in_another_spelling_is_unrepresentable() {
    for (logical, text) in [
        (LogicalType::Date, "2024-1-1"),
        (LogicalType::Timestamp, "2024-01-01T00:00:00"),
        (LogicalType::Uuid, "ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB"),
        (LogicalType::Uuid, "{abababab-abab-abab-abab-abababababab}"),
        (LogicalType::Uuid, "+bababab-abab-abab-abab-abababababab"),
    ] {
        let reason = read(SqliteValueRef::Text(text), &logical).unwrap_err();
        assert!(!reason.contains(text), "{reason}");
    }
    assert!(read(SqliteValueRef::Integer(0), &LogicalType::Date).is_err());
    assert!(read(SqliteValueRef::Blob(&[0; 16]), &LogicalType::Uuid).is_err());
}

#[test]
fn columns_without_affinity_keep_storage_classes() {
    use crate::bindings::types::Cell;
    assert_eq!(
        read(SqliteValueRef::Integer(1), &LogicalType::Boolean),
        Ok(Cell::Boolean(true))
    );
    assert_eq!(
        read(SqliteValueRef::Integer(2), &LogicalType::Boolean),
        Ok(Cell::Integer(2))
    );
    assert_eq!(
        read(SqliteValueRef::Real(1.5), &LogicalType::Decimal),
        Ok(Cell::Real(1.5))
    );
    assert_eq!(
        read(SqliteValueRef::Text("x"), &LogicalType::Integer),
        Ok(Cell::Text("x".into()))
    );
}

#[test]
fn decimals_become_numbers_only_where_that_is_exact() {
    let decimal = LogicalType::Decimal;
    let stored = |text, affinity| {
        store(CellRef::Text(text), &decimal, affinity).map(|value| format!("{value:?}"))
    };
    assert_eq!(stored("1.10", Affinity::Numeric), Ok("Real(1.1)".into()));
    assert_eq!(stored("12.00", Affinity::Numeric), Ok("Integer(12)".into()));
    assert_eq!(stored("12.00", Affinity::Real), Ok("Real(12.0)".into()));
    assert_eq!(stored("NaN", Affinity::Numeric), Ok("Text(\"NaN\")".into()));
    for text in ["0.12345678901234567890", "007", "1e5", "9007199254740993.5"] {
        assert!(stored(text, Affinity::Numeric).is_err(), "{text}");
    }
    assert!(stored("9007199254740993", Affinity::Real).is_err());
    let real = store(CellRef::Integer(5), &decimal, Affinity::Real).unwrap();
    assert_eq!(real.borrow(), SqliteValueRef::Real(5.0));
}

#[test]
fn what_sqlite_would_change_is_unrepresentable() {
    let text = LogicalType::Text;
    for (cell, logical, affinity) in [
        (CellRef::Text("007"), &text, Affinity::Integer),
        (CellRef::Text(" 1.5 "), &text, Affinity::Numeric),
        (CellRef::Integer(1), &LogicalType::Integer, Affinity::Text),
        (CellRef::Integer(1), &LogicalType::Integer, Affinity::Real),
        (CellRef::Real(1.0), &LogicalType::Float, Affinity::Integer),
        (CellRef::Real(-0.0), &LogicalType::Float, Affinity::Real),
        (CellRef::Real(f64::NAN), &LogicalType::Float, Affinity::Blob),
        (
            CellRef::Boolean(true),
            &LogicalType::Integer,
            Affinity::Integer,
        ),
        (
            CellRef::Boolean(true),
            &LogicalType::Boolean,
            Affinity::Text,
        ),
        (CellRef::Bytes(&[0; 15]), &LogicalType::Uuid, Affinity::Text),
        (CellRef::Text("x"), &LogicalType::Date, Affinity::Text),
    ] {
        assert!(
            store(cell, logical, affinity).is_err(),
            "{cell:?} {affinity:?}"
        );
    }
    let rowid = LocalColumn {
        rowid: true,
        ..column(Affinity::Integer)
    };
    assert!(to_storage(CellRef::Null, &LogicalType::Integer, &rowid).is_err());
    assert!(to_storage(CellRef::Text("x"), &LogicalType::Integer, &rowid).is_err());
}

#[test]
fn an_integer_that_would_come_back_as_a_boolean_is_refused() {
    for value in [0, 1] {
        let stored = store(
            CellRef::Integer(value),
            &LogicalType::Boolean,
            Affinity::Numeric,
        );
        assert!(stored.is_err(), "{value}");
    }
    let other = store(
        CellRef::Integer(2),
        &LogicalType::Boolean,
        Affinity::Numeric,
    )
    .unwrap();
    assert_eq!(other.borrow(), SqliteValueRef::Integer(2));
}

#[test]
fn floats_that_real_cannot_hold_keep_their_bits_in_columns_from_postgresql() {
    let local = LocalColumn {
        keeps_float_bits: true,
        ..column(Affinity::Real)
    };
    let described = |origin: &str| Column {
        name: "c".to_owned(),
        logical: LogicalType::Float,
        origin: origin.to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    for float in [
        f64::NAN,
        -f64::NAN,
        -0.0,
        f64::from_bits(0x7ff8_0000_0000_0001),
    ] {
        assert!(store(CellRef::Real(float), &LogicalType::Float, Affinity::Real).is_err());
        let stored = to_storage(CellRef::Real(float), &LogicalType::Float, &local).unwrap();
        let bits = float.to_bits().to_be_bytes();
        assert_eq!(stored.borrow(), SqliteValueRef::Blob(&bits));
        let mut scratch = [0; 16];
        let back = read_cell(stored.borrow(), &described("pg:real"), &mut scratch);
        assert!(matches!(back, Ok(CellRef::Real(back)) if back.to_bits() == float.to_bits()));
        let blob = read_cell(stored.borrow(), &described("sqlite:REAL"), &mut scratch);
        assert_eq!(
            blob,
            Ok(CellRef::Bytes(&bits)),
            "a blob is a blob elsewhere"
        );
    }
    let mut scratch = [0; 16];
    let bits = 1.5f64.to_bits().to_be_bytes();
    let other = read_cell(
        SqliteValueRef::Blob(&bits),
        &described("pg:real"),
        &mut scratch,
    );
    assert_eq!(
        other,
        Ok(CellRef::Bytes(&bits)),
        "nobody keeps 1.5 like this"
    );
    let plain = to_storage(CellRef::Real(0.0), &LogicalType::Float, &local).unwrap();
    assert_eq!(plain.borrow(), SqliteValueRef::Real(0.0));
}
