//! The `tombolo` command: arguments, logs and exit codes.

mod cli;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use cli::Cli;

/// sqlx warns of each statement that takes a second, and many of a transfer's do.
const DEFAULT_LOG: &str = "warn,sqlx=error";

fn main() -> ExitCode {
    let cli = Cli::read_from(std::env::args_os()).unwrap_or_else(|usage| usage.exit());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    cli::run(&cli).into()
}
