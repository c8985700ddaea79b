//! Entry points for the fuzz targets.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

use super::codec::decimal;
use super::codec::storage::{LocalColumn, SqliteValueRef, to_cell, to_storage};
use super::codec::types::Affinity;
use super::raw::{RawConnection, RawError};
use crate::bindings::types::{Cell, LogicalType};
use crate::database::DatabaseError;
use crate::rows::CellRef;

/// One declared type for each affinity and each special rule.
pub const DECLARED: [&str; 8] = [
    "",
    "INTEGER",
    "TEXT",
    "BLOB",
    "REAL",
    "NUMERIC",
    "DECIMAL(10,2)",
    "INTEGER PRIMARY KEY",
];

/// What happened to a cell.
#[derive(Debug)]
pub enum Kept {
    /// The column cannot hold it.
    Refused,
    /// It was stored, and this was read back.
    Read(Cell),
    /// It was stored and cannot be read back.
    Unreadable(String),
}

/// A database in memory with one table for each of [`DECLARED`].
#[derive(Debug)]
pub struct Memory(SqliteConnection);

impl Memory {
    /// Creates the tables.
    pub async fn open() -> Result<Self, sqlx::Error> {
        let mut connection = SqliteConnectOptions::new()
            .filename(":memory:")
            .disable_statement_logging()
            .connect()
            .await?;
        for (number, declared) in DECLARED.iter().enumerate() {
            let sql = format!("CREATE TABLE t{number} (c {declared})");
            sqlx::query(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await?;
        }
        Ok(Self(connection))
    }

    /// Stores a cell in the column of one of [`DECLARED`], reads it back, and deletes it.
    pub async fn keep(
        &mut self,
        number: usize,
        logical: &LogicalType,
        cell: CellRef<'_>,
    ) -> Result<Kept, sqlx::Error> {
        let declared = DECLARED.get(number).copied().unwrap_or_default();
        let column = LocalColumn {
            name: "c".to_owned(),
            affinity: Affinity::of(declared, false),
            rowid: declared.ends_with("KEY"),
            keeps_float_bits: false,
        };
        let Ok(value) = to_storage(cell, logical, &column) else {
            return Ok(Kept::Refused);
        };
        let failed = |error: DatabaseError| sqlx::Error::Decode(error.into());
        let connection = RawConnection::lock(&mut self.0).await.map_err(failed)?;
        let kept = keep(&connection, number, logical, value.borrow());
        kept.map_err(|error| failed(error.into()))
    }
}

fn keep(
    connection: &RawConnection<'_>,
    number: usize,
    logical: &LogicalType,
    value: SqliteValueRef<'_>,
) -> Result<Kept, RawError> {
    connection.execute(&format!("INSERT INTO t{number} VALUES (?)"), &[value])?;
    let kept = {
        let mut select = connection.prepare(&format!("SELECT c FROM t{number}"))?;
        let mut rows = select.query(&[])?;
        let mut scratch = [0; 16];
        let read = rows
            .next()?
            .map_or(Err("the row is missing".to_owned()), |row| {
                let value = row.get(0).map_err(str::to_owned)?;
                to_cell(value, logical, &mut scratch).map(CellRef::to_cell)
            });
        read.map_or_else(Kept::Unreadable, Kept::Read)
    };
    connection.execute(&format!("DELETE FROM t{number}"), &[])?;
    Ok(kept)
}

/// Parses a text as a number.
pub fn parse_number(text: &str) {
    let _ = (decimal::exact(text), decimal::looks_like_number(text));
}
