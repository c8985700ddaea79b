//! The bytes of PostgreSQL tables as binary COPY returns them, which show differences that text can hide.

use std::process::Command;

use super::postgres::Database;
use super::sqlite::{literal, quote};

/// Bytes before the first row of a binary COPY.
const HEADER: usize = 19;

/// The columns' types and the bytes of each cell of a table.
#[derive(Debug)]
pub struct Image {
    /// Name, type and NOT NULL of each column.
    pub columns: Vec<[String; 3]>,
    /// The selected expressions, of which a column may have two.
    cells: Vec<String>,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Image {
    /// Reads a table in the order of its first column, without its child tables.
    pub fn of(database: &Database, table: &str) -> Self {
        let oid = format!("{}::regclass", literal(&quote(table)));
        let described = database.rows(&format!(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull::text,
               (t.oid >= 16384 OR t.typelem >= 16384 OR t.typname IN ('xml', '_xml') OR t.typname ~ '^_?reg')::text
             FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
             WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        ));
        let mut columns = Vec::new();
        let mut cells = Vec::new();
        for row in described {
            let [name, kind, required, as_text] = <[Option<String>; 4]>::try_from(row)
                .unwrap()
                .map(Option::unwrap_or_default);
            let quoted = quote(&name);
            match as_text.as_str() {
                // The binary form of these contains ids of the database's catalog; that of xml drops the XML declaration.
                "true" if kind == "xml[]" => cells.push(format!("{quoted}::text[]")),
                "true" => cells.extend([
                    format!("{quoted}::text"),
                    format!("{quoted} IS NOT DISTINCT FROM NULL"),
                ]),
                _ => cells.push(quoted),
            }
            columns.push([name, kind, required]);
        }
        let only = match database.number(&format!(
            "SELECT count(*) FROM pg_class WHERE oid = {oid} AND relkind = 'p'"
        )) {
            0 => "ONLY ",
            _ => "",
        };
        let copy = format!(
            "COPY (SELECT {} FROM {only}{} ORDER BY 1) TO STDOUT (FORMAT binary)",
            cells.join(", "),
            quote(table)
        );
        let output = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &copy])
            .arg(database.url())
            .output()
            .unwrap_or_else(|error| panic!("psql: {error}"));
        assert!(
            output.status.success(),
            "{copy}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rows = rows(&output.stdout[HEADER..]);
        Self {
            columns,
            cells,
            rows,
        }
    }

    /// Describes the differences between two images.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let columns = self.columns.iter().zip(&other.columns);
        let mut differences: Vec<String> = columns
            .filter(|(one, other)| one != other)
            .map(|(one, other)| format!("{one:?} became {other:?}"))
            .collect();
        let lengths = |image: &Self| (image.columns.len(), image.cells.len(), image.rows.len());
        if lengths(self) != lengths(other) {
            differences.push(format!(
                "{:?} columns, cells, rows became {:?}",
                lengths(self),
                lengths(other)
            ));
        }
        for (number, (one, other)) in self.rows.iter().zip(&other.rows).enumerate() {
            for ((cell, one), other) in self.cells.iter().zip(one).zip(other) {
                if one != other {
                    differences.push(format!(
                        "row {number}, {cell}: {} became {}",
                        shown(one),
                        shown(other)
                    ));
                }
            }
        }
        differences
    }
}

/// Checks that a table has the same columns and the same bytes in two databases.
pub fn assert_same_image(one: &Database, other: &Database, table: &str) {
    let differences = Image::of(one, table).differences(&Image::of(other, table));
    assert!(differences.is_empty(), "{differences:#?}");
}

fn rows(mut bytes: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rows = Vec::new();
    loop {
        let fields = i16::from_be_bytes(take(&mut bytes, 2).try_into().unwrap());
        if fields == -1 {
            return rows;
        }
        let field = |_| {
            let length = i32::from_be_bytes(take(&mut bytes, 4).try_into().unwrap());
            usize::try_from(length)
                .ok()
                .map(|length| take(&mut bytes, length).to_vec())
        };
        rows.push((0..fields).map(field).collect());
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (front, back) = bytes.split_at(length);
    *bytes = back;
    front
}

fn shown(cell: &Option<Vec<u8>>) -> String {
    cell.as_ref().map_or("NULL".to_owned(), |bytes| {
        format!("'{}'", bytes.escape_ascii())
    })
}
