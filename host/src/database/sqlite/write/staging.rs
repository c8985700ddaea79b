//! The temporary table that holds a chunk's rows before they are written.

use super::merge_sql::Merge;
use crate::bindings::types::Cell;
use crate::database::sqlite::codec::encode::RowLayout;
use crate::database::sqlite::codec::storage::{SqliteValue, SqliteValueRef};
use crate::database::sqlite::raw::{RawConnection, Row};
use crate::database::{DatabaseError, Resolution, StagedConflict};
use crate::rows::{CellRef, RowBlock};

/// A page of conflicts ends when its cells reach this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Creates an empty staging.
pub fn create(connection: &RawConnection<'_>, merge: &Merge) -> Result<(), DatabaseError> {
    remove(connection)?;
    connection.execute(&merge.create_staging(), &[])?;
    Ok(())
}

/// Drops the staging, if there is one.
pub fn remove(connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
    connection.execute("DROP TABLE IF EXISTS temp.tombolo_staging", &[])?;
    Ok(())
}

/// Empties the staging.
pub fn clear(connection: &RawConnection<'_>) -> Result<(), DatabaseError> {
    connection.execute("DELETE FROM temp.tombolo_staging", &[])?;
    Ok(())
}

/// Removes one row. Returns false if it is not staged.
pub fn take_out(connection: &RawConnection<'_>, number: i64) -> Result<bool, DatabaseError> {
    let taken = connection.execute(
        "DELETE FROM temp.tombolo_staging WHERE row = ?",
        &[SqliteValueRef::Integer(number)],
    )?;
    Ok(taken == 1)
}

/// Returns the numbers of all staged rows.
pub fn numbers(connection: &RawConnection<'_>) -> Result<Vec<i64>, DatabaseError> {
    let mut select = connection.prepare("SELECT row FROM temp.tombolo_staging ORDER BY row")?;
    let mut rows = select.query(&[])?;
    let mut numbers = Vec::new();
    while let Some(row) = rows.next()? {
        if let Ok(SqliteValueRef::Integer(number)) = row.get(0) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// Returns the canonical cells of a staged row, as one encoded row. Fails with `Unsuitable` if it is not staged.
pub fn encoded(
    connection: &RawConnection<'_>,
    layout: &RowLayout,
    number: i64,
) -> Result<Vec<u8>, DatabaseError> {
    let mut select = connection.prepare("SELECT * FROM temp.tombolo_staging WHERE row = ?")?;
    let values = [SqliteValueRef::Integer(number)];
    let mut rows = select.query(&values)?;
    let row = rows
        .next()?
        .ok_or_else(|| layout.unsuitable("a row was resolved that is not staged"))?;
    if let Ok(SqliteValueRef::Blob(cells)) = row.get(1) {
        return Ok(cells.to_vec());
    }
    let cells = layout
        .read(row, 2)
        .map_err(|reason| layout.unsuitable(&reason))?;
    Ok(RowBlock::encode_row(&cells))
}

/// Returns staged rows after a position that exist in the table with another image, at most `limit`.
pub fn conflicts(
    connection: &RawConnection<'_>,
    layout: &RowLayout,
    merge: &Merge,
    after: i64,
    limit: u32,
) -> Result<Vec<StagedConflict>, DatabaseError> {
    let mut statement = connection.prepare(&merge.conflicts())?;
    let values = [
        SqliteValueRef::Integer(after),
        SqliteValueRef::Integer(limit.into()),
    ];
    let mut rows = statement.query(&values)?;
    let mut conflicts = Vec::new();
    let mut size = 0;
    while size < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let Ok(SqliteValueRef::Integer(number)) = row.get(0) else {
            break;
        };
        let read = |row: Row<'_>, first| {
            layout
                .read(row, first)
                .map_err(|reason| layout.unsuitable(&format!("row {number}, {reason}")))
        };
        let incoming = match row.get(1) {
            Ok(SqliteValueRef::Blob(cells)) => RowBlock::parse_row(cells).unwrap_or_default(),
            _ => read(row, 2)?,
        };
        let local = read(row, 2 + layout.width())?;
        size += incoming.iter().chain(&local).map(cell_size).sum::<usize>();
        conflicts.push(StagedConflict {
            position: u64::try_from(number).unwrap_or_default(),
            incoming,
            local,
        });
    }
    Ok(conflicts)
}

fn cell_size(cell: &Cell) -> usize {
    13 + match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Resolves one staged row. Returns true if it stays in the staging. Fails with `Unsuitable` if it is not staged, or if the
/// table cannot hold the row to write.
pub fn resolve(
    connection: &RawConnection<'_>,
    layout: &RowLayout,
    merge: &Merge,
    number: i64,
    resolution: &Resolution,
) -> Result<bool, DatabaseError> {
    let twice = || layout.unsuitable("a row was resolved that is not staged, or resolved twice");
    match resolution {
        Resolution::TakeIncoming => Ok(true),
        Resolution::KeepLocal => match take_out(connection, number)? {
            true => Ok(false),
            false => Err(twice()),
        },
        Resolution::Write(cells) => {
            if cells.len() != layout.width() {
                return Err(layout.unsuitable(
                    "a row to write has another number of cells than the table's incoming columns",
                ));
            }
            let mut values = Vec::with_capacity(cells.len());
            layout
                .store(cells.iter().map(CellRef::from), &mut values)
                .map_err(|reason| {
                    layout.unsuitable(&format!("a row to write cannot be stored: {reason}"))
                })?;
            let encoded = RowBlock::encode_row(cells);
            let mut parameters = vec![SqliteValueRef::Blob(&encoded)];
            parameters.extend(values.iter().map(SqliteValue::borrow));
            parameters.push(SqliteValueRef::Integer(number));
            match connection.execute(&merge.restage(), &parameters)? {
                1 => Ok(true),
                _ => Err(twice()),
            }
        }
    }
}
