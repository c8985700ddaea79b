//! The `tombolo` command: arguments, tracing and exit codes. What it does is in the library.

mod cli;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Exit};

/// sqlx tells of every statement that takes a second, which is the usual case here.
const DEFAULT_LOG: &str = "warn,sqlx=error";

/// How long work that nobody waits for any more may go on at the end.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::read_from(std::env::args_os()).unwrap_or_else(|wrong| wrong.exit());
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            // Not `eprintln`, which panics where standard error is closed.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("error: {error:#}\n"),
            );
            Exit::Failed.into()
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the worker threads cannot be started")?;
    let exit = runtime.block_on(cli::run(cli));
    runtime.shutdown_timeout(GRACE);
    Ok(exit)
}
