//! The `tombolo` command: arguments, logs and exit codes.

mod cli;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use cli::Cli;

/// sqlx warns of each statement that takes a second, and many of a transfer's do. Of a file with passwords that it ignores,
/// because others can read it, it has to warn.
const DEFAULT_LOG: &str = "warn,sqlx=error,sqlx_postgres::options::pgpass=warn";

/// sqlx prints the values of parameters in a database's URL that it does not know, which may be secrets.
const NEVER_LOGGED: &str = "sqlx_postgres::options::parse=off";

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let chosen = EnvFilter::try_from_default_env().ok();
    let for_people = chosen.is_none() && !cli.is_for_programs();
    let filter = chosen.unwrap_or_else(|| EnvFilter::new(DEFAULT_LOG));
    let filter = match NEVER_LOGGED.parse() {
        Ok(never) => filter.add_directive(never),
        Err(_) => filter,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| cli::Log)
        .with_ansi(std::io::stderr().is_terminal());
    if for_people {
        log.event_format(cli::ForPeople).init();
    } else {
        log.init();
    }
    cli::run(&cli).into()
}
