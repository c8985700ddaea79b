//! Converts cells to values that come back from a column unchanged.

use std::borrow::Cow;

use super::decimal::{self, Number};
use super::types::Affinity;
use crate::bindings::types::{Column, LogicalType};
use crate::database::Origin;
use crate::rows::{CellRef, format_uuid, parse_uuid, temporal};

const TIMES: std::ops::RangeInclusive<i64> = 0..=86_400_000_000;

/// A value as SQLite stores it, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SqliteValueRef<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl SqliteValueRef<'_> {
    /// Returns at least the number of bytes of the encoded cell.
    pub fn size(self) -> usize {
        13 + match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// A value as SQLite stores it; it owns a text that was made for it.
#[derive(Clone, Debug)]
pub enum SqliteValue<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(&'a [u8]),
    /// The bits of a double, stored as a blob.
    Bits([u8; 8]),
}

impl SqliteValue<'_> {
    /// Returns the value, borrowed.
    pub fn borrow(&self) -> SqliteValueRef<'_> {
        match self {
            Self::Null => SqliteValueRef::Null,
            Self::Integer(value) => SqliteValueRef::Integer(*value),
            Self::Real(value) => SqliteValueRef::Real(*value),
            Self::Text(value) => SqliteValueRef::Text(value),
            Self::Blob(value) => SqliteValueRef::Blob(value),
            Self::Bits(bits) => SqliteValueRef::Blob(bits),
        }
    }
}

/// A column of a table, as values are stored in it.
#[derive(Clone, Debug)]
pub struct LocalColumn {
    /// Its name.
    pub name: String,
    /// Its affinity.
    pub affinity: Affinity,
    /// Whether the column is an alias of the rowid.
    pub rowid: bool,
    /// Whether the column holds PostgreSQL's floats: one that REAL cannot hold is stored as the blob of its bits.
    pub keeps_float_bits: bool,
}

/// Returns the canonical cell of a value in a column. The error says what does not fit, without the value.
pub fn read_cell<'a>(
    value: SqliteValueRef<'a>,
    column: &Column,
    scratch: &'a mut [u8; 16],
) -> Result<CellRef<'a>, String> {
    if let SqliteValueRef::Blob(bits) = value
        && column.logical == LogicalType::Float
        && Origin::parse(&column.origin).is_postgres()
        && let Ok(bits) = bits.try_into()
        && let float = f64::from_bits(u64::from_be_bytes(bits))
        && !fits_real(float)
    {
        return Ok(CellRef::Real(float));
    }
    to_cell(value, &column.logical, scratch)
}

/// Returns true if a REAL column gives the same double back: SQLite has no NaN, and drops the sign of zero.
fn fits_real(value: f64) -> bool {
    !value.is_nan() && (value != 0.0 || value.is_sign_positive())
}

/// Returns the canonical cell of a stored value. The error says what does not fit, without the value.
pub fn to_cell<'a>(
    value: SqliteValueRef<'a>,
    logical: &LogicalType,
    scratch: &'a mut [u8; 16],
) -> Result<CellRef<'a>, String> {
    let parsed = match (logical, value) {
        (_, SqliteValueRef::Null) => return Ok(CellRef::Null),
        (LogicalType::Boolean, SqliteValueRef::Integer(value @ (0 | 1))) => {
            return Ok(CellRef::Boolean(value == 1));
        }
        (LogicalType::Date, SqliteValueRef::Text(text)) => temporal::parse_date(text),
        (LogicalType::Time, SqliteValueRef::Text(text)) => temporal::parse_time(text),
        (LogicalType::Timestamp, SqliteValueRef::Text(text)) => {
            temporal::parse_timestamp(text, false)
        }
        (LogicalType::Timestamptz, SqliteValueRef::Text(text)) => {
            temporal::parse_timestamp(text, true)
        }
        (LogicalType::Uuid, SqliteValueRef::Text(text)) => {
            *scratch = parse_uuid(text).ok_or_else(|| not_a(logical))?;
            return Ok(CellRef::Bytes(scratch));
        }
        (
            LogicalType::Date
            | LogicalType::Time
            | LogicalType::Timestamp
            | LogicalType::Timestamptz
            | LogicalType::Uuid,
            _,
        ) => None,
        (_, SqliteValueRef::Integer(value)) => return Ok(CellRef::Integer(value)),
        (_, SqliteValueRef::Real(value)) => return Ok(CellRef::Real(value)),
        (_, SqliteValueRef::Text(value)) => return Ok(CellRef::Text(value)),
        (_, SqliteValueRef::Blob(value)) => return Ok(CellRef::Bytes(value)),
    };
    parsed.map(CellRef::Integer).ok_or_else(|| not_a(logical))
}

/// Returns the value to store for a cell so that it comes back from the column unchanged. The error says what does not fit,
/// without the value.
pub fn to_storage<'a>(
    cell: CellRef<'a>,
    logical: &LogicalType,
    column: &LocalColumn,
) -> Result<SqliteValue<'a>, String> {
    let value = match (logical, cell) {
        (_, CellRef::Null) => SqliteValue::Null,
        (LogicalType::Boolean, CellRef::Boolean(value)) => SqliteValue::Integer(value.into()),
        // It would come back as true or false.
        (LogicalType::Boolean, CellRef::Integer(0 | 1)) => {
            return Err("a boolean is sent as true or false, not as an integer".to_owned());
        }
        (_, CellRef::Boolean(_)) => {
            return Err(format!("a boolean does not fit the type {}", name(logical)));
        }
        (LogicalType::Date, CellRef::Integer(days)) => printed(
            is_infinite(days) || temporal::DATES.contains(&days),
            logical,
            || temporal::format_date(days),
        )?,
        (LogicalType::Time, CellRef::Integer(at)) => {
            printed(TIMES.contains(&at), logical, || temporal::format_time(at))?
        }
        (LogicalType::Timestamp, CellRef::Integer(at)) => printed(
            is_infinite(at) || temporal::TIMESTAMPS.contains(&at),
            logical,
            || temporal::format_timestamp(at, false),
        )?,
        (LogicalType::Timestamptz, CellRef::Integer(at)) => printed(
            is_infinite(at) || temporal::TIMESTAMPS.contains(&at),
            logical,
            || temporal::format_timestamp(at, true),
        )?,
        (LogicalType::Uuid, CellRef::Bytes(bytes)) => {
            let bytes = bytes.try_into().map_err(|_| not_a(logical))?;
            SqliteValue::Text(format_uuid(bytes).into())
        }
        (
            LogicalType::Date
            | LogicalType::Time
            | LogicalType::Timestamp
            | LogicalType::Timestamptz
            | LogicalType::Uuid,
            other,
        ) => {
            return Err(format!(
                "{} does not fit the type {}",
                other.kind(),
                name(logical)
            ));
        }
        (LogicalType::Decimal, cell) => decimal_storage(cell, column.affinity),
        (LogicalType::Float, CellRef::Real(value))
            if column.keeps_float_bits && !fits_real(value) =>
        {
            SqliteValue::Bits(value.to_bits().to_be_bytes())
        }
        (_, cell) => plain(cell),
    };
    check(&value, column)?;
    Ok(value)
}

fn printed(
    fits: bool,
    logical: &LogicalType,
    print: impl FnOnce() -> String,
) -> Result<SqliteValue<'static>, String> {
    if fits {
        Ok(SqliteValue::Text(print().into()))
    } else {
        Err(format!(
            "it is outside the range of the type {}",
            name(logical)
        ))
    }
}

fn is_infinite(value: i64) -> bool {
    value == i64::MIN || value == i64::MAX
}

/// Returns a decimal in the form that its column holds, if that is exactly the same number.
fn decimal_storage(cell: CellRef<'_>, affinity: Affinity) -> SqliteValue<'_> {
    let number = match cell {
        CellRef::Text(text) if affinity.is_numeric() => decimal::exact(text),
        CellRef::Integer(value) if affinity != Affinity::Blob => Some(Number::Integer(value)),
        CellRef::Real(value) if affinity != Affinity::Blob && value.is_finite() => {
            Some(Number::Real(value))
        }
        _ => None,
    };
    match (number, affinity) {
        (None, _) => plain(cell),
        (Some(Number::Integer(value)), Affinity::Text) => {
            SqliteValue::Text(value.to_string().into())
        }
        (Some(Number::Real(value)), Affinity::Text) => {
            SqliteValue::Text((value + 0.0).to_string().into())
        }
        (Some(Number::Integer(value)), Affinity::Real) => {
            decimal::integer_as_real(value).map_or(plain(cell), SqliteValue::Real)
        }
        // Here and above, adding 0.0 removes the sign of -0.0, which no decimal has.
        (Some(Number::Real(value)), Affinity::Real) => SqliteValue::Real(value + 0.0),
        (Some(Number::Real(value)), _) => {
            decimal::real_as_integer(value).map_or(SqliteValue::Real(value), SqliteValue::Integer)
        }
        (Some(Number::Integer(value)), _) => SqliteValue::Integer(value),
    }
}

/// Returns the value in the storage class of the cell's physical type.
fn plain(cell: CellRef<'_>) -> SqliteValue<'_> {
    match cell {
        CellRef::Null => SqliteValue::Null,
        CellRef::Boolean(value) => SqliteValue::Integer(value.into()),
        CellRef::Integer(value) => SqliteValue::Integer(value),
        CellRef::Real(value) => SqliteValue::Real(value),
        CellRef::Text(value) => SqliteValue::Text(value.into()),
        CellRef::Bytes(value) => SqliteValue::Blob(value),
    }
}

/// Refuses a value that SQLite would change when it stores it.
fn check(value: &SqliteValue<'_>, column: &LocalColumn) -> Result<(), String> {
    if column.rowid {
        return match value {
            SqliteValue::Integer(_) => Ok(()),
            SqliteValue::Null => Err("SQLite would put a number in the place of NULL".to_owned()),
            _ => Err("an INTEGER PRIMARY KEY takes only integers".to_owned()),
        };
    }
    let change = match (value, column.affinity) {
        (SqliteValue::Real(value), _) if value.is_nan() => "SQLite has no NaN and would store NULL",
        (SqliteValue::Integer(_) | SqliteValue::Real(_), Affinity::Text) => {
            "SQLite would turn the number into text"
        }
        (SqliteValue::Integer(_), Affinity::Real) => {
            "SQLite would turn the integer into a floating-point number"
        }
        (SqliteValue::Real(value), Affinity::Integer | Affinity::Numeric)
            if decimal::is_integral(*value) =>
        {
            "SQLite would turn the floating-point number into an integer"
        }
        (SqliteValue::Real(value), Affinity::Real) if *value == 0.0 && value.is_sign_negative() => {
            "SQLite would drop the sign of negative zero"
        }
        (SqliteValue::Text(text), affinity)
            if affinity.is_numeric() && decimal::looks_like_number(text) =>
        {
            "SQLite would turn the text into a number that does not keep all of it"
        }
        _ => return Ok(()),
    };
    Err(change.to_owned())
}

fn not_a(logical: &LogicalType) -> String {
    format!(
        "it is not a {} in the form that Tombolo stores",
        name(logical)
    )
}

fn name(logical: &LogicalType) -> &str {
    match logical {
        LogicalType::Boolean => "boolean",
        LogicalType::Integer => "integer",
        LogicalType::Float => "floating-point number",
        LogicalType::Decimal => "decimal",
        LogicalType::Text => "text",
        LogicalType::Bytes => "bytes",
        LogicalType::Date => "date",
        LogicalType::Time => "time",
        LogicalType::Timetz => "time with a zone",
        LogicalType::Timestamp => "timestamp",
        LogicalType::Timestamptz => "timestamp with a zone",
        LogicalType::Interval => "interval",
        LogicalType::Uuid => "uuid",
        LogicalType::Json => "json",
        LogicalType::Any => "value of SQLite",
        LogicalType::Other(name) => name,
    }
}
