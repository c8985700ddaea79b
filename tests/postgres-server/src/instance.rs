//! A PostgreSQL data directory, with the programs and the user that run a server on it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Each line of a server's log begins with its session, login and application, each followed by a comma.
const LOG_SETTINGS: &str = "-c log_line_prefix=%c,%u,%a,";

/// The variable with a folder in which the logs of all servers stay, with every statement that they ran.
pub const STATEMENTS: &str = "TOMBOLO_TEST_STATEMENTS";

/// A data directory in the temporary folder; its server stops and its files go when this process ends.
pub struct Instance {
    /// The folder of `initdb` and `pg_ctl`.
    programs: PathBuf,
    /// The user and group to run them as, if not those of this process.
    owner: Option<(u32, u32)>,
    directory: PathBuf,
    log: PathBuf,
    /// Whether all statements are logged.
    logs_statements: bool,
}

impl Instance {
    /// Returns true if `initdb` and `pg_ctl` are found.
    pub fn is_installed() -> bool {
        find_programs().is_some()
    }

    /// Returns a TCP port of 127.0.0.1 that is free now.
    ///
    /// Fails with the reason if there is none.
    pub fn free_port() -> Result<u16, String> {
        TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port())
            .map_err(|error| format!("no free port: {error}"))
    }

    /// Creates a data directory whose superuser is `postgres`, without a password; `label` is part of its path.
    ///
    /// Fails with the reason if PostgreSQL is not installed or `initdb` fails.
    pub fn create(label: &str) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let programs = find_programs().ok_or("initdb and pg_ctl were not found")?;
        let owner = find_owner()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tombolo-{label}-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&directory, Some(user), Some(group)).map_err(|error| {
                format!(
                    "cannot change the owner of {}: {error}",
                    directory.display()
                )
            })?;
        }
        let statements = std::env::var_os(STATEMENTS).map(PathBuf::from);
        let log = match &statements {
            Some(folder) => new_log(folder, label, owner)?,
            None => directory.join("log"),
        };
        let instance = Self {
            programs,
            owner,
            directory,
            log,
            logs_statements: statements.is_some(),
        };
        instance.stop_with_this_process()?;
        let mut initdb = instance.program("initdb");
        initdb
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(instance.data());
        check("initdb", initdb.output())?;
        Ok(instance)
    }

    /// Starts the server on a port of 127.0.0.1 with `settings` (`-c name=value …`), and waits until it accepts
    /// connections.
    ///
    /// Fails with the reason if it does not start.
    pub fn start(&self, port: u16, settings: &str) -> Result<(), String> {
        let mut options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= {LOG_SETTINGS} {settings}"
        );
        if self.logs_statements {
            options.push_str(" -c log_statement=all");
        }
        let mut start = self.program("pg_ctl");
        start
            .args(["start", "-w", "-s", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(&self.log)
            .args(["-o", &options])
            // The server would keep pipes of this process open.
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        check("pg_ctl", start.output())
    }

    /// Returns the process id of the server's first process.
    ///
    /// Fails with the reason if no server has been started.
    pub fn postmaster(&self) -> Result<u32, String> {
        let file = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let first = text.lines().next().unwrap_or_default();
        first
            .parse()
            .map_err(|_| format!("no process id in {}", file.display()))
    }

    /// Returns what the server has logged.
    ///
    /// Fails with the reason if it never started.
    pub fn log(&self) -> Result<String, String> {
        std::fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .map_err(|error| format!("cannot read {}: {error}", self.log.display()))
    }

    /// Stops the server without a checkpoint and removes the files.
    pub fn remove(&self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Neither a stopped server nor a folder that is gone is a failure.
        let _ = stop.status();
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.set_owner(&mut command);
        command.stdin(Stdio::null());
        command
    }

    fn set_owner(&self, command: &mut Command) {
        command.current_dir(&self.directory);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group).env("HOME", &self.directory);
        }
    }

    /// Starts a shell that waits until this process has ended in any way, then stops the server and removes the files.
    fn stop_with_this_process(&self) -> Result<(), String> {
        let mut command = Command::new("/bin/sh");
        self.set_owner(&mut command);
        let mut shell = command
            .arg("-c")
            .arg(
                "trap '' INT HUP TERM; cat >/dev/null; \
                 \"$1/pg_ctl\" stop -s -m immediate -D \"$2/data\"; cd /; rm -rf \"$2\"",
            )
            .arg("sh")
            .arg(&self.programs)
            .arg(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start /bin/sh: {error}"))?;
        // Stays open until this process ends: the shell reads the pipe's other end.
        std::mem::forget(shell.stdin.take());
        Ok(())
    }
}

/// Creates an empty log that the server's user may write, with a name that no other server uses.
fn new_log(folder: &Path, label: &str, owner: Option<(u32, u32)>) -> Result<PathBuf, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let log = folder.join(format!("{label}-{}-{number}.log", std::process::id()));
    let created = std::fs::File::create_new(&log).and_then(|_| match owner {
        Some((user, group)) => std::os::unix::fs::chown(&log, Some(user), Some(group)),
        None => Ok(()),
    });
    created.map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    Ok(log)
}

/// Finds the folder of `initdb` and `pg_ctl`: on the path, or where Debian installs them.
fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    let has_both = |folder: &PathBuf| {
        ["initdb", "pg_ctl"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    folders.into_iter().find(has_both)
}

/// Finds a user and group to run PostgreSQL as if this process is root's, because PostgreSQL refuses to run as root.
fn find_owner() -> Result<Option<(u32, u32)>, String> {
    use std::os::unix::fs::MetadataExt as _;
    let process = std::fs::metadata(Path::new("/proc/self")).or_else(|_| std::fs::metadata("."));
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
        .ok_or_else(|| "there is no user except root to run it as".to_owned())
}

fn check(name: &str, output: std::io::Result<Output>) -> Result<(), String> {
    let output = output.map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", text.trim()))
}
