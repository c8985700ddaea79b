//! `tombolo count DB TABLE`: counts the rows of a table.

use tombolo::bindings::types::Failure;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::described_table::describe;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;

/// Arguments of `count`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
    /// The name of the table
    #[arg(value_name = "TABLE")]
    table: String,
}

/// Counts the rows of a table, or estimates them if counting takes long.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    // Fails with `no-such-table` or `not-a-table`, which counting may not.
    describe(&*database, &arguments.table).await?;
    let count = database.count(&arguments.table).await?;
    output.event(&Event::Count {
        table: &arguments.table,
        rows: count.rows,
        exact: count.exact,
    });
    output.result(&text(count.rows, count.exact));
    Ok(())
}

fn text(rows: u64, exact: bool) -> String {
    if exact {
        format!("{} (exact)", report::count(rows))
    } else {
        format!("about {} (estimated)", report::count(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_called_one() {
        assert_eq!(text(1_234, true), "1,234 rows (exact)");
        assert_eq!(text(1, true), "1 row (exact)");
        assert_eq!(text(1_234, false), "about 1,234 rows (estimated)");
    }
}
