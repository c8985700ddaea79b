//! `tombolo schema DB TABLE`: shows the columns and keys of a table.

use tombolo::bindings::types::Failure;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::described_table::describe;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::schema::text;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
    /// The name of the table
    #[arg(value_name = "TABLE")]
    table: String,
}

/// Shows the columns and keys of a table.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    let schema = describe(&*database, &arguments.table).await?;
    output.event(&Event::Schema((&schema).into()));
    output.result(&text(&schema));
    Ok(())
}
