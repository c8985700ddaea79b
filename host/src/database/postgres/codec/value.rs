//! Interprets cells by the logical type of their column, and converts them to other types if that is exact.

use std::borrow::Cow;

use super::numeric::Decimal;
use super::types::{PhysicalType, TextLimit};
use crate::bindings::types::LogicalType;
use crate::rows::{CellRef, format_uuid, temporal};

const DAY: i64 = 86_400_000_000;

/// A cell, interpreted by the logical type of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Decimal(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    Date(i64),
    Time(i64),
    Timestamp(i64),
    Timestamptz(i64),
    Uuid([u8; 16]),
    Json(&'a str),
    /// The text form of a type without a binary form of its own.
    Printed(&'a str),
}

/// Interprets a cell of a column of this type; none for NULL.
pub(super) fn value<'a>(
    logical: &LogicalType,
    cell: CellRef<'a>,
) -> Result<Option<Value<'a>>, String> {
    let value = match (logical, cell) {
        (_, CellRef::Null) => return Ok(None),
        (LogicalType::Boolean | LogicalType::Any, CellRef::Boolean(value)) => Value::Boolean(value),
        (LogicalType::Integer | LogicalType::Any, CellRef::Integer(value)) => Value::Integer(value),
        (LogicalType::Float | LogicalType::Any, CellRef::Real(value)) => Value::Float(value),
        (LogicalType::Text | LogicalType::Any, CellRef::Text(value)) => Value::Text(value),
        (LogicalType::Bytes | LogicalType::Any, CellRef::Bytes(value)) => Value::Bytes(value),
        (LogicalType::Decimal, CellRef::Text(value)) => Value::Decimal(value),
        // SQLite stores numbers of such columns in their own storage class.
        (LogicalType::Decimal | LogicalType::Float, CellRef::Integer(value)) => {
            Value::Integer(value)
        }
        (LogicalType::Decimal, CellRef::Real(value)) => Value::Float(value),
        (LogicalType::Date, CellRef::Integer(value)) => Value::Date(value),
        (LogicalType::Time, CellRef::Integer(value)) => Value::Time(value),
        (LogicalType::Timestamp, CellRef::Integer(value)) => Value::Timestamp(value),
        (LogicalType::Timestamptz, CellRef::Integer(value)) => Value::Timestamptz(value),
        (LogicalType::Uuid, CellRef::Bytes(value)) => match value.try_into() {
            Ok(bytes) => Value::Uuid(bytes),
            Err(_) => return Err(unannounced(cell)),
        },
        (LogicalType::Json, CellRef::Text(value)) => Value::Json(value),
        (
            LogicalType::Timetz | LogicalType::Interval | LogicalType::Other(_),
            CellRef::Text(value),
        ) => Value::Printed(value),
        (_, cell) => return Err(unannounced(cell)),
    };
    Ok(Some(value))
}

fn unannounced(cell: CellRef<'_>) -> String {
    format!(
        "the value is {}, which the announced type does not have",
        cell.kind()
    )
}

/// Returns the value in the form of another type that has exactly the same value; else as it is.
pub(super) fn exactly_as(value: Value<'_>, physical: PhysicalType) -> Value<'_> {
    let is_infinite = |at: i64| matches!(at, i64::MIN | i64::MAX);
    match (value, physical) {
        (
            Value::Decimal(_) | Value::Float(_),
            PhysicalType::Int2 | PhysicalType::Int4 | PhysicalType::Int8,
        ) => whole_number(value).map_or(value, Value::Integer),
        (Value::Date(days), PhysicalType::Timestamp(_)) if is_infinite(days) => {
            Value::Timestamp(days)
        }
        (Value::Date(days), PhysicalType::Timestamp(_)) => {
            days.checked_mul(DAY).map_or(value, Value::Timestamp)
        }
        (Value::Timestamp(at), PhysicalType::Date) if is_infinite(at) => Value::Date(at),
        (Value::Timestamp(at), PhysicalType::Date) if at.rem_euclid(DAY) == 0 => {
            Value::Date(at.div_euclid(DAY))
        }
        _ => value,
    }
}

/// Returns the integer that a value is and that gives the same value back; none if there is none.
pub(super) fn whole_number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Boolean(value) => Some(value.into()),
        Value::Integer(value) => Some(value),
        Value::Decimal(digits) | Value::Text(digits) => {
            let number: i64 = digits.parse().ok()?;
            (number.to_string() == digits).then_some(number)
        }
        #[allow(clippy::cast_possible_truncation, reason = "compared afterwards")]
        Value::Float(float) => {
            let integer = float as i64;
            let back = double(Value::Integer(integer)).ok()?;
            (back.to_bits() == float.to_bits()).then_some(integer)
        }
        _ => None,
    }
}

pub(super) fn mismatch(value: Value<'_>, target: &str) -> String {
    let what = match value {
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a floating-point number",
        Value::Decimal(_) => "a decimal number",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time",
        Value::Timestamp(_) => "a timestamp",
        Value::Timestamptz(_) => "a timestamp with time zone",
        Value::Uuid(_) => "a uuid",
        Value::Json(_) => "a JSON document",
        Value::Printed(_) => "a value of another type",
    };
    format!("{what} cannot be held exactly by {target}")
}

pub(super) fn boolean(value: Value<'_>) -> Result<bool, String> {
    match value {
        Value::Boolean(value) => Ok(value),
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Integer(_) => Err("an integer other than 0 and 1 is no boolean".to_owned()),
        other => Err(mismatch(other, "boolean")),
    }
}

pub(super) fn integer(value: Value<'_>) -> Result<i64, String> {
    match value {
        Value::Integer(value) => Ok(value),
        Value::Boolean(value) => Ok(value.into()),
        other => Err(mismatch(other, "an integer")),
    }
}

pub(super) fn ranged<T: TryFrom<i64>>(value: i64) -> Result<T, String> {
    T::try_from(value).map_err(|_| "the integer is out of the column's range".to_owned())
}

const INEXACT: &str = "the number cannot be held exactly in binary floating point";

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "compared with the value before"
)]
pub(super) fn double(value: Value<'_>) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(value),
        Value::Integer(integer) => {
            let float = integer as f64;
            // Wider than both, so that the comparison itself is exact.
            (float as i128 == i128::from(integer))
                .then_some(float)
                .ok_or_else(|| INEXACT.to_owned())
        }
        Value::Decimal(digits) => decimal_double(digits),
        other => Err(mismatch(other, "a floating-point number")),
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "compared with the value before"
)]
pub(super) fn single(value: Value<'_>) -> Result<f32, String> {
    match value {
        Value::Float(double) => narrowed(double),
        Value::Integer(integer) => {
            let single = integer as f32;
            (single as i128 == i128::from(integer))
                .then_some(single)
                .ok_or_else(|| INEXACT.to_owned())
        }
        // Single precision is read as a double: its own shortest text would be another number.
        Value::Decimal(digits) => decimal_double(digits).and_then(narrowed),
        other => Err(mismatch(other, "a floating-point number")),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "compared with the value before"
)]
fn narrowed(double: f64) -> Result<f32, String> {
    let single = double as f32;
    (f64::from(single).to_bits() == double.to_bits())
        .then_some(single)
        .ok_or_else(|| "the number does not fit single precision exactly".to_owned())
}

/// Returns the double whose shortest text is the same number as a decimal.
fn decimal_double(digits: &str) -> Result<f64, String> {
    let number = Decimal::parse(digits).ok_or("the text is not a decimal number")?;
    let double: f64 = digits.parse().map_err(|_| INEXACT)?;
    let exact = match number {
        Decimal::Finite { .. } => {
            double.is_finite()
                && Decimal::parse(&double.to_string()).is_some_and(|back| back.same_number(number))
        }
        _ => true,
    };
    exact.then_some(double).ok_or_else(|| INEXACT.to_owned())
}

/// Hands the digits of a number to `put`, as `numeric` prints them.
pub(super) fn with_digits(
    value: Value<'_>,
    mut put: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Decimal(text) | Value::Text(text) => {
            if is_canonical(text) {
                put(text)
            } else {
                Err("the text is not a decimal number as printed".to_owned())
            }
        }
        Value::Integer(integer) => put(&integer.to_string()),
        Value::Float(float) if float.is_nan() => put("NaN"),
        Value::Float(float) if float.is_infinite() => {
            put(if float > 0.0 { "Infinity" } else { "-Infinity" })
        }
        // The sign of a zero would be lost.
        Value::Float(float) if float == 0.0 && float.is_sign_negative() => {
            Err("numeric has no negative zero".to_owned())
        }
        Value::Float(float) => put(&float.to_string()),
        other => Err(mismatch(other, "numeric")),
    }
}

/// Returns true if `numeric` prints the same text again.
fn is_canonical(text: &str) -> bool {
    match Decimal::parse(text) {
        Some(Decimal::Finite {
            negative,
            integer,
            fraction,
        }) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let before = digits.split('.').next().unwrap_or_default();
            negative == text.starts_with('-')
                && (before == integer || (before == "0" && integer.is_empty()))
                && digits.len() == before.len() + fraction.len() + usize::from(!fraction.is_empty())
        }
        other => other.is_some(),
    }
}

pub(super) fn text(value: Value<'_>, limit: TextLimit) -> Result<Cow<'_, str>, String> {
    let text: Cow<'_, str> = match value {
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) | Value::Printed(text) => {
            without_nul(text)?.into()
        }
        Value::Date(days) => temporal::format_date(checked_days(days)?).into(),
        Value::Time(at) => temporal::format_time(within_a_day(at)?).into(),
        Value::Timestamp(at) => temporal::format_timestamp(in_range(at)?, false).into(),
        Value::Timestamptz(at) => temporal::format_timestamp(in_range(at)?, true).into(),
        Value::Uuid(bytes) => format_uuid(bytes).into(),
        other @ (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Bytes(_)) => {
            return Err(mismatch(other, "text"));
        }
    };
    match limit {
        TextLimit::Characters(limit) if text.len() > limit && text.chars().count() > limit => {
            Err(format!("the text is longer than {limit} characters"))
        }
        TextLimit::Bytes(limit) if text.len() > limit => {
            Err(format!("the text is longer than {limit} bytes"))
        }
        _ => Ok(text),
    }
}

pub(super) fn without_nul(text: &str) -> Result<&str, String> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err("PostgreSQL's texts cannot hold the character U+0000".to_owned());
    }
    Ok(text)
}

pub(super) fn date(value: Value<'_>) -> Result<i32, String> {
    let days = match value {
        Value::Date(days) => days,
        Value::Text(text) => {
            temporal::parse_date(text).ok_or("the text is not a date as printed")?
        }
        other => return Err(mismatch(other, "date")),
    };
    match checked_days(days)? {
        i64::MIN => Ok(i32::MIN),
        i64::MAX => Ok(i32::MAX),
        days => ranged(days),
    }
}

fn checked_days(days: i64) -> Result<i64, String> {
    if matches!(days, i64::MIN | i64::MAX) || temporal::DATES.contains(&days) {
        Ok(days)
    } else {
        Err("the date is out of PostgreSQL's range".to_owned())
    }
}

pub(super) fn moment(
    value: Value<'_>,
    target: &str,
    parse: impl Fn(&str) -> Option<i64>,
) -> Result<i64, String> {
    match (value, target) {
        (Value::Time(at), "time")
        | (Value::Timestamp(at), "timestamp")
        | (Value::Timestamptz(at), "timestamptz") => Ok(at),
        (Value::Text(text), _) => {
            parse(text).ok_or_else(|| format!("the text is not a {target} as printed"))
        }
        (other, _) => Err(mismatch(other, target)),
    }
}

pub(super) fn in_range(at: i64) -> Result<i64, String> {
    if matches!(at, i64::MIN | i64::MAX) || temporal::TIMESTAMPS.contains(&at) {
        Ok(at)
    } else {
        Err("the timestamp is out of PostgreSQL's range".to_owned())
    }
}

pub(super) fn within_a_day(at: i64) -> Result<i64, String> {
    if (0..=DAY).contains(&at) {
        Ok(at)
    } else {
        Err("the time is outside of a day".to_owned())
    }
}

/// Checks the digits of a time: PostgreSQL would round it to those of the column.
pub(super) fn rounded(at: i64, digits: u32) -> Result<i64, String> {
    let unit = 10i64.pow(6u32.saturating_sub(digits));
    if matches!(at, i64::MIN | i64::MAX) || at % unit == 0 {
        Ok(at)
    } else {
        Err(format!(
            "the time has more than {digits} digits behind the second"
        ))
    }
}
