//! One transfer: by `tombolo share` and `tombolo pull` as users run them, or by other programs.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::process::{self, Watched};
use crate::record::{Sample, seconds};

/// How long PostgreSQL's processes take to end when their clients have.
const LINGER: Duration = Duration::from_millis(100);

/// How long a `share` may outlive the pull, or take until it has a code.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `share` and a `pull`.
pub struct Transfer<'a> {
    /// The benchmark under way.
    pub bench: &'a Bench,
    /// What is shared.
    pub source: String,
    /// What is written to.
    pub target: String,
    /// More arguments of `share`.
    pub share: Vec<String>,
    /// More arguments of `pull`.
    pub pull: Vec<String>,
}

/// What became of the rows of all tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub same: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl<'a> Transfer<'a> {
    /// All tables, by the strategy that is the default.
    pub fn new(bench: &'a Bench, source: String, target: String) -> Self {
        Self {
            bench,
            source,
            target,
            share: Vec::new(),
            pull: Vec::new(),
        }
    }

    /// The same with this strategy.
    pub fn strategy(mut self, name: &str) -> Self {
        self.pull.extend(["--strategy".to_owned(), name.to_owned()]);
        self
    }

    /// Runs it to a good end.
    pub fn run(&self) -> Result<(Sample, Counts)> {
        let postgres_before = self.bench.postgres.cpu()?;
        let (share_out, pull_out) = (self.bench.path("share.out"), self.bench.path("pull.out"));
        let (share_err, pull_err) = (self.bench.path("share.err"), self.bench.path("pull.err"));
        let mut share = Watched::start(
            self.tombolo(
                "share-data",
                &["share", "--json", "--listen", "127.0.0.1:0"],
            )
            .args(&self.share)
            .arg(&self.source)
            .stdout(File::create(&share_out)?)
            .stderr(File::create(&share_err)?),
        )?;
        process::watch(&mut [&mut share], |all| {
            let ended = all.iter().any(|share| share.wall.is_some());
            let late = all.iter().any(|share| share.elapsed() > PATIENCE);
            Ok(ended || late || fs::read(&share_out)?.contains(&b'\n'))
        })?;
        let ready = share.elapsed();
        let Some(session) = event(&share_out, "session")? else {
            bail!("share has no code: {}", said(&share_out, &share_err));
        };
        let text = |name: &str| {
            session
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let mut pull = Watched::start(
            self.tombolo("pull-data", &["pull", "--json", text("url"), text("code")])
                .args(["--into", &self.target])
                .args(&self.pull)
                .stdout(File::create(&pull_out)?)
                .stderr(File::create(&pull_err)?),
        )?;
        process::watch(&mut [&mut pull, &mut share], |all| {
            Ok(all.first().is_none_or(|pull| pull.wall.is_some()))
        })?;
        let Some(done) = event(&pull_out, "done")? else {
            bail!("pull failed: {}", said(&pull_out, &pull_err));
        };
        let ended = share.elapsed();
        process::watch(&mut [&mut share], |all| {
            let over =
                |share: &&mut Watched| share.wall.is_some() || share.elapsed() > ended + PATIENCE;
            Ok(all.iter().all(over))
        })?;
        ensure!(
            event(&share_out, "done")?.is_some() && share.wall.is_some(),
            "share failed: {}",
            said(&share_out, &share_err)
        );
        std::thread::sleep(LINGER);
        let postgres = self.bench.postgres.cpu()?.saturating_sub(postgres_before);
        let (counts, bytes) = counts(&done);
        let sample = Sample {
            wall: seconds(pull.wall.unwrap_or_default()),
            share_cpu: Some(seconds(share.cpu)),
            pull_cpu: Some(seconds(pull.cpu)),
            tools_cpu: None,
            postgres_cpu: Some(seconds(postgres)),
            share_peak: Some(share.peak),
            pull_peak: Some(pull.peak),
            bytes: Some(bytes),
            ready: Some(seconds(ready)),
        };
        Ok((sample, counts))
    }

    /// Runs it, and checks that this became of the rows.
    pub fn expect(&self, expected: Counts) -> Result<Sample> {
        let (sample, counts) = self.run()?;
        ensure!(
            counts == expected,
            "the report says {counts:?}, expected was {expected:?}"
        );
        Ok(sample)
    }

    fn tombolo(&self, data: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo"));
        command
            .args(arguments)
            .env("TOMBOLO_DATA", self.bench.path(data))
            .env_remove("RUST_LOG")
            .current_dir(self.bench.folder())
            .stdin(Stdio::null());
        command
    }
}

/// Runs programs, each of which reads what the one before writes, to a good end.
pub fn pipe(bench: &Bench, commands: impl IntoIterator<Item = Command>) -> Result<Sample> {
    let postgres_before = bench.postgres.cpu()?;
    let before = process::reaped_children()?;
    let mut commands = commands.into_iter().peekable();
    let mut all: Vec<Watched> = Vec::new();
    let mut input = None;
    while let Some(mut command) = commands.next() {
        if let Some(input) = input.take() {
            command.stdin(input);
        }
        command.stdout(match commands.peek() {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        });
        let mut started = Watched::start(&mut command)?;
        input = started.child().stdout.take().map(Stdio::from);
        all.push(started);
    }
    let mut watched: Vec<&mut Watched> = all.iter_mut().collect();
    process::watch_to_the_end(&mut watched)?;
    for one in watched {
        let status = one.look()?;
        ensure!(
            status.is_some_and(|status| status.success()),
            "a program of the baseline failed"
        );
    }
    let wall = all.first().map_or(Duration::ZERO, Watched::elapsed);
    let tools = process::reaped_children()?.saturating_sub(before);
    std::thread::sleep(LINGER);
    let postgres = bench.postgres.cpu()?.saturating_sub(postgres_before);
    Ok(Sample {
        wall: seconds(wall),
        tools_cpu: Some(seconds(tools)),
        postgres_cpu: Some(seconds(postgres)),
        ..Sample::default()
    })
}

/// The last event of a kind in a file of `--json` events.
fn event(file: &Path, kind: &str) -> Result<Option<Value>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut events = text.lines().rev().map(serde_json::from_str::<Value>);
    Ok(events.find_map(|event| {
        event
            .ok()
            .filter(|event| event.get("event") == Some(&kind.into()))
    }))
}

/// The ends of what a process wrote.
fn said(out: &Path, err: &Path) -> String {
    let last = |file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().last().unwrap_or_default().to_owned()
    };
    format!("{} {}", last(out), last(err))
}

fn counts(done: &Value) -> (Counts, u64) {
    let tables = done.get("tables").and_then(Value::as_array);
    let number = |name: &str| {
        let of = |table: &Value| table.get(name).and_then(Value::as_u64).unwrap_or_default();
        tables.into_iter().flatten().map(of).sum()
    };
    let counts = Counts {
        created: number("created"),
        updated: number("updated"),
        same: number("same"),
        skipped: number("skipped"),
        failed: number("failed"),
    };
    (counts, number("bytes"))
}
