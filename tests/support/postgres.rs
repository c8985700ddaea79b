//! PostgreSQL databases of the tests: each test has its own on the shared server.

use std::path::Path;
use std::process::Command;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tombolo_test_postgres::{TestServer, test_server};

use super::sqlite::{literal, quote};
use super::table::Table;
use super::{SECRET, block_on, skip};

/// One database, dropped with the value.
pub struct Database {
    name: String,
}

impl Database {
    /// Creates an empty database; returns `None` and says so without PostgreSQL, or fails where it is required.
    ///
    /// Tests that call it have `postgres` in their names, so that they can be counted.
    pub fn new() -> Option<Self> {
        let Some(server) = test_server() else {
            skip("postgres", "there is no PostgreSQL");
            return None;
        };
        let name = server.unique_name("end_to_end");
        run_on_server(&format!("CREATE DATABASE {}", quote(&name)));
        Some(Self { name })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address with the superuser's login; a private server gets a password that it does not ask for.
    pub fn url(&self) -> String {
        if std::env::var_os("TOMBOLO_TEST_POSTGRES").is_some() {
            return server().url(&self.name);
        }
        self.url_of("postgres")
    }

    /// Its address with another login, whose password is [`SECRET`].
    pub fn url_of(&self, role: &str) -> String {
        server().url_as(role, SECRET, &self.name)
    }

    /// A name for a role that only tests of this database use; roles exist in the whole server.
    pub fn role(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// Runs statements.
    pub fn run(&self, sql: &str) {
        let mut connection = self.connect();
        let ran = block_on(connection.execute(AssertSqlSafe(sql.to_owned())));
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
        close(connection);
    }

    /// Runs a script with `psql`.
    pub fn load(&self, script: &Path) {
        let output = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(script)
            .arg(self.url())
            .output()
            .unwrap_or_else(|error| panic!("psql: {error}"));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Returns the rows of a query whose columns are all text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut connection = self.connect();
        let rows = block_on(connection.fetch_all(AssertSqlSafe(sql.to_owned())));
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        close(connection);
        rows.iter().map(cells).collect()
    }

    /// Returns the number that a query selects.
    pub fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(&format!("SELECT ({sql})::text"));
        rows[0][0]
            .as_deref()
            .and_then(|number| number.parse().ok())
            .unwrap()
    }

    /// Returns how many other sessions of this database are in a transaction.
    pub fn open_transactions(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()",
        )
    }

    /// Returns the names of the tables in the schema `public`.
    pub fn tables(&self) -> Vec<String> {
        let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        self.rows(sql).into_iter().flatten().flatten().collect()
    }

    /// Returns one table without its child tables: types, nullability and key, and each cell as the server prints it.
    pub fn table(&self, table: &str) -> Table {
        let oid = format!("{}::regclass", literal(&quote(table)));
        let columns = format!(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull::text,
                    coalesce(array_position(indkey::int2[], attnum)::text, '')
             FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
             WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        let columns: Vec<Vec<String>> = self
            .rows(&columns)
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect();
        // `format` keeps the blanks at the end of char(n); a cast to text drops them.
        let cell = |column: &Vec<String>| {
            let name = quote(&column[0]);
            format!("CASE WHEN {name} IS NOT NULL THEN format('%s', {name}) END")
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let rows = format!("SELECT {} FROM ONLY {}", cells.join(", "), quote(table));
        Table::new(table, columns, self.rows(&rows))
    }

    fn connect(&self) -> PgConnection {
        connect(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run_on_server(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quote(&self.name)
        ));
    }
}

/// Creates several databases, as [`Database::new`] does.
pub fn databases<const N: usize>() -> Option<[Database; N]> {
    let databases: Option<Vec<Database>> = (0..N).map(|_| Database::new()).collect();
    databases?.try_into().ok()
}

fn server() -> &'static TestServer {
    test_server().expect("the database was created on it")
}

fn connect(database: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(&server().url(database)).unwrap();
    let connection = block_on(options.connect());
    connection.unwrap_or_else(|error| panic!("database {database}: {error}"))
}

/// Runs a query whose columns are all text on a server that may not be running.
pub fn query_at(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
    block_on(async {
        let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
        let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await;
        let _ = connection.close().await;
        Ok(rows?.iter().map(cells).collect())
    })
}

fn cells(row: &PgRow) -> Vec<Option<String>> {
    (0..row.len()).map(|cell| row.get(cell)).collect()
}

fn close(connection: PgConnection) {
    let _ = block_on(connection.close());
}

fn run_on_server(sql: &str) {
    let mut connection = connect("postgres");
    let ran = block_on(connection.execute(AssertSqlSafe(sql.to_owned())));
    ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
    close(connection);
}
