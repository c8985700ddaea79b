//! `tombolo tables DB`: lists the tables and views of a database.

use tombolo::bindings::database::TableKind;
use tombolo::bindings::types::Failure;
use tombolo::database::{Omission, OmissionReason};
use tombolo::printable::printable;

use crate::cli::args::database::DatabaseArgument;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report::number;

/// How many other schemas are named.
const SCHEMAS: usize = 10;

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
            match output.is_terminal() {
                true => format!("{about}{}", number(counted.rows)),
                false => format!("{about}{}", counted.rows),
            }
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
    let elsewhere = database.tables_elsewhere().await?;
    for (schema, tables) in &elsewhere {
        let tables = *tables;
        output.event(&Event::Elsewhere { schema, tables });
    }
    if let Some(text) = other_schemas(&elsewhere) {
        output.note(&text);
    }
    Ok(())
}

/// Formats how many tables are not listed: `9 tables are in 2 other schemas: sales (4), stock (5)`.
fn other_schemas(schemas: &[(String, u64)]) -> Option<String> {
    let all = schemas.iter().map(|(_, tables)| *tables);
    let all = all.fold(0, u64::saturating_add);
    let (tables, are) = if all == 1 {
        ("table", "is")
    } else {
        ("tables", "are")
    };
    let place = match schemas.len() {
        0 => return None,
        1 => "another schema".to_owned(),
        several => format!("{several} other schemas"),
    };
    let named = schemas.iter().take(SCHEMAS);
    let mut named: Vec<String> = named
        .map(|(schema, tables)| format!("{} ({})", printable(schema), number(*tables)))
        .collect();
    if schemas.len() > SCHEMAS {
        named.push("…".to_owned());
    }
    let all = number(all);
    Some(format!(
        "{all} {tables} {are} in {place}: {}",
        named.join(", ")
    ))
}

fn kind(kind: &TableKind) -> &str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
        TableKind::Other(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_other_schemas_are_counted() {
        let schema = |name: &str, tables| (name.to_owned(), tables);
        assert_eq!(other_schemas(&[]), None);
        assert_eq!(
            other_schemas(&[schema("sales", 1)]).as_deref(),
            Some("1 table is in another schema: sales (1)")
        );
        assert_eq!(
            other_schemas(&[schema("sales", 4), schema("stock", 5)]).as_deref(),
            Some("9 tables are in 2 other schemas: sales (4), stock (5)")
        );
    }
}
