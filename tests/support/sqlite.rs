//! SQLite files of the tests.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::block_on;
use super::compare::Table;

/// A connection of the test's own.
pub struct Sqlite {
    connection: Option<SqliteConnection>,
}

impl Sqlite {
    /// Opens a file for writing, made when missing.
    pub fn create(path: &str) -> Self {
        Self::connect(
            SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true),
        )
    }

    /// Opens a file that exists, read-only.
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

    /// Makes a file from a script.
    pub fn script(path: &str, sql: &str) {
        Self::create(path).run(sql);
    }

    /// Runs statements.
    pub fn run(&mut self, sql: &str) {
        let ran = block_on(self.connection().execute(AssertSqlSafe(sql.to_owned())));
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Rows of a query whose columns are all text.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows = block_on(self.connection().fetch_all(AssertSqlSafe(sql.to_owned())));
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let cells =
            |row: &sqlx::sqlite::SqliteRow| (0..row.len()).map(|cell| row.get(cell)).collect();
        rows.iter().map(cells).collect()
    }

    /// The same while others write and die: none where it cannot be read now.
    pub fn rows_now(path: &str, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
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

    /// Runs statements while others write: false where somebody has the lock now.
    pub fn run_now(path: &str, sql: &str) -> bool {
        let options = SqliteConnectOptions::new().filename(path);
        let mut file = Self::connect(options.busy_timeout(Duration::from_millis(10)));
        block_on(file.connection().execute(AssertSqlSafe(sql.to_owned()))).is_ok()
    }

    /// One number.
    pub fn number(&mut self, sql: &str) -> i64 {
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let number = block_on(number.fetch_one(self.connection()));
        number.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The tables, without SQLite's and Tombolo's own.
    pub fn tables(&mut self) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                   AND name NOT LIKE 'tombolo\\_%' ESCAPE '\\' ORDER BY name";
        self.rows(sql).into_iter().flatten().flatten().collect()
    }

    /// One table as it is stored: declared types, and each cell's storage class and exact value.
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
            // The row's number is never NULL, whether the table says so or not.
            if keys == 1 && column[3] == "1" && column[1].eq_ignore_ascii_case("integer") {
                "1".clone_into(&mut column[2]);
            }
        }
        assert!(!columns.is_empty(), "there is no table {table:?}");
        let cells: Vec<String> = columns.iter().map(|column| image(&column[0])).collect();
        let rows = format!("SELECT {} FROM {}", cells.join(", "), quote(table));
        Table::new(table, columns, self.rows(&rows))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // A clean close: what was written is in the file afterwards, and no journal stays behind.
        if let Some(connection) = self.connection.take() {
            let _ = block_on(connection.close());
        }
    }
}

/// A cell's storage class and value; `quote` stops at a NUL, so texts with one are shown as bytes.
fn image(column: &str) -> String {
    let name = quote(column);
    format!(
        "typeof({name}) || ' ' || CASE WHEN typeof({name}) = 'text' AND instr({name}, char(0)) > 0
         THEN hex(CAST({name} AS BLOB)) ELSE quote({name}) END"
    )
}

/// A name in quotes.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in quotes.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
