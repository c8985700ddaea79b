//! A comparison of two SQLite files cell by cell, which shares no code with transfers.

use std::cmp::Ordering;
use std::path::Path;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tombolo::database::quote;

/// The comparison of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Its name.
    pub table: String,
    /// Rows in the source.
    pub rows: u64,
    /// Rows that are the same on both sides.
    pub equal: u64,
    /// Rows that only the source has.
    pub missing: u64,
    /// Rows with the same key that differ.
    pub different: u64,
    /// Rows that only the target has.
    pub surplus: u64,
}

impl Comparison {
    /// Rows that are not the same on both sides.
    pub fn differences(&self) -> u64 {
        self.missing + self.different + self.surplus
    }
}

/// The storage class and the bits of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Null,
    Integer(i64),
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

struct Row {
    key: i64,
    cells: Vec<Cell>,
}

/// Compares all tables of two files. Each table must have an integer key `id`.
pub async fn files(source: &Path, target: &Path) -> Result<Vec<Comparison>, std::io::Error> {
    compare(source, target).await.map_err(std::io::Error::other)
}

async fn compare(source: &Path, target: &Path) -> Result<Vec<Comparison>, sqlx::Error> {
    let open = |path: &Path| {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        async move { options.connect().await }
    };
    let (mut source, mut target) = (open(source).await?, open(target).await?);
    let mut comparisons = Vec::new();
    for table in tables(&mut source).await? {
        let columns = columns(&mut source, &table).await?;
        let sql = select(&table, &columns);
        let comparison = merge(
            table,
            rows(&mut source, &sql, columns.len()),
            rows(&mut target, &sql, columns.len()),
        );
        comparisons.push(comparison.await?);
    }
    source.close().await?;
    target.close().await?;
    Ok(comparisons)
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    sqlx::query_scalar(sql).fetch_all(connection).await
}

async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
        .bind(table)
        .fetch_all(connection)
        .await
}

/// Selects the key, then the storage class and the value of each column.
fn select(table: &str, columns: &[String]) -> String {
    let cells: Vec<String> = columns
        .iter()
        .map(|column| format!("typeof({0}), {0}", quote(column)))
        .collect();
    format!(
        "SELECT id, {} FROM {} ORDER BY id",
        cells.join(", "),
        quote(table)
    )
}

fn rows<'a>(
    connection: &'a mut SqliteConnection,
    sql: &str,
    columns: usize,
) -> BoxStream<'a, Result<Row, sqlx::Error>> {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch(connection)
        .map(move |row| read(&row?, columns))
        .boxed()
}

fn read(row: &SqliteRow, columns: usize) -> Result<Row, sqlx::Error> {
    let cell = |column: usize| {
        let (class, value) = (1 + 2 * column, 2 + 2 * column);
        Ok(match row.try_get::<&str, _>(class)? {
            "null" => Cell::Null,
            "integer" => Cell::Integer(row.try_get_unchecked(value)?),
            "real" => Cell::Real(row.try_get_unchecked::<f64, _>(value)?.to_bits()),
            "text" => Cell::Text(row.try_get_unchecked(value)?),
            _ => Cell::Blob(row.try_get_unchecked(value)?),
        })
    };
    Ok(Row {
        key: row.try_get(0)?,
        cells: (0..columns).map(cell).collect::<Result<_, sqlx::Error>>()?,
    })
}

/// Reads both tables in the order of their keys and counts the rows.
async fn merge(
    table: String,
    mut source: BoxStream<'_, Result<Row, sqlx::Error>>,
    mut target: BoxStream<'_, Result<Row, sqlx::Error>>,
) -> Result<Comparison, sqlx::Error> {
    let mut counts = Comparison {
        table,
        rows: 0,
        equal: 0,
        missing: 0,
        different: 0,
        surplus: 0,
    };
    let mut one = source.try_next().await?;
    let mut other = target.try_next().await?;
    loop {
        let ordering = match (&one, &other) {
            (None, None) => return Ok(counts),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.key.cmp(&other.key),
        };
        match ordering {
            Ordering::Less => counts.missing += 1,
            Ordering::Greater => counts.surplus += 1,
            Ordering::Equal if cells(&one) == cells(&other) => counts.equal += 1,
            Ordering::Equal => counts.different += 1,
        }
        if ordering.is_le() {
            counts.rows += 1;
            one = source.try_next().await?;
        }
        if ordering.is_ge() {
            other = target.try_next().await?;
        }
    }
}

fn cells(row: &Option<Row>) -> Option<&[Cell]> {
    row.as_ref().map(|row| row.cells.as_slice())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use sqlx::Executor as _;

    async fn file(path: &Path, rows: &str) {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let sql = format!(
            "CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY, v); INSERT INTO \"a b\" VALUES {rows}"
        );
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn compared(source: &str, target: &str) -> Comparison {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        file(&one, source).await;
        file(&other, target).await;
        files(&one, &other).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn rows_are_told_apart() {
        let source = "(1, 'a'), (2, 'b'), (4, 'd'), (5, 'e')";
        let compared = compared(source, "(0, 'z'), (1, 'a'), (2, 'x'), (3, 'c'), (5, 'e')").await;
        let expected = Comparison {
            table: "a b".to_owned(),
            rows: 4,
            equal: 2,
            missing: 1,
            different: 1,
            surplus: 2,
        };
        assert_eq!(compared, expected);
        assert_eq!(compared.differences(), 4);
    }

    #[tokio::test]
    async fn the_storage_class_counts_and_so_does_every_bit() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "'1'"),
            ("'a'", "x'61'"),
            ("''", "NULL"),
            ("0.1", "0.10000000000000002"),
            ("'a' || char(0) || 'b'", "'a' || char(0) || 'c'"),
            ("'é'", "'e'"),
        ] {
            let row = |value: &str| format!("(1, {value})");
            assert_eq!(
                compared(&row(one), &row(other)).await.different,
                1,
                "{one} {other}"
            );
            assert_eq!(compared(&row(one), &row(one)).await.equal, 1, "{one}");
        }
    }
}
