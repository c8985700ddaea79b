//! Reading a table's rows: the statement, and its stream.

use futures::StreamExt;
use tokio::sync::mpsc;

use crate::bindings::types::{Cell, TableSchema};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::codec::copy_stream::CopyReader;
use crate::database::postgres::codec::decode::DecodeError;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::database::{DatabaseError, Read, quote};
use crate::rows::{BlockBuilder, RowBlock};

/// The COPY statement, and the types of the columns that it gives.
pub(in crate::database::postgres) fn copy_statement(
    described: &Description,
    read: Read<'_>,
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

/// Reads the rows of a COPY. Answers whether the stream was read to its end; false: nobody wants the rest.
pub(in crate::database::postgres) async fn send_rows(
    reader: &mut Session,
    statement: &str,
    types: &[ColumnType],
    table: &str,
    blocks: mpsc::Sender<RowBlock>,
) -> Result<bool, DatabaseError> {
    let malformed = |error: DecodeError| DatabaseError::Unsuitable {
        table: table.to_owned(),
        reason: error.to_string(),
    };
    let mut copy = CopyReader::new(types.iter().map(|kind| kind.physical).collect());
    let mut rows = BlockBuilder::new(types.len());
    let mut pieces = reader
        .raw()
        .copy_out_raw(statement)
        .await
        .map_err(|error| error::at_work(&error))?;
    loop {
        // A sort can take long before its first row.
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = blocks.closed() => return Ok(false),
        };
        let Some(piece) = piece else { break };
        copy.push(&piece.map_err(|error| error::at_work(&error))?);
        while copy.next_row(&mut rows).map_err(malformed)? {
            if rows.is_full() && blocks.send(rows.take()).await.is_err() {
                return Ok(false);
            }
        }
    }
    if !copy.is_complete() {
        return Err(malformed(DecodeError::Format));
    }
    if !rows.is_empty() {
        // The stream is at its end, whether anybody listens or not.
        let _ = blocks.send(rows.take()).await;
    }
    Ok(true)
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
        // Microseconds are whole numbers in an interval, too; the day after midnight is no sum.
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
