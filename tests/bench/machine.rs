//! What the figures were made on.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::postgres::SETTINGS;
use crate::process;

/// The machine, the programs, and what was asked for.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory: String,
    pub kernel: String,
    pub load: String,
    pub tombolo: String,
    pub postgres: String,
    pub postgres_settings: &'static str,
    pub sqlite: String,
    pub rows: u64,
    pub repetitions: u32,
}

impl Machine {
    /// Looks at all that.
    pub fn look(bench: &Bench) -> Result<Self> {
        let value = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value
                .map_or("unknown", |(_, value)| value.trim())
                .to_owned()
        };
        let memory = value("/proc/meminfo", "MemTotal");
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        let version = |program: &str| process::output(Command::new(program).arg("--version"));
        Ok(Self {
            date: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            processor: value("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory: format!("{} GiB", kibibytes.div_ceil(1 << 20)),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            load: fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
            tombolo: version(env!("CARGO_BIN_EXE_tombolo"))?,
            postgres: bench.postgres.ask("postgres", "SHOW server_version")?,
            postgres_settings: SETTINGS,
            sqlite: version("sqlite3")?
                .chars()
                .take_while(|letter| *letter != ' ')
                .collect(),
            rows: bench.rows(),
            repetitions: bench.arguments.repetitions,
        })
    }
}
