//! SQLite files, made and filled by the `sqlite3` program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::data::NULL;
use crate::postgres::feed;
use crate::process;

/// Whether readers and writers of a file are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// `PRAGMA journal_mode = delete`, SQLite's default.
    Rollback,
    /// `PRAGMA journal_mode = wal`.
    Wal,
}

/// `sqlite3` with these commands.
pub fn sqlite3(file: &Path, commands: &[&str]) -> Command {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-bail"]).arg(file).args(commands);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The answer to one question.
pub fn ask(file: &Path, sql: &str) -> Result<String> {
    process::output(sqlite3(file, &[sql]).stdout(Stdio::piped()))
}

/// Makes a file with a table of generated lines.
pub fn fill(
    file: &Path,
    journal: Journal,
    table: &str,
    columns: &str,
    nullable: &[&str],
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    remove(file)?;
    let create = format!("CREATE TABLE {table} ({columns});");
    let import = format!(".import /dev/stdin {table}");
    let commands = [
        "PRAGMA synchronous = off;",
        &create,
        ".mode ascii",
        ".separator \"\\t\" \"\\n\"",
        &import,
    ];
    feed(&mut sqlite3(file, &commands), write)?;
    for column in nullable {
        let sql = format!("UPDATE {table} SET {column} = NULL WHERE {column} = '{NULL}';");
        ask(file, &sql)?;
    }
    let journal = match journal {
        Journal::Rollback => "PRAGMA journal_mode = delete;",
        Journal::Wal => "PRAGMA journal_mode = wal;",
    };
    ask(file, "VACUUM; ANALYZE;")?;
    ask(file, journal).map(drop)
}

/// Removes a file and what SQLite keeps beside it.
pub fn remove(file: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = format!("{}{suffix}", file.display());
        if Path::new(&path).exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Checks that two files hold the same rows in a table.
pub fn check_same(one: &Path, other: &Path, table: &str) -> Result<()> {
    let attach = format!("ATTACH '{}' AS other;", other.display());
    let count = format!(
        "SELECT (SELECT count(*) FROM main.{table}) - (SELECT count(*) FROM other.{table}), \
         (SELECT count(*) FROM (SELECT * FROM main.{table} EXCEPT SELECT * FROM other.{table}));"
    );
    let answer = process::output(sqlite3(one, &[&attach, &count]).stdout(Stdio::piped()))?;
    ensure!(
        answer == "0|0",
        "{table} has other rows in the target: {answer}"
    );
    Ok(())
}
