//! SQLite files, read and written with connections of the tests' own.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::block_on;
use super::table::Table;

/// A connection.
pub struct Sqlite {
    connection: Option<SqliteConnection>,
}

impl Sqlite {
    /// Opens a file for writing, and creates it if it is missing.
    pub fn create(path: &str) -> Self {
        Self::connect(
            SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true),
        )
    }

    /// Opens an existing file, read-only.
    pub fn open(path: &str) -> Self {
        Self::connect(SqliteConnectOptions::new().filename(path).read_only(true))
    }

    fn connect(options: SqliteConnectOptions) -> Self {
        let connection = block_on(options.connect());
        let connection = connection.unwrap_or_else(|error| panic!("{options:?}: {error}"));
        Self {
            connection: Some(connection),
        }
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().unwrap()
    }

    /// Opens or creates a file and runs statements.
    pub fn script(path: &str, sql: &str) {
        Self::create(path).run(sql);
    }

    /// Runs statements.
    pub fn run(&mut self, sql: &str) {
        let ran = block_on(self.connection().execute(AssertSqlSafe(sql.to_owned())));
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Returns the rows of a query whose columns are all text.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows = block_on(self.connection().fetch_all(AssertSqlSafe(sql.to_owned())));
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let cells =
            |row: &sqlx::sqlite::SqliteRow| (0..row.len()).map(|cell| row.get(cell)).collect();
        rows.iter().map(cells).collect()
    }

    /// The same while other processes write or are killed; returns `None` if the file cannot be read now.
    pub fn try_rows(path: &str, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
        block_on(async {
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            let mut connection = options.connect().await.ok()?;
            let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await;
            let _ = connection.close().await;
            let cells =
                |row: &sqlx::sqlite::SqliteRow| (0..row.len()).map(|cell| row.get(cell)).collect();
            Some(rows.ok()?.iter().map(cells).collect())
        })
    }

    /// Runs statements while other processes write; returns false if the file is locked now.
    pub fn try_run(path: &str, sql: &str) -> bool {
        let options = SqliteConnectOptions::new().filename(path);
        let mut file = Self::connect(options.busy_timeout(Duration::from_millis(10)));
        block_on(file.connection().execute(AssertSqlSafe(sql.to_owned()))).is_ok()
    }

    /// Returns the number that a query selects.
    pub fn number(&mut self, sql: &str) -> i64 {
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let number = block_on(number.fetch_one(self.connection()));
        number.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Returns the names of the tables, without those of SQLite and Tombolo.
    pub fn tables(&mut self) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                   AND name NOT LIKE 'tombolo\\_%' ESCAPE '\\' ORDER BY name";
        self.rows(sql).into_iter().flatten().flatten().collect()
    }

    /// Returns one table: its declared types, and the storage class and exact value of each cell.
    pub fn table(&mut self, table: &str) -> Table {
        let info = format!(
            "SELECT name, type, CAST(\"notnull\" AS TEXT), CAST(pk AS TEXT) FROM pragma_table_info({}) ORDER BY cid",
            literal(table)
        );
        let mut columns: Vec<Vec<String>> = self
            .rows(&info)
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect();
        let keys = columns.iter().filter(|column| column[3] != "0").count();
        for column in &mut columns {
            // A rowid is never NULL, whether the column is declared NOT NULL or not.
            if keys == 1 && column[3] == "1" && column[1].eq_ignore_ascii_case("integer") {
                "1".clone_into(&mut column[2]);
            }
        }
        assert!(!columns.is_empty(), "there is no table {table:?}");
        let cells: Vec<String> = columns
            .iter()
            .map(|column| exact_cell(&column[0]))
            .collect();
        let rows = format!("SELECT {} FROM {}", cells.join(", "), quote(table));
        Table::new(table, columns, self.rows(&rows))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Closing writes everything to the file and removes the journal.
        if let Some(connection) = self.connection.take() {
            let _ = block_on(connection.close());
        }
    }
}

/// An expression for a cell's storage class and value; `quote` stops at a NUL, so texts with one are shown as bytes.
fn exact_cell(column: &str) -> String {
    let name = quote(column);
    format!(
        "typeof({name}) || ' ' || CASE WHEN typeof({name}) = 'text' AND instr({name}, char(0)) > 0
         THEN hex(CAST({name} AS BLOB)) ELSE quote({name}) END"
    )
}

/// Checks that a table has the same declared types and the same cells in two files.
pub fn assert_same_table(one: &str, other: &str, table: &str) {
    let one = Sqlite::open(one).table(table);
    one.assert_same(&Sqlite::open(other).table(table));
}

/// A common table expression `n` with a column `i` of the numbers from 1 to `last`.
pub fn series(last: impl std::fmt::Display) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
}

/// A name in quotes.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in quotes.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
