//! The benchmark's own PostgreSQL, with everything on that keeps data safe.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use tombolo_test_postgres::TestServer;

use crate::process;

/// As PostgreSQL comes, but for memory that fits the machine and for what would run at a time of its own choice.
pub const SETTINGS: &str =
    "-c shared_buffers=1GB -c max_wal_size=8GB -c checkpoint_timeout=1h -c autovacuum=off";

/// A server of this process.
pub struct Postgres {
    server: TestServer,
    process: u32,
    databases: RefCell<BTreeSet<String>>,
}

impl Postgres {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let server =
            TestServer::start(SETTINGS).map_err(|reason| anyhow!("PostgreSQL: {reason}"))?;
        let mut postgres = Self {
            server,
            process: 0,
            databases: RefCell::default(),
        };
        let data = postgres.ask("postgres", "SHOW data_directory")?;
        let file = std::fs::read_to_string(Path::new(&data).join("postmaster.pid"))?;
        let process = file.lines().next().context("postmaster.pid is empty")?;
        postgres.process = process.parse()?;
        Ok(postgres)
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Processors' time of all its processes so far.
    pub fn cpu(&self) -> Result<Duration> {
        process::family(self.process)
    }

    /// `psql` that runs these commands in one session.
    pub fn psql(&self, database: &str, commands: &[&str]) -> Command {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]);
        command.arg(self.url(database));
        for sql in commands {
            command.args(["-c", sql]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs statements.
    pub fn run(&self, database: &str, commands: &[&str]) -> Result<()> {
        process::output(&mut self.psql(database, commands)).map(drop)
    }

    /// The answer to one question.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String> {
        process::output(&mut self.psql(database, &[sql]))
    }

    /// A database that is filled once a benchmark and never changed after that.
    pub fn fixture(&self, database: &str, fill: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        if self.databases.borrow().contains(database) {
            return Ok(());
        }
        self.fresh(database)?;
        fill(database)?;
        self.run(database, &["VACUUM (ANALYZE)", "CHECKPOINT"])?;
        self.databases.borrow_mut().insert(database.to_owned());
        Ok(())
    }

    /// An empty database, whatever was there before.
    pub fn fresh(&self, database: &str) -> Result<()> {
        self.drop(database)?;
        self.run("postgres", &[&format!("CREATE DATABASE {database}")])
    }

    /// A copy of a fixture, file by file, whatever was there before.
    pub fn copy(&self, template: &str, database: &str) -> Result<()> {
        self.drop(database)?;
        let sql = format!("CREATE DATABASE {database} TEMPLATE {template} STRATEGY file_copy");
        self.run("postgres", &[&sql])
    }

    /// Removes a database.
    pub fn drop(&self, database: &str) -> Result<()> {
        self.databases.borrow_mut().remove(database);
        let sql = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        self.run("postgres", &["SET client_min_messages = warning", &sql])
    }

    /// Makes a table of generated lines.
    pub fn fill(
        &self,
        database: &str,
        table: &str,
        columns: &str,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        self.run(database, &[&format!("CREATE TABLE {table} ({columns})")])?;
        let copy = format!("COPY {table} FROM STDIN");
        feed(&mut self.psql(database, &[&copy]), write)
    }

    /// Checks that two databases hold the same rows in a table.
    pub fn check_same(&self, one: &str, other: &str, table: &str) -> Result<()> {
        let sql = format!(
            "SELECT count(*), sum(hashtextextended(format('%s', line), 0)) FROM {table} AS line"
        );
        let (one, other) = (self.ask(one, &sql)?, self.ask(other, &sql)?);
        ensure!(
            one == other,
            "{table} has other rows in the target: {other}, not {one}"
        );
        Ok(())
    }
}

/// Runs a command with generated lines on its standard input.
pub fn feed(
    command: &mut Command,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let written = child.stdin.take().map_or(Ok(()), |input| {
        let mut input = BufWriter::with_capacity(1 << 16, input);
        write(&mut input).and_then(|()| input.flush())
    });
    let status = child.wait()?;
    ensure!(status.success(), "{name} failed to take in generated rows");
    written.with_context(|| format!("{name} did not read all generated rows"))
}
