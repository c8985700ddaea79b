//! Converts local cells to the form of an incoming column, so that equal values are equal cells.

use super::types::{ColumnType, PhysicalType, TextLimit};
use super::value::{
    Value, boolean, double, exactly_as, moment, text, value, whole_number, with_digits,
};
use crate::bindings::types::{Cell, Column, LogicalType};
use crate::database::Origin;
use crate::rows::{BlockBuilder, CellRef, RowBlock, parse_uuid, temporal};

/// The form that the cells of a local column have for a peer's column.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct CellForm {
    local: LogicalType,
    incoming: LogicalType,
    /// Whether the peer's cells say themselves what they mean, as those of SQLite do.
    by_class: bool,
    /// Whether the column gives each number the same digits behind the point.
    pads: bool,
}

impl CellForm {
    /// Returns the form of a column's cells for a column of the peer; none if they have it as they are read.
    pub fn of(kind: &ColumnType, incoming: &Column) -> Option<Self> {
        let by_class = Origin::parse(&incoming.origin).is_sqlite();
        // The cells of SQLite are in a wide column as they were sent.
        let is_wide = matches!(kind.physical, PhysicalType::WideText(_));
        let differs = kind.logical != incoming.logical;
        let has_several = by_class && kind.logical == LogicalType::Decimal;
        (!is_wide && (differs || has_several)).then(|| Self {
            local: kind.logical.clone(),
            incoming: incoming.logical.clone(),
            by_class,
            pads: matches!(kind.physical, PhysicalType::Numeric(Some(_)))
                && incoming.logical != LogicalType::Text,
        })
    }

    /// Returns a local cell in this form; a cell without such a form stays as it is.
    pub fn apply(&self, cell: CellRef<'_>) -> Cell {
        let read = match value(&self.local, cell) {
            Ok(Some(Value::Decimal(digits))) if self.by_class && self.pads => {
                of_sqlite(Value::Decimal(without_zeros(digits)), &self.incoming)
            }
            Ok(Some(value)) if self.by_class => of_sqlite(value, &self.incoming),
            Ok(Some(value)) => in_form_of(value, &self.incoming),
            _ => None,
        };
        read.unwrap_or_else(|| cell.to_cell())
    }
}

/// Returns rows with their cells in these forms, one for each column.
pub(in crate::database::postgres) fn reform(
    block: &RowBlock,
    forms: &[Option<CellForm>],
) -> RowBlock {
    let mut rows = BlockBuilder::new(forms.len());
    for row in block.rows() {
        for (cell, form) in row.zip(forms) {
            match form {
                Some(form) => rows.push((&form.apply(cell)).into()),
                None => rows.push(cell),
            }
        }
        rows.end_row();
    }
    rows.take()
}

/// Returns a value in the storage class that a column of SQLite with this declared meaning has for it.
fn of_sqlite(value: Value<'_>, declared: &LogicalType) -> Option<Cell> {
    use LogicalType as L;
    Some(match value {
        // A column of text affinity has no numbers.
        Value::Integer(number) if *declared == L::Text => Cell::Text(number.to_string()),
        Value::Decimal(digits) if *declared == L::Text => Cell::Text(digits.to_owned()),
        Value::Float(float) if *declared == L::Text && float.is_finite() => {
            Cell::Text(printed(float))
        }
        Value::Boolean(value) if *declared == L::Boolean => Cell::Boolean(value),
        Value::Boolean(value) => Cell::Integer(value.into()),
        Value::Integer(value @ (0 | 1)) if *declared == L::Boolean => Cell::Boolean(value == 1),
        Value::Integer(value) if *declared == L::Float => {
            Cell::Real(double(Value::Integer(value)).ok()?)
        }
        Value::Integer(value) => Cell::Integer(value),
        // A column of numeric affinity has no real where an integer is the same number.
        Value::Float(float) if !matches!(declared, L::Float | L::Any | L::Bytes) => {
            match whole_number(value) {
                Some(number) => return of_sqlite(Value::Integer(number), declared),
                None => Cell::Real(float),
            }
        }
        Value::Float(float) => Cell::Real(float),
        Value::Decimal(digits) => match digits.parse::<i64>() {
            Ok(number) if number.to_string() == digits => {
                return of_sqlite(Value::Integer(number), declared);
            }
            _ => match double(value) {
                Ok(float) if !float.is_nan() && printed(float) == digits => Cell::Real(float),
                _ => Cell::Text(digits.to_owned()),
            },
        },
        Value::Bytes(bytes) => Cell::Bytes(bytes.to_vec()),
        value => Cell::Text(text(value, TextLimit::None).ok()?.into_owned()),
    })
}

/// Returns the digits of a number without zeros at the end that are behind the point.
fn without_zeros(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

/// Prints a number as `numeric` keeps it.
fn printed(float: f64) -> String {
    with_owned_digits(Value::Float(float)).unwrap_or_default()
}

/// Returns a value in the form that a column of the incoming logical type has; none without such a form.
fn in_form_of(value: Value<'_>, incoming: &LogicalType) -> Option<Cell> {
    match incoming {
        LogicalType::Boolean => boolean(value).ok().map(Cell::Boolean),
        LogicalType::Integer => whole_number(match value {
            Value::Decimal(digits) => Value::Decimal(without_zeros(digits)),
            other => other,
        })
        .map(Cell::Integer),
        LogicalType::Float => match value {
            Value::Decimal(digits) => digits.parse().ok().map(Cell::Real),
            Value::Integer(_) => double(value).ok().map(Cell::Real),
            _ => None,
        },
        LogicalType::Decimal => match value {
            Value::Float(_) | Value::Integer(_) => with_owned_digits(value).map(Cell::Text),
            _ => None,
        },
        LogicalType::Date => match exactly_as(value, PhysicalType::Date) {
            Value::Date(days) => Some(Cell::Integer(days)),
            value => date_text(value).map(Cell::Integer),
        },
        LogicalType::Time => moment(value, "time", temporal::parse_time)
            .ok()
            .map(Cell::Integer),
        LogicalType::Timestamp => moment(
            exactly_as(value, PhysicalType::Timestamp(6)),
            "timestamp",
            |text| temporal::parse_timestamp(text, false),
        )
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
        LogicalType::Text | LogicalType::Any => text(value, TextLimit::None)
            .ok()
            .map(|text| Cell::Text(text.into_owned())),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn form(local: LogicalType, incoming: LogicalType, by_class: bool) -> CellForm {
        CellForm {
            local,
            incoming,
            by_class,
            pads: false,
        }
    }

    #[test]
    fn numbers_have_the_class_that_sqlite_gives_them() {
        use LogicalType as L;
        for (local, declared, cell, expected) in [
            (
                L::Integer,
                L::Boolean,
                Cell::Integer(1),
                Cell::Boolean(true),
            ),
            (L::Integer, L::Boolean, Cell::Integer(2), Cell::Integer(2)),
            (
                L::Boolean,
                L::Integer,
                Cell::Boolean(true),
                Cell::Integer(1),
            ),
            (
                L::Decimal,
                L::Decimal,
                Cell::Text("7".to_owned()),
                Cell::Integer(7),
            ),
            (
                L::Decimal,
                L::Text,
                Cell::Text("1.5".to_owned()),
                Cell::Text("1.5".to_owned()),
            ),
            (
                L::Decimal,
                L::Text,
                Cell::Text("1.50".to_owned()),
                Cell::Text("1.50".to_owned()),
            ),
            (
                L::Decimal,
                L::Float,
                Cell::Text("7".to_owned()),
                Cell::Real(7.0),
            ),
            (
                L::Float,
                L::Text,
                Cell::Real(7.0),
                Cell::Text("7".to_owned()),
            ),
            (L::Float, L::Any, Cell::Real(7.0), Cell::Real(7.0)),
            (
                L::Float,
                L::Text,
                Cell::Real(f64::INFINITY),
                Cell::Real(f64::INFINITY),
            ),
            (
                L::Bytes,
                L::Integer,
                Cell::Bytes(vec![1]),
                Cell::Bytes(vec![1]),
            ),
            (
                L::Date,
                L::Text,
                Cell::Integer(0),
                Cell::Text("2000-01-01".to_owned()),
            ),
        ] {
            let read = form(local, declared, true).apply((&cell).into());
            assert_eq!(read, expected, "{cell:?}");
        }
    }

    #[test]
    fn numbers_of_postgresql_have_the_form_of_the_incoming_type() {
        use LogicalType as L;
        for (local, incoming, cell, expected) in [
            (
                L::Integer,
                L::Decimal,
                Cell::Integer(7),
                Cell::Text("7".to_owned()),
            ),
            (
                L::Decimal,
                L::Integer,
                Cell::Text("7".to_owned()),
                Cell::Integer(7),
            ),
            (L::Integer, L::Float, Cell::Integer(7), Cell::Real(7.0)),
            (
                L::Timestamp,
                L::Date,
                Cell::Integer(-86_400_000_000),
                Cell::Integer(-1),
            ),
            (
                L::Date,
                L::Timestamp,
                Cell::Integer(-1),
                Cell::Integer(-86_400_000_000),
            ),
            (
                L::Text,
                L::Integer,
                Cell::Text("7".to_owned()),
                Cell::Integer(7),
            ),
            (
                L::Text,
                L::Integer,
                Cell::Text("07".to_owned()),
                Cell::Text("07".to_owned()),
            ),
            (
                L::Decimal,
                L::Integer,
                Cell::Text("7.5".to_owned()),
                Cell::Text("7.5".to_owned()),
            ),
        ] {
            let read = form(local, incoming, false).apply((&cell).into());
            assert_eq!(read, expected, "{cell:?}");
        }
    }
}
