//! The command line: one file a command, and what they share.

mod args;
mod commands;
#[cfg(test)]
mod documentation;
mod local_tenant;
mod output;
mod planned_run;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::Builder;
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};

use commands::{clean, count, demo, diff, pull, rejects, schema, share, tables};
use output::Output;

/// How the command ends. 4 (needs approval) is kept for verbs to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok,
    /// It did not; the error says why.
    Failed,
    /// It found differences.
    Differences,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Differences => Self::from(3),
        }
    }
}

/// How long tasks that nothing waits for may run on at the end.
const GRACE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  tombolo demo                                  see it work, on this machine
  tombolo share shop.db                         on one side: prints a code and the command below
  tombolo pull http://host:7432 A7X9K2M4 --into copy.db
                                                on the other side: takes the tables in
  tombolo diff http://host:7432 A7X9K2M4 --with copy.db
                                                what differs, row by row
  tombolo tables postgres://ana@localhost/shop  what a database has

DB is a SQLite file (shop.db, sqlite:shop.db) or a PostgreSQL address (postgres://user@host/name).
A shared database is never written, and nothing is ever deleted in the one that pulls.

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 differences (diff). Logs go to standard error; RUST_LOG=info shows more.";

/// Moves tables between databases of different sites: one site shares and gets a code, the other pulls with it
#[derive(Debug, Parser)]
#[command(name = "tombolo", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// Print newline-delimited JSON events to standard output, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Offer a database's tables to whoever has the code
    #[command(after_help = share::EXAMPLES)]
    Share(share::Arguments),
    /// Take in the tables that another site shares
    #[command(after_help = pull::EXAMPLES)]
    Pull(pull::Arguments),
    /// Compare a database with the tables that another site shares; nothing is written
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Arguments),
    /// List the rows that pulls could not take in, or try them again
    #[command(after_help = rejects::EXAMPLES)]
    Rejects(rejects::Arguments),
    /// Remove what tombolo keeps in a database that was pulled into: ledger, rejects, origins of columns
    Clean(clean::Arguments),
    /// List the tables and views of a database
    Tables(tables::Arguments),
    /// Show the columns and keys of a table
    Schema(schema::Arguments),
    /// Count the rows of a table; estimated where counting would take long
    Count(count::Arguments),
    /// Transfer a generated shop between two sites on this machine, and compare every row
    Demo,
}

impl Command {
    /// Checks what clap does not: arguments that contradict each other.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Share(arguments) => arguments.check(),
            Self::Pull(arguments) => arguments.check(),
            Self::Diff(arguments) => arguments.check(),
            Self::Rejects(arguments) => arguments.check(),
            Self::Clean(arguments) => arguments.database.check(),
            Self::Tables(arguments) => arguments.database.check(),
            Self::Schema(arguments) => arguments.database.check(),
            Self::Count(arguments) => arguments.database.check(),
            Self::Demo => Ok(()),
        }
    }

    async fn run(&self, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Share(arguments) => share::run(arguments, output).await.map(done),
            Self::Pull(arguments) => pull::run(arguments, output).await,
            Self::Diff(arguments) => diff::run(arguments, output).await,
            Self::Rejects(arguments) => rejects::run(arguments, output).await.map(done),
            Self::Clean(arguments) => clean::run(arguments, output).await.map(done),
            Self::Tables(arguments) => tables::run(arguments, output).await.map(done),
            Self::Schema(arguments) => schema::run(arguments, output).await.map(done),
            Self::Count(arguments) => count::run(arguments, output).await.map(done),
            Self::Demo => demo::run(output).await.map(done),
        }
    }
}

impl Cli {
    /// Reads the arguments. The error prints itself, and exits with 2 if something is wrong with them.
    pub fn read_from(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        cli.command
            .check()
            .map_err(|wrong| Self::command().error(ErrorKind::ArgumentConflict, wrong))?;
        Ok(cli)
    }
}

/// Runs a command and reports how it ended.
pub fn run(cli: &Cli) -> Exit {
    let output = Output::new(cli.json);
    match complete(&cli.command, &output) {
        Ok(exit) if output.is_complete() => exit,
        Ok(_) => Exit::Failed,
        Err(failure) => {
            output.failure(&failure);
            Exit::Failed
        }
    }
}

fn complete(command: &Command, output: &Output) -> Result<Exit, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        let message = format!("cannot start the worker threads: {error}");
        failure(ErrorCode::Internal, message, "")
    })?;
    let outcome = runtime.block_on(command.run(output));
    runtime.shutdown_timeout(GRACE);
    outcome
}

fn done((): ()) -> Exit {
    Exit::Ok
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn kind(line: &str) -> ErrorKind {
        Cli::read_from(line.split_whitespace()).unwrap_err().kind()
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_exit_with_two() {
        let digest = "0".repeat(64);
        let wrong = [
            "tombolo",
            "tombolo frobnicate",
            "tombolo share",
            "tombolo share shop.db --expires soon",
            "tombolo share shop.db --expires 0s",
            "tombolo share shop.db --listen nowhere",
            "tombolo share shop.db --tables {",
            "tombolo share shop.db --plugin sessions",
            "tombolo share mysql://host/shop",
            "tombolo pull http://host:7432 CODE",
            "tombolo pull http://host:7432 CODE --into copy.db --strategy",
            "tombolo pull http://host:7432 CODE --into copy.db --strategy skip --strategy merge",
            "tombolo pull http://host:7432 CODE --into copy.db --strategy a=skip --strategy a=merge",
            "tombolo pull http://host:7432 CODE --into copy.db --strategy a=",
        ];
        for line in wrong {
            let error = Cli::read_from(line.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        let twice = format!(
            "tombolo pull http://h CODE --into c.db --plugin ddl=a@sha256:{digest} --plugin ddl=b@sha256:{digest}"
        );
        assert_eq!(kind(&twice), ErrorKind::ArgumentConflict);
        assert_eq!(kind("tombolo --version"), ErrorKind::DisplayVersion);
    }

    #[test]
    fn json_is_understood_before_and_behind_the_verb() {
        for line in ["tombolo --json tables a.db", "tombolo tables a.db --json"] {
            assert!(Cli::read_from(line.split_whitespace()).unwrap().json);
        }
    }
}
