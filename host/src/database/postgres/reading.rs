//! The statement that reads a table's rows.

use super::schema::Description;
use super::types::{Carrier, ColumnType};
use crate::bindings::types::{Cell, TableSchema};
use crate::database::{DatabaseError, Read, quote};

/// The COPY statement, and the types of the columns that it gives.
pub(super) fn copy_statement<'a>(
    described: &'a Description,
    read: Read<'_>,
) -> Result<(String, Vec<&'a ColumnType>), DatabaseError> {
    let table = read.table;
    let unsuitable = |reason: String| DatabaseError::Unsuitable {
        table: table.table.clone(),
        reason,
    };
    if table.columns.is_empty() {
        return Err(unsuitable("it has no column that can be read".to_owned()));
    }
    let mut expressions = Vec::with_capacity(table.columns.len());
    let mut types = Vec::with_capacity(table.columns.len());
    for wanted in &table.columns {
        let (column, kind) = described
            .column(&wanted.name)
            .ok_or_else(|| unsuitable(format!("its column {:?} is gone", wanted.name)))?;
        expressions.push(kind.read_expression(&quote(&column.name)));
        types.push(kind);
    }
    let key: Vec<_> = table.primary_key.iter().map(|name| quote(name)).collect();
    let key = key.join(", ");
    let behind = match read.after {
        None => String::new(),
        Some(cells) => {
            let values = key_values(described, table, cells);
            let values = values
                .ok_or_else(|| unsuitable("its rows cannot be read on from this key".to_owned()))?;
            format!(" WHERE ({key}) > ({values})")
        }
    };
    let order = if read.ordered && !key.is_empty() {
        format!(" ORDER BY {key}")
    } else {
        String::new()
    };
    let limit = read
        .limit
        .map_or_else(String::new, |rows| format!(" LIMIT {rows}"));
    let statement = format!(
        "COPY (SELECT {} FROM {}{behind}{order}{limit}) TO STDOUT (FORMAT binary)",
        expressions.join(", "),
        described.relation.only()
    );
    Ok((statement, types))
}

/// A key as SQL: COPY takes no parameters.
fn key_values(described: &Description, table: &TableSchema, cells: &[Cell]) -> Option<String> {
    if cells.len() != table.primary_key.len() || cells.is_empty() {
        return None;
    }
    let values = table.primary_key.iter().zip(cells).map(|(name, cell)| {
        let (_, kind) = described.column(name)?;
        literal(kind, cell)
    });
    Some(values.collect::<Option<Vec<_>>>()?.join(", "))
}

/// A canonical cell as an expression of the column's base type. None: a cell that such a column does not give.
fn literal(kind: &ColumnType, cell: &Cell) -> Option<String> {
    let base = &kind.base;
    let quoted = |text: &str| {
        let text = text.replace('\'', "''");
        (!text.contains('\0')).then(|| format!("'{text}'::{base}"))
    };
    match (kind.carrier, cell) {
        (Carrier::Bool, Cell::Boolean(value)) => Some(value.to_string()),
        (Carrier::Int2 | Carrier::Int4 | Carrier::Int8, Cell::Integer(value)) => {
            quoted(&value.to_string())
        }
        (Carrier::Float4 | Carrier::Float8, Cell::Real(value)) => quoted(&value.to_string()),
        (Carrier::Uuid | Carrier::Bytea, Cell::Bytes(bytes)) => {
            let digits = crate::digest::hex(bytes);
            match kind.carrier {
                Carrier::Uuid => quoted(&digits),
                _ => quoted(&format!("\\x{digits}")),
            }
        }
        (
            Carrier::Date | Carrier::Timestamp(_) | Carrier::Timestamptz(_),
            Cell::Integer(i64::MIN),
        ) => quoted("-infinity"),
        (
            Carrier::Date | Carrier::Timestamp(_) | Carrier::Timestamptz(_),
            Cell::Integer(i64::MAX),
        ) => quoted("infinity"),
        (Carrier::Date, Cell::Integer(days)) => {
            let days = i32::try_from(*days).ok()?;
            Some(format!("('2000-01-01'::date + '{days}'::int4)"))
        }
        // Microseconds are whole numbers in an interval, too; the day after midnight is no sum.
        (Carrier::Time(_), Cell::Integer(86_400_000_000)) => quoted("24:00:00"),
        (Carrier::Time(_), Cell::Integer(at)) => {
            Some(format!("('00:00'::time + '{at} microseconds'::interval)"))
        }
        (Carrier::Timestamp(_), Cell::Integer(at)) => Some(format!(
            "('2000-01-01 00:00'::timestamp + '{at} microseconds'::interval)"
        )),
        (Carrier::Timestamptz(_), Cell::Integer(at)) => Some(format!(
            "('2000-01-01 00:00+00'::timestamptz + '{at} microseconds'::interval)"
        )),
        (Carrier::Widened(form), cell) => quoted(&form.print(cell.into()).ok()??),
        (
            Carrier::Numeric(_)
            | Carrier::Text(_)
            | Carrier::Json
            | Carrier::Jsonb
            | Carrier::ByText,
            Cell::Text(text),
        ) => quoted(text),
        _ => None,
    }
}
