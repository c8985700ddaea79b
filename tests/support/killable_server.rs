//! A PostgreSQL of a test's own that can be killed and started again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::postgres::cluster::{find_programs, free_port, owner, program, succeed, watch};
use super::postgres::query_at;
use super::{SECRET, skip};

/// How long a server may take to start, its recovery included.
const START: Duration = Duration::from_secs(60);

/// A server; stopped and removed when dropped.
pub struct Mortal {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    directory: PathBuf,
    port: u16,
}

impl Mortal {
    /// Starts one; none without PostgreSQL, which is said, or is a failure where it is required.
    ///
    /// Tests that ask for it carry `postgres` in their names, so that they can be counted.
    pub fn start() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(programs) = find_programs() else {
            assert_ne!(
                std::env::var("TOMBOLO_REQUIRE_POSTGRES").as_deref(),
                Ok("1"),
                "PostgreSQL is required"
            );
            skip(
                "postgres",
                "there is no PostgreSQL whose server can be killed",
            );
            return None;
        };
        let owner = owner().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tombolo-mortal-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&directory, Some(user), Some(group)).unwrap();
        }
        watch(&programs, owner, &directory).unwrap();
        let initdb = program(&programs, "initdb", owner, &directory)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(directory.join("data"))
            .output();
        succeed("initdb", initdb).unwrap();
        let port = free_port().unwrap();
        let server = Self {
            programs,
            owner,
            directory,
            port,
        };
        server.revive();
        Some(server)
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres:{SECRET}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// A new, empty database.
    pub fn create(&self, database: &str) -> String {
        let sql = format!("CREATE DATABASE {database}");
        query_at(&self.url("postgres"), &sql).unwrap();
        self.url(database)
    }

    /// Ends all of its processes at once, as a crash would.
    pub fn kill(&self) {
        let file = self.directory.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        let postmaster: u32 = text.lines().next().unwrap().parse().unwrap();
        let mut processes = children(postmaster);
        processes.insert(0, postmaster);
        for process in &processes {
            // One may have ended by itself.
            let _ = std::process::Command::new("kill")
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

    /// Starts it again, and waits until its recovery is over.
    pub fn revive(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c fsync=off \
             -c max_connections=60 -c shared_buffers=32MB",
            self.port
        );
        let deadline = Instant::now() + START;
        loop {
            let started = program(&self.programs, "pg_ctl", self.owner, &self.directory)
                .args(["start", "-w", "-s", "-D"])
                .arg(self.directory.join("data"))
                .arg("-l")
                .arg(self.directory.join("log"))
                .args(["-o", &options])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .output();
            match succeed("pg_ctl", started) {
                Ok(()) => return,
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err(reason) => panic!("{reason}"),
            }
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = program(&self.programs, "pg_ctl", self.owner, &self.directory)
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.directory.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = std::fs::remove_dir_all(&self.directory);
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
