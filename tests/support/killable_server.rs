//! A PostgreSQL server of one test, which can be killed and started again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tombolo_test_postgres::{Instance, is_required};

use super::postgres::query_at;
use super::{SECRET, skip};

/// How long a server may take to start, its recovery included.
const START: Duration = Duration::from_secs(60);

const SETTINGS: &str = "-c fsync=off -c max_connections=60 -c shared_buffers=32MB";

/// A server; stopped and removed when dropped.
pub struct KillableServer {
    instance: Instance,
    port: u16,
}

impl KillableServer {
    /// Starts one; returns `None` and says so without PostgreSQL, or fails where it is required.
    ///
    /// Tests that call it have `postgres` in their names, so that they can be counted.
    pub fn start() -> Option<Self> {
        if !Instance::is_installed() {
            assert!(!is_required(), "PostgreSQL is required");
            skip("postgres", "there is no PostgreSQL server to kill");
            return None;
        }
        let server = Self {
            instance: Instance::create("killable").unwrap(),
            port: Instance::free_port().unwrap(),
        };
        server.restart();
        Some(server)
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres:{SECRET}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Creates an empty database and returns its address.
    pub fn create(&self, database: &str) -> String {
        let sql = format!("CREATE DATABASE {database}");
        query_at(&self.url("postgres"), &sql).unwrap();
        self.url(database)
    }

    /// Ends all of its processes at once, as a crash would.
    pub fn kill(&self) {
        let postmaster = self.instance.postmaster().unwrap();
        let mut processes = children(postmaster);
        processes.insert(0, postmaster);
        for process in &processes {
            // One may have ended by itself.
            let _ = Command::new("kill")
                .args(["-s", "KILL", &process.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
        let deadline = Instant::now() + START;
        while processes.iter().any(|process| is_alive(*process)) {
            assert!(Instant::now() < deadline, "the server's processes live on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again and waits until its recovery is complete.
    pub fn restart(&self) {
        let deadline = Instant::now() + START;
        while let Err(reason) = self.instance.start(self.port, SETTINGS) {
            assert!(Instant::now() < deadline, "{reason}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for KillableServer {
    fn drop(&mut self) {
        self.instance.remove();
    }
}

/// The processes that a process started.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| state(*process).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// Whether a process has not ended yet.
fn is_alive(process: u32) -> bool {
    state(process).is_some_and(|(state, _)| state != 'Z')
}

/// A process's state and parent.
fn state(process: u32) -> Option<(char, u32)> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
