//! PostgreSQL servers for tests and benchmarks: one shared by a test process, and private ones that can be restarted.

mod instance;

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use instance::{Instance, STATEMENTS};

/// Settings that make a server fast and its data expendable.
const TEST_SETTINGS: &str =
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB";

/// A running server on which tests may create and drop anything.
pub struct TestServer {
    /// `user[:password]@host:port`.
    authority: String,
    /// The query of its URL with the question mark, or nothing.
    query: String,
}

impl TestServer {
    /// Starts a private server with `settings` (`-c name=value …`), which stops when this process ends.
    ///
    /// Fails with the reason if PostgreSQL is not installed or does not start.
    pub fn start(settings: &str) -> Result<Self, String> {
        let instance = Instance::create("postgres")?;
        let settings = format!("-c max_connections=200 {settings}");
        let mut attempts = 0;
        loop {
            let port = Instance::free_port()?;
            attempts += 1;
            match instance.start(port, &settings) {
                Ok(()) => {
                    return Ok(Self {
                        authority: format!("postgres@127.0.0.1:{port}"),
                        query: String::new(),
                    });
                }
                // Another process may have taken the port.
                Err(_) if attempts < 5 => {}
                Err(reason) => return Err(reason),
            }
        }
    }

    /// Returns the superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}/{database}{}", self.authority, self.query)
    }

    /// Returns the URL of a database for another login.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        let (_, address) = self
            .authority
            .rsplit_once('@')
            .unwrap_or(("", &self.authority));
        let query = &self.query;
        format!("postgres://{user}:{password}@{address}/{database}{query}")
    }

    /// Returns a name for a database or role that no other test uses.
    pub fn unique_name(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("tombolo_{prefix}_{}_{number}", std::process::id())
    }

    /// Reads `user[:password]@host:port` and the query of a URL.
    fn parse(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, format!("?{query}")),
            None => (rest, String::new()),
        };
        let authority = rest.split('/').next().unwrap_or_default().to_owned();
        Some(Self { authority, query })
    }
}

/// Returns the server that all tests of this process share: the one that `TOMBOLO_TEST_POSTGRES` names
/// (a superuser's URL), or a private one that starts at the first call.
///
/// Returns `None` and prints one line if there is no PostgreSQL.
///
/// # Panics
///
/// Panics if there is no PostgreSQL and [`is_required`] is true.
pub fn test_server() -> Option<&'static TestServer> {
    static SERVER: OnceLock<Option<TestServer>> = OnceLock::new();
    let start = || match shared_server() {
        Ok(server) => Some(server),
        Err(reason) => {
            assert!(!is_required(), "PostgreSQL is required: {reason}");
            // Not eprintln!, whose output the test harness captures.
            let line = format!("PostgreSQL tests are skipped: {reason}\n");
            std::io::stderr().write_all(line.as_bytes()).ok();
            None
        }
    };
    SERVER.get_or_init(start).as_ref()
}

/// Returns true if `TOMBOLO_REQUIRE_POSTGRES=1`: tests then fail without PostgreSQL instead of being skipped.
pub fn is_required() -> bool {
    std::env::var("TOMBOLO_REQUIRE_POSTGRES").as_deref() == Ok("1")
}

fn shared_server() -> Result<TestServer, String> {
    match std::env::var("TOMBOLO_TEST_POSTGRES") {
        Ok(url) => {
            TestServer::parse(&url).ok_or_else(|| "TOMBOLO_TEST_POSTGRES is not a URL".to_owned())
        }
        Err(_) => TestServer::start(TEST_SETTINGS),
    }
}
