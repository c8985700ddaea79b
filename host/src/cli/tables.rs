//! `tombolo tables DB`.

use tombolo::bindings::database::TableKind;
use tombolo::bindings::types::Failure;
use tombolo::failure::printable;

use super::database::DatabaseArgument;
use super::event::Event;
use super::output::Output;
use super::report;

/// Arguments of `tables`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: a SQLite file or postgres://…
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
}

/// Lists all tables and views: a table on a terminal, else a line each (name, tab, kind).
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let listed = arguments.database.open(false).await?.tables().await?;
    for one in &listed {
        output.event(&Event::Listed {
            table: &one.table,
            kind: kind(&one.kind),
        });
    }
    let rows = listed
        .iter()
        .map(|one| vec![one.table.clone(), kind(&one.kind).to_owned()]);
    if output.is_terminal() {
        if listed.is_empty() {
            output.note(&format!("{} has no tables", arguments.database));
        } else {
            output.result(&report::table(&["table", "kind"], 2, rows).to_string());
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
