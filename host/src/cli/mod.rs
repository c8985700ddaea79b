//! The command line: commands, their arguments, and what they print.

mod args;
mod commands;
mod described_table;
#[cfg(test)]
mod documentation;
mod input;
mod local_tenant;
mod output;
mod planned_run;
mod signals;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::runtime::Builder;
use tombolo::bindings::types::{Failure, TableReport};
use tombolo::failure::{ErrorCode, failure};
use tombolo::private_files::sweep_temporary_folders;

use args::database::DatabaseArgument;
use commands::{clean, count, demo, diff, plugin, pull, rejects, schema, share, tables};
use output::Output;
pub use output::log::{ForPeople, Log};
use output::shell::quoted;
use usage::without_urls;

/// How a command ends. Exit code 4 (needs approval) is reserved for later commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It succeeded: exit code 0.
    Ok,
    /// It failed, and the error says why: exit code 1.
    Failed,
    /// It found differences: exit code 3.
    Differences,
    /// It is complete, but rows were rejected: exit code 5.
    Rejected,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Differences => Self::from(3),
            Exit::Rejected => Self::from(5),
        }
    }
}

/// How long tasks that nothing waits for may run on at the end.
const GRACE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  tombolo demo                                  run a transfer between two sites on this machine
  tombolo share shop.db                         at one site: print a code
  tombolo pull http://host:7432 --into copy.db  at the other site: ask for the code, copy the shared tables
  tombolo diff http://host:7432 --with copy.db  count the rows that differ
  tombolo tables postgres://ana@localhost/shop  list the tables of a database

DB is a SQLite file (shop.db, sqlite:shop.db) or a PostgreSQL URL (postgres://user@host/name).
A shared database is opened read-only. A pull never deletes rows.

Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 differences (diff), 5 complete, but rows were rejected.
Logs go to standard error; RUST_LOG=info shows more of them.";

/// Move tables between databases of different sites: one site shares and gets a code, the other site pulls with it
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
    /// Share tables of a database with the site that has the code
    #[command(after_help = share::EXAMPLES)]
    Share(share::Arguments),
    /// Copy the tables that another site shares into a local database
    #[command(after_help = pull::EXAMPLES)]
    Pull(pull::Arguments),
    /// Compare the tables that another site shares with a local database; write nothing
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Arguments),
    /// List the rows that pulls rejected, or retry them
    #[command(after_help = rejects::EXAMPLES)]
    Rejects(rejects::Arguments),
    /// Remove Tombolo's own tables from a database: ledger, rejects, origins of columns
    Clean(clean::Arguments),
    /// List the tables and views of a database
    Tables(tables::Arguments),
    /// Show the columns and keys of a table
    Schema(schema::Arguments),
    /// Count the rows of a table, or estimate them if counting takes long
    Count(count::Arguments),
    /// For authors of plugins: print the contract
    #[command(after_help = plugin::EXAMPLES)]
    Plugin(plugin::Arguments),
    /// Run a transfer between two sites on this machine, and compare every row
    Demo,
}

impl Command {
    /// Checks what clap cannot: databases, and options that contradict each other.
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
            Self::Plugin(_) | Self::Demo => Ok(()),
        }
    }

    /// The database that the command is about.
    fn database(&self) -> Option<&DatabaseArgument> {
        match self {
            Self::Share(arguments) => Some(&arguments.database),
            Self::Pull(arguments) => Some(&arguments.into),
            Self::Diff(arguments) => Some(&arguments.with),
            Self::Rejects(arguments) => Some(&arguments.database),
            Self::Clean(arguments) => Some(&arguments.database),
            Self::Tables(arguments) => Some(&arguments.database),
            Self::Schema(arguments) => Some(&arguments.database),
            Self::Count(arguments) => Some(&arguments.database),
            Self::Plugin(_) | Self::Demo => None,
        }
    }

    /// Puts the names of this command into a hint, so that it can be pasted.
    fn complete_hint(&self, failure: &mut Failure) {
        let Some(database) = self.database() else {
            return;
        };
        let name = quoted(&database.to_string());
        for verb in ["rejects", "tables", "clean"] {
            let general = format!("`tombolo {verb} DB`");
            failure.hint = failure
                .hint
                .replace(&general, &format!("`tombolo {verb} {name}`"));
        }
        if let Some(login) = database.login() {
            let owner = format!("AUTHORIZATION \"{}\"", login.replace('"', "\"\""));
            failure.hint = failure.hint.replace("AUTHORIZATION login", &owner);
        }
    }

    async fn run(&self, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Share(arguments) => share::run(arguments, output).await.map(done),
            Self::Pull(arguments) => pull::run(arguments, output).await,
            Self::Diff(arguments) => diff::run(arguments, output).await,
            Self::Rejects(arguments) => rejects::run(arguments, output).await,
            Self::Clean(arguments) => clean::run(arguments, output).await.map(done),
            Self::Tables(arguments) => tables::run(arguments, output).await.map(done),
            Self::Schema(arguments) => schema::run(arguments, output).await.map(done),
            Self::Count(arguments) => count::run(arguments, output).await.map(done),
            Self::Plugin(arguments) => {
                plugin::run(arguments, output);
                Ok(Exit::Ok)
            }
            Self::Demo => demo::run(output).await.map(done),
        }
    }
}

impl Cli {
    /// Parses the arguments of the process. If they are wrong or ask for help, prints that, and returns the exit code.
    pub fn read() -> Result<Self, ExitCode> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        Self::read_from(&arguments).map_err(|error| {
            let given = arguments.iter().skip(1).map(OsString::as_os_str);
            usage::report(&error, given)
        })
    }

    /// Returns true if programs read the output.
    pub fn is_for_programs(&self) -> bool {
        self.json
    }

    fn read_from(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments);
        let matches = matches.map_err(without_urls)?;
        let cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.command.check().map_err(|reason| {
            let verb = matches.subcommand_name().unwrap_or_default();
            let kind = ErrorKind::ArgumentConflict;
            match command.find_subcommand_mut(verb) {
                Some(subcommand) => subcommand.error(kind, reason),
                None => command.error(kind, reason),
            }
        })?;
        Ok(cli)
    }
}

/// Runs a command, and prints why it failed if it did.
pub fn run(cli: &Cli) -> Exit {
    let output = Output::new(cli.json);
    match complete(&cli.command, &output) {
        Ok(exit) if output.is_complete() => exit,
        Ok(_) => Exit::Failed,
        Err(mut failure) => {
            cli.command.complete_hint(&mut failure);
            output.failure(&failure);
            Exit::Failed
        }
    }
}

fn complete(command: &Command, output: &Output) -> Result<Exit, Failure> {
    sweep_temporary_folders();
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        let message = format!("cannot start the worker threads: {error}");
        failure(ErrorCode::Internal, message, "")
    })?;
    let outcome = runtime.block_on(command.run(output));
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Returns how a command ends that wrote rows.
fn written(reports: &[TableReport]) -> Exit {
    match output::report::rejected(reports) {
        0 => Exit::Ok,
        _ => Exit::Rejected,
    }
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
            "tombolo pull http://host:7432",
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
    fn a_usage_error_does_not_repeat_a_password() {
        for line in [
            "tombolo postgres://ana:secret@host/shop",
            "tombolo tables shop.db postgres://ana:secret@host/shop",
            "tombolo tables shop.db --postgres://ana:secret@host/shop",
            "tombolo pull http://host --into shop.db --jobs postgres://ana:secret@host/shop",
        ] {
            let error = Cli::read_from(line.split_whitespace())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("postgres://…") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn json_is_accepted_before_and_after_the_command() {
        for line in ["tombolo --json tables a.db", "tombolo tables a.db --json"] {
            assert!(Cli::read_from(line.split_whitespace()).unwrap().json);
        }
    }
}
