//! A PostgreSQL server of one test, with logins of its own and settings of its own; its log can be read.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tombolo_test_postgres::{Instance, is_required};

use super::postgres::query_at;
use super::{SECRET, block_on, skip};

/// Fast, and its data is expendable.
const SETTINGS: &str =
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB";

/// How long a server may take to write what it logged.
const LOGGED: Duration = Duration::from_secs(5);

/// A server; stopped and removed when dropped.
pub struct PrivateServer {
    instance: Instance,
    port: u16,
}

impl PrivateServer {
    /// Starts one with further settings (`-c name=value …`); returns `None` and says so without PostgreSQL, or fails
    /// where it is required.
    ///
    /// Tests that call it have `postgres` in their names, so that they can be counted.
    pub fn start(settings: &str) -> Option<Self> {
        if !Instance::is_installed() {
            assert!(!is_required(), "PostgreSQL is required");
            skip("postgres", "there is no PostgreSQL to start");
            return None;
        }
        let server = Self {
            instance: Instance::create("private").unwrap(),
            port: Instance::free_port().unwrap(),
        };
        let settings = format!("{SETTINGS} {settings}");
        server.instance.start(server.port, &settings).unwrap();
        Some(server)
    }

    /// The address of a database for a login.
    pub fn url(&self, login: &str, database: &str) -> String {
        format!(
            "postgres://{login}:{SECRET}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Runs statements in a database as a login.
    pub fn run(&self, login: &str, database: &str, sql: &str) {
        let mut connection = self.connect(login, database);
        let ran = block_on(connection.execute(AssertSqlSafe(sql.to_owned())));
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let _ = block_on(connection.close());
    }

    /// Returns the first column of a query's rows, which is a text, as the superuser.
    pub fn texts(&self, database: &str, sql: &str) -> Vec<String> {
        let rows = query_at(&self.url("postgres", database), sql);
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect()
    }

    /// Opens a connection that stays open until it is dropped.
    pub fn hold(&self, login: &str, database: &str) -> PgConnection {
        self.connect(login, database)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        self.instance.log().unwrap()
    }

    /// What the server has logged, as soon as a text is in it.
    pub fn log_with(&self, text: &str) -> String {
        let deadline = Instant::now() + LOGGED;
        loop {
            let log = self.log();
            if log.contains(text) || Instant::now() > deadline {
                return log;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self, login: &str, database: &str) -> PgConnection {
        let options: PgConnectOptions = self.url(login, database).parse().unwrap();
        block_on(options.connect()).unwrap()
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.instance.remove();
    }
}
