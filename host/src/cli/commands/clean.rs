//! `tombolo clean DB`: removes Tombolo's own tables from a database.

use tombolo::bindings::types::Failure;
use tombolo::printable::printable;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::output::Output;
use crate::cli::output::event::Event;

/// Arguments of `clean`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A database that was pulled into: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
}

/// Removes Tombolo's own tables, and prints their names.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    let removed = database.clean().await?;
    for table in &removed {
        output.event(&Event::Removed { table });
        output.result(&printable(table));
    }
    if removed.is_empty() {
        output.note("Nothing to remove.");
    }
    Ok(())
}
