//! What all cases share: arguments, folder, server, and the rows that they read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;
use tombolo::private_files::create_temporary_folder;

use crate::arguments::Arguments;
use crate::data::{Keys, Rows};
use crate::postgres::Postgres;
use crate::process;
use crate::sqlite::{self, Journal};
use crate::tables::{ITEMS, POSTGRES_COLUMNS, SQLITE_COLUMNS};

const PREFIX: &str = "tombolo-bench-";

/// The benchmark under way.
pub struct Bench {
    /// What was asked for.
    pub arguments: Arguments,
    /// The server of this run.
    pub postgres: Postgres,
    folder: TempDir,
}

impl Bench {
    /// Starts the server.
    pub fn start(arguments: Arguments) -> Result<Self> {
        remove_folders_of_the_dead();
        let folder = create_temporary_folder(&format!("{PREFIX}{}-", std::process::id()))?;
        let postgres = Postgres::start()?;
        Ok(Self {
            arguments,
            postgres,
            folder,
        })
    }

    /// The folder of this run, removed at its end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder of this run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many rows the usual table has.
    pub fn rows(&self) -> u64 {
        self.arguments.rows
    }

    /// Leaves nothing to be written by somebody else at somebody's cost.
    pub fn flush(&self) -> Result<()> {
        self.postgres.run("postgres", &["CHECKPOINT"])?;
        process::output(&mut Command::new("sync")).map(drop)
    }

    /// A PostgreSQL database whose table `items` has these rows; made once.
    pub fn postgres_items(&self, rows: Rows) -> Result<String> {
        let name = format!("items_{}", rows_name(rows));
        self.postgres.fixture(&name, |database| {
            let write = |out: &mut dyn std::io::Write| rows.write(out);
            self.postgres.fill(database, ITEMS, POSTGRES_COLUMNS, write)
        })?;
        Ok(name)
    }

    /// A SQLite file whose table `items` has these rows; made once.
    pub fn sqlite_items(&self, rows: Rows, journal: Journal) -> Result<PathBuf> {
        let file = self.path(&format!("items-{}-{journal:?}.db", rows_name(rows)));
        if !file.exists() {
            let made = self.path("unfinished.db");
            let write = |out: &mut dyn std::io::Write| rows.write(out);
            sqlite::fill(&made, journal, ITEMS, SQLITE_COLUMNS, &["note"], write)?;
            std::fs::rename(made, &file)?;
        }
        Ok(file)
    }

    /// The usual rows.
    pub fn items(&self, keys: Keys) -> Rows {
        Rows {
            count: self.rows(),
            keys,
            stale_every: None,
        }
    }
}

/// Removes what benchmarks left that were killed: their databases are large.
fn remove_folders_of_the_dead() {
    let folders = std::fs::read_dir(std::env::temp_dir());
    for folder in folders.into_iter().flatten().flatten() {
        let name = folder.file_name();
        let name = name.to_string_lossy();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'));
        if let Some((process, _)) = process
            && process.parse::<u32>().is_ok()
            && !Path::new("/proc").join(process).exists()
        {
            // What belongs to somebody else stays.
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

fn rows_name(rows: Rows) -> String {
    let Rows {
        count,
        keys,
        stale_every,
    } = rows;
    let stale = stale_every.map_or("new".to_owned(), |every| format!("stale{every}"));
    format!("{}_{stale}_{count}", keys.name())
}
