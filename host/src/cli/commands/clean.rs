//! `tombolo clean DB`: removes Tombolo's own tables from a database.

use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};
use tombolo::printable::printable;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::input;
use crate::cli::output::Output;
use crate::cli::output::confirmation::is_yes;
use crate::cli::output::event::Event;
use crate::cli::output::report;

/// The most kept rows that are counted.
const COUNTED: u32 = 1_000_000;

/// Arguments of `clean`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A database that was pulled into: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
    /// Do not ask before rejected rows are deleted
    #[arg(long)]
    yes: bool,
}

/// Removes Tombolo's own tables, and prints their names. Fails with `cancelled` if they keep rejected rows that nobody
/// agrees to lose.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    if !arguments.yes {
        let kept = database.rejects(COUNTED).await?.len() as u64;
        if kept > 0 && !confirmed(kept, output).await {
            return Err(unconfirmed(kept));
        }
    }
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

async fn confirmed(kept: u64, output: &Output) -> bool {
    if !output.can_ask() {
        return false;
    }
    let rows = report::count(kept);
    output.note(&format!(
        "The database keeps {rows} that pulls rejected; they will be lost."
    ));
    let answer = input::line(Some("Continue? [y/N]")).await;
    answer.is_some_and(|answer| is_yes(&answer))
}

fn unconfirmed(kept: u64) -> Failure {
    failure(
        ErrorCode::Cancelled,
        format!(
            "the database keeps {} that pulls rejected, which would be lost; nothing was removed",
            report::count(kept)
        ),
        "`tombolo rejects DB` lists them; --yes deletes them",
    )
}
