//! The built-in types of PostgreSQL, with values that a transfer could easily change.

mod values;

use self::values::{ARRAYS, PLAIN, PRINTED, TIMES};
use super::postgres::Database;
use super::sqlite::{literal, quote};

/// A declared type and literals of it; a row with NULL is added.
pub type Kind = (&'static str, &'static [&'static str]);

/// The tables, each with a column for every type of one group.
pub const TABLES: [(&str, &[Kind]); 4] = [
    ("Größe \"plain\"", PLAIN),
    ("select", TIMES),
    ("Printed As Text", PRINTED),
    ("列表", ARRAYS),
];

/// Creates these tables with the values.
pub fn fill(database: &Database) {
    for (table, kinds) in TABLES {
        database.run(&create(table, kinds));
        database.run(&insert(table, kinds));
    }
}

/// The statement that creates such a table; a column is named after its type.
pub fn create(table: &str, kinds: &[Kind]) -> String {
    let columns = kinds
        .iter()
        .map(|(kind, _)| format!(", {} {kind}", quote(kind)));
    let columns: String = columns.collect();
    format!(
        "CREATE TABLE {} (\"Der Schlüssel\" integer PRIMARY KEY{columns})",
        quote(table)
    )
}

fn insert(table: &str, kinds: &[Kind]) -> String {
    let most = kinds
        .iter()
        .map(|(_, values)| values.len())
        .max()
        .unwrap_or_default();
    // The last row is all NULL.
    let row = |row: usize| {
        let values = kinds.iter().map(|(_, values)| {
            values
                .get(row)
                .map_or("NULL".to_owned(), |value| literal(value))
        });
        let values: Vec<String> = values.collect();
        format!("({row}, {})", values.join(", "))
    };
    let rows: Vec<String> = (0..=most).map(row).collect();
    format!(
        "SET xmloption = content; INSERT INTO {} VALUES {}",
        quote(table),
        rows.join(", ")
    )
}
