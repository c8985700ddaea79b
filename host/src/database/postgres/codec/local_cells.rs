//! Converts local cells to the form of an incoming column, for components that compare both.

use super::numeric::Decimal;
use super::types::TextLimit;
use super::value::{Value, boolean, double, moment, text, value, with_digits};
use crate::bindings::types::{Cell, LogicalType};
use crate::rows::{CellRef, parse_uuid, temporal};

/// Returns a local cell in the form that a column of the incoming logical type has; a cell without such a form stays as it
/// is.
pub(in crate::database::postgres) fn in_form_of(
    cell: CellRef<'_>,
    local: &LogicalType,
    incoming: &LogicalType,
) -> Cell {
    if local == incoming {
        return cell.to_cell();
    }
    let Ok(Some(value)) = value(local, cell) else {
        return cell.to_cell();
    };
    let read = match incoming {
        // A column without a type of SQLite has numbers where it can.
        LogicalType::Any => match value {
            Value::Boolean(value) => Some(Cell::Integer(value.into())),
            value => sqlite_number(value),
        },
        LogicalType::Boolean => boolean(value).ok().map(Cell::Boolean),
        LogicalType::Integer => whole_number(value).map(Cell::Integer),
        LogicalType::Float => match value {
            Value::Decimal(digits) => digits.parse().ok().map(Cell::Real),
            _ => None,
        },
        LogicalType::Decimal => match value {
            Value::Float(float) => with_owned_digits(Value::Float(float)).map(Cell::Text),
            _ => None,
        },
        LogicalType::Date => date_text(value).map(Cell::Integer),
        LogicalType::Time => moment(value, "time", temporal::parse_time)
            .ok()
            .map(Cell::Integer),
        LogicalType::Timestamp => moment(value, "timestamp", |text| {
            temporal::parse_timestamp(text, false)
        })
        .ok()
        .map(Cell::Integer),
        LogicalType::Timestamptz => moment(value, "timestamptz", |text| {
            temporal::parse_timestamp(text, true)
        })
        .ok()
        .map(Cell::Integer),
        LogicalType::Uuid => match value {
            Value::Text(text) => parse_uuid(text).map(|bytes| Cell::Bytes(bytes.to_vec())),
            _ => None,
        },
        LogicalType::Text => in_text(value),
        _ => None,
    };
    let as_text = || match incoming {
        LogicalType::Any => in_text(value),
        _ => None,
    };
    read.or_else(as_text).unwrap_or_else(|| cell.to_cell())
}

/// Returns a local number in the storage class that SQLite gives it in a column of decimals: as an integer, else as a
/// double of the same digits; any other cell as it is.
pub(in crate::database::postgres) fn in_sqlite_form(
    cell: CellRef<'_>,
    local: &LogicalType,
) -> Cell {
    let value = value(local, cell).ok().flatten();
    value
        .and_then(sqlite_number)
        .unwrap_or_else(|| cell.to_cell())
}

fn sqlite_number(value: Value<'_>) -> Option<Cell> {
    let digits = match value {
        Value::Decimal(digits) => digits,
        Value::Float(float) => return Some(Cell::Real(float)),
        _ => return None,
    };
    if let Some(integer) = whole_number(value) {
        return Some(Cell::Integer(integer));
    }
    let real: f64 = digits.parse().ok().filter(|real: &f64| real.is_finite())?;
    let same = Decimal::parse(&with_owned_digits(Value::Float(real))?)?
        .same_number(Decimal::parse(digits)?);
    same.then_some(Cell::Real(real))
}

fn in_text(value: Value<'_>) -> Option<Cell> {
    let text = text(value, TextLimit::None).ok()?;
    Some(Cell::Text(text.into_owned()))
}

fn whole_number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Boolean(value) => Some(value.into()),
        Value::Decimal(digits) => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let is_whole = fraction.bytes().all(|digit| digit == b'0');
            whole.parse().ok().filter(|_| is_whole)
        }
        #[allow(clippy::cast_possible_truncation, reason = "compared afterwards")]
        Value::Float(float) => {
            let integer = float as i64;
            (double(Value::Integer(integer)) == Ok(float)).then_some(integer)
        }
        _ => None,
    }
}

fn with_owned_digits(value: Value<'_>) -> Option<String> {
    let mut text = String::new();
    with_digits(value, |digits| {
        text.push_str(digits);
        Ok(())
    })
    .ok()
    .map(|()| text)
}

fn date_text(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Text(text) => temporal::parse_date(text),
        _ => None,
    }
}
