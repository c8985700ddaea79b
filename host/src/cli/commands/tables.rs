//! `tombolo tables DB`.

use tombolo::bindings::database::TableKind;
use tombolo::bindings::types::Failure;
use tombolo::failure::printable;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;

/// Arguments of `tables`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: a SQLite file or postgres://…
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
}

/// Lists all tables and views: a table on a terminal, else a line each (name, kind, rows, with tabs between).
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
    if output.is_terminal() {
        if rows.is_empty() {
            output.note(&format!("{} has no tables", arguments.database));
        } else {
            output.result(&report::table(&["table", "kind", "rows"], 2, rows).to_string());
        }
    } else {
        for row in rows {
            let row: Vec<String> = row.iter().map(|text| printable(text)).collect();
            output.result(&row.join("\t"));
        }
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
