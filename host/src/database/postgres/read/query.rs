//! Builds the statement that reads a table's rows.

use crate::bindings::types::{Cell, TableSchema};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::catalog::operators::KeyOperators;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::{DatabaseError, LoginView, Read, quote};

/// Returns the COPY statement, and the types of its columns. Fails with [`DatabaseError::Unsuitable`] if the table
/// cannot be read as asked.
pub(in crate::database::postgres) fn copy_statement(
    described: &Description,
    read: Read<'_>,
    view: LoginView,
) -> Result<(String, Vec<ColumnType>), DatabaseError> {
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
        types.push(kind.clone());
    }
    if described.relation.filtered && view == LoginView::Whole {
        return Err(unsuitable(
            "its policies may hide rows from this login; read it as its owner, or as a login with BYPASSRLS, or take only the rows that this login sees (share --row-security)".to_owned(),
        ));
    }
    let key: Vec<_> = table.primary_key.iter().map(|name| quote(name)).collect();
    let behind = match read.after {
        None => String::new(),
        Some(cells) => {
            let condition = key_values(described, table, cells)
                .and_then(|values| behind(&key, &values, &described.key_operators));
            let condition = condition
                .ok_or_else(|| unsuitable("its rows cannot be read on from this key".to_owned()))?;
            format!(" WHERE {condition}")
        }
    };
    let key = key.join(", ");
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

/// Returns a key as SQL: COPY takes no parameters.
fn key_values(described: &Description, table: &TableSchema, cells: &[Cell]) -> Option<Vec<String>> {
    if cells.len() != table.primary_key.len() || cells.is_empty() {
        return None;
    }
    let values = table.primary_key.iter().zip(cells).map(|(name, cell)| {
        let (_, kind) = described.column(name)?;
        literal(kind, cell)
    });
    values.collect()
}

/// Returns the condition that a key comes after these values; none if the operators of a column are not known.
fn behind(key: &[String], values: &[String], operators: &[KeyOperators]) -> Option<String> {
    if operators.len() != key.len() || values.len() != key.len() {
        return None;
    }
    let first = operators.first()?;
    if operators.iter().all(|one| one.greater == first.greater) {
        // One comparison of rows, which an index answers.
        let (key, values) = (key.join(", "), values.join(", "));
        return Some(format!("({key}) {} ({values})", first.greater));
    }
    // Rows are compared by one operator, and these are several.
    let columns = key.iter().zip(values).zip(operators);
    let mut condition: Option<String> = None;
    for ((key, value), KeyOperators { equals, greater }) in columns.rev() {
        condition = Some(match condition {
            None => format!("{key} {greater} {value}"),
            Some(rest) => {
                format!("({key} {greater} {value} OR {key} {equals} {value} AND ({rest}))")
            }
        });
    }
    condition
}

/// Returns a canonical cell as an expression of the column's base type; none if such a column has no such cell.
fn literal(kind: &ColumnType, cell: &Cell) -> Option<String> {
    let base = &kind.base;
    let quoted = |text: &str| {
        let text = text.replace('\'', "''");
        (!text.contains('\0')).then(|| format!("'{text}'::{base}"))
    };
    match (kind.physical, cell) {
        (PhysicalType::Bool, Cell::Boolean(value)) => Some(value.to_string()),
        (PhysicalType::Int2 | PhysicalType::Int4 | PhysicalType::Int8, Cell::Integer(value)) => {
            quoted(&value.to_string())
        }
        (PhysicalType::Float4 | PhysicalType::Float8, Cell::Real(value)) => {
            quoted(&value.to_string())
        }
        (PhysicalType::Uuid | PhysicalType::Bytea, Cell::Bytes(bytes)) => {
            let digits = hex::encode(bytes);
            match kind.physical {
                PhysicalType::Uuid => quoted(&digits),
                _ => quoted(&format!("\\x{digits}")),
            }
        }
        (
            PhysicalType::Date | PhysicalType::Timestamp(_) | PhysicalType::Timestamptz(_),
            Cell::Integer(i64::MIN),
        ) => quoted("-infinity"),
        (
            PhysicalType::Date | PhysicalType::Timestamp(_) | PhysicalType::Timestamptz(_),
            Cell::Integer(i64::MAX),
        ) => quoted("infinity"),
        (PhysicalType::Date, Cell::Integer(days)) => {
            let days = i32::try_from(*days).ok()?;
            Some(format!("('2000-01-01'::date + '{days}'::int4)"))
        }
        // An interval holds whole microseconds as well; 24:00:00 is no sum.
        (PhysicalType::Time(_), Cell::Integer(86_400_000_000)) => quoted("24:00:00"),
        (PhysicalType::Time(_), Cell::Integer(at)) => {
            Some(format!("('00:00'::time + '{at} microseconds'::interval)"))
        }
        (PhysicalType::Timestamp(_), Cell::Integer(at)) => Some(format!(
            "('2000-01-01 00:00'::timestamp + '{at} microseconds'::interval)"
        )),
        (PhysicalType::Timestamptz(_), Cell::Integer(at)) => Some(format!(
            "('2000-01-01 00:00+00'::timestamptz + '{at} microseconds'::interval)"
        )),
        // The form of a number for SQLite.
        (PhysicalType::Numeric(_), Cell::Integer(value)) => quoted(&value.to_string()),
        (PhysicalType::Numeric(_), Cell::Real(value)) if value.is_finite() => {
            quoted(&value.to_string())
        }
        (PhysicalType::WideText(form), cell) => quoted(&form.print(cell.into()).ok()??),
        (
            PhysicalType::Numeric(_)
            | PhysicalType::Text(_)
            | PhysicalType::Json
            | PhysicalType::Jsonb
            | PhysicalType::ByText,
            Cell::Text(text),
        ) => quoted(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(schemas: &[&str]) -> Option<String> {
        let operators: Vec<KeyOperators> = schemas
            .iter()
            .map(|schema| KeyOperators {
                equals: format!("OPERATOR({schema}.=)"),
                greater: format!("OPERATOR({schema}.>)"),
            })
            .collect();
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let (key, values) = (texts(&["a", "b", "c"]), texts(&["1", "2", "3"]));
        behind(&key, &values, &operators)
    }

    #[test]
    fn keys_are_compared_by_the_operators_of_their_classes() {
        let own = "pg_catalog";
        assert_eq!(
            after(&[own, own, own]).as_deref(),
            Some("(a, b, c) OPERATOR(pg_catalog.>) (1, 2, 3)")
        );
        assert_eq!(
            after(&[own, "public", own]).as_deref(),
            Some(
                "(a OPERATOR(pg_catalog.>) 1 OR a OPERATOR(pg_catalog.=) 1 AND \
                 ((b OPERATOR(public.>) 2 OR b OPERATOR(public.=) 2 AND (c OPERATOR(pg_catalog.>) 3))))"
            )
        );
        assert_eq!(after(&[own]), None);
    }
}
