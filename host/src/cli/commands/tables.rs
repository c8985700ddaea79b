//! `tombolo tables DB`: lists the tables and views of a database.

use tombolo::bindings::database::TableKind;
use tombolo::bindings::types::Failure;
use tombolo::database::{Omission, OmissionReason};

use crate::cli::args::database::DatabaseArgument;
use crate::cli::output::Output;
use crate::cli::output::event::Event;

/// Arguments of `tables`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
}

/// Lists all tables and views with their kind and their number of rows.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    let mut rows = Vec::new();
    for one in database.tables().await? {
        let counted = match one.kind {
            TableKind::Table => Some(database.count(&one.table).await?),
            _ => None,
        };
        output.event(&Event::Listed {
            table: &one.table,
            kind: kind(&one.kind),
            rows: counted.map(|counted| counted.rows),
            exact: counted.map(|counted| counted.exact),
        });
        let count = counted.map(|counted| {
            let about = if counted.exact { "" } else { "~" };
            format!("{about}{}", counted.rows)
        });
        rows.push(vec![
            one.table,
            kind(&one.kind).to_owned(),
            count.unwrap_or_default(),
        ]);
    }
    for Omission { table, reason } in database.omissions().await? {
        if reason == OmissionReason::Filtered {
            continue;
        }
        let kind = format!("not shared: {reason}");
        output.event(&Event::Listed {
            table: &table,
            kind: &kind,
            rows: None,
            exact: None,
        });
        rows.push(vec![table, kind, String::new()]);
    }
    if rows.is_empty() {
        output.note(&format!("{} has no tables.", arguments.database));
    } else {
        output.rows(&["table", "kind", "rows"], 2, rows);
    }
    Ok(())
}

fn kind(kind: &TableKind) -> &str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
        TableKind::Other(name) => name,
    }
}
