//! `tombolo clean DB`.

use tombolo::bindings::types::Failure;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::output::Output;
use crate::cli::output::event::Event;

/// Arguments of `clean`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database that was pulled into: a SQLite file or postgres://…
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
}

/// Removes what Tombolo keeps in a target, a line each.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    let removed = database.clean().await?;
    for table in &removed {
        output.event(&Event::Removed { table });
        output.result(table);
    }
    if removed.is_empty() {
        output.note("Nothing to remove.");
    }
    Ok(())
}
