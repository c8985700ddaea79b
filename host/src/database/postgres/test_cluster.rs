//! A private PostgreSQL for tests. Only std, so that other test crates can include this file by path.
//!
//! `TOMBOLO_TEST_POSTGRES` names a server to use instead (a superuser's URL); `TOMBOLO_REQUIRE_POSTGRES=1` makes a
//! missing PostgreSQL a failure.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; not every includer uses everything"
)]

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server that tests may do anything to.
pub struct TestCluster {
    /// `user[:password]@host:port` or what a given URL has there.
    authority: String,
    query: String,
}

/// What makes a server fast and its data worthless.
const FOR_TESTS: &str =
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB";

static CLUSTER: OnceLock<Option<TestCluster>> = OnceLock::new();

/// The server of this process; none, with one visible line, where there is no PostgreSQL.
pub fn test_cluster() -> Option<&'static TestCluster> {
    CLUSTER
        .get_or_init(|| match start() {
            Ok(cluster) => Some(cluster),
            Err(reason) if std::env::var("TOMBOLO_REQUIRE_POSTGRES").as_deref() == Ok("1") => {
                panic!("PostgreSQL is required: {reason}")
            }
            Err(reason) => {
                // Not eprintln!, which the test harness keeps to itself.
                let line = format!("PostgreSQL tests are skipped: {reason}\n");
                std::io::stderr().write_all(line.as_bytes()).ok();
                None
            }
        })
        .as_ref()
}

impl TestCluster {
    /// The superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}/{database}{}", self.authority, self.query)
    }

    /// Another login's URL of a database.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        let (_, address) = self
            .authority
            .rsplit_once('@')
            .unwrap_or(("", &self.authority));
        format!(
            "postgres://{user}:{password}@{address}/{database}{}",
            self.query
        )
    }

    /// A name for a database or role that no other test has.
    pub fn fresh_name(&self, what: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("tombolo_{what}_{}_{number}", std::process::id())
    }
}

fn start() -> Result<TestCluster, String> {
    if let Ok(url) = std::env::var("TOMBOLO_TEST_POSTGRES") {
        let rest = url
            .split_once("://")
            .ok_or("TOMBOLO_TEST_POSTGRES is no URL")?
            .1;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, format!("?{query}")),
            None => (rest, String::new()),
        };
        return Ok(TestCluster {
            authority: rest.split('/').next().unwrap_or_default().to_owned(),
            query,
        });
    }
    private(FOR_TESTS)
}

/// Starts a server with these settings (`-c name=value …`), for as long as this process lives. Once a process.
pub fn private(settings: &str) -> Result<TestCluster, String> {
    let programs = find_programs().ok_or("initdb and pg_ctl were not found")?;
    let owner = owner()?;
    let directory = std::env::temp_dir().join(format!("tombolo-postgres-{}", std::process::id()));
    std::fs::create_dir(&directory).map_err(|error| format!("no directory for it: {error}"))?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(&directory, Some(user), Some(group))
            .map_err(|error| format!("its directory cannot change hands: {error}"))?;
    }
    watch(&programs, owner, &directory)?;
    let data = directory.join("data");
    let initdb = program(&programs, "initdb", owner, &directory)
        .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
        .args(["--locale=C", "--no-sync", "--pgdata"])
        .arg(&data)
        .output();
    succeed("initdb", initdb)?;
    let mut failure = String::new();
    for _ in 0..5 {
        let port = free_port()?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c max_connections=200 \
             {settings}"
        );
        let started = program(&programs, "pg_ctl", owner, &directory)
            .args(["start", "-w", "-s", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(directory.join("log"))
            .args(["-o", &options])
            // The server must not keep pipes of ours open.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .output();
        match succeed("pg_ctl", started) {
            Ok(()) => {
                return Ok(TestCluster {
                    authority: format!("postgres@127.0.0.1:{port}"),
                    query: String::new(),
                });
            }
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// Where initdb and pg_ctl are: on the path, or where Debian puts them.
pub fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .collect();
        versions.sort();
        places.extend(versions.into_iter().rev());
    }
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("pg_ctl").exists())
}

/// PostgreSQL refuses to run as root: then a user and group to run as.
pub fn owner() -> Result<Option<(u32, u32)>, String> {
    use std::os::unix::fs::MetadataExt as _;
    let process = std::fs::metadata("/proc/self").or_else(|_| std::fs::metadata("."));
    if process.is_ok_and(|process| process.uid() != 0) {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let line = users
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2).map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .map(Some)
        .ok_or_else(|| "there is no user but root to run it as".to_owned())
}

pub fn program(
    programs: &Path,
    name: &str,
    owner: Option<(u32, u32)>,
    directory: &Path,
) -> Command {
    let mut command = Command::new(programs.join(name));
    set_owner(&mut command, owner, directory);
    command.stdin(Stdio::null());
    command
}

fn set_owner(command: &mut Command, owner: Option<(u32, u32)>, directory: &Path) {
    command.current_dir(directory);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group).env("HOME", directory);
    }
}

/// Starts a shell that waits until this process is gone, however it ends, and then stops the server.
pub fn watch(programs: &Path, owner: Option<(u32, u32)>, directory: &Path) -> Result<(), String> {
    let mut command = Command::new("/bin/sh");
    set_owner(&mut command, owner, directory);
    let mut shell = command
        .arg("-c")
        .arg(
            "trap '' INT HUP TERM; cat >/dev/null; \
             \"$1/pg_ctl\" stop -s -m immediate -D \"$2/data\"; cd /; rm -rf \"$2\"",
        )
        .arg("sh")
        .arg(programs)
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("no shell to watch it: {error}"))?;
    // Open until the process ends: the pipe's other end is what the shell waits for.
    std::mem::forget(shell.stdin.take());
    Ok(())
}

pub fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

pub fn succeed(name: &str, output: std::io::Result<std::process::Output>) -> Result<(), String> {
    let output = output.map_err(|error| format!("{name} did not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name} failed: {}", text.trim()))
}
