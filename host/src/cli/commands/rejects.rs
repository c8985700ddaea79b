//! `tombolo rejects DB`: lists the rows that pulls rejected, or retries them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use tombolo::bindings::types::Failure;
use tombolo::database::Reject;
use tombolo::printable::printable;
use tombolo::resources::{GrantedDatabase, Patterns};

use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::plugins::{self, PluginArgument};
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;
use crate::cli::output::shell::quoted;
use crate::cli::output::width::terminal_width;
use crate::cli::{Exit, local_tenant, written};

pub const EXAMPLES: &str = "\
Examples:
  tombolo rejects copy.db
  tombolo rejects postgres://ana@localhost/shop --retry 3f2a…

Rows that a pull rejects stay in the database with the reason.
When the cause is fixed, --retry applies them with the strategy of their pull.
Rows that still do not fit stay rejected.";

/// The most rows that are listed.
const LISTED: u32 = 100_000;

/// Arguments of `rejects`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A database that was pulled into: a SQLite file or a PostgreSQL URL
    #[arg(value_name = "DB")]
    pub database: DatabaseArgument,
    /// Retry the rejected rows of this run; the beginning of its name is enough
    #[arg(long, value_name = "RUN")]
    retry: Option<String>,
    /// Replace a standard component, as for the pull; repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    plugins: Vec<PluginArgument>,
}

impl Arguments {
    /// Checks what clap cannot.
    pub fn check(&self) -> Result<(), String> {
        self.database.check()?;
        plugins::check(&self.plugins)
    }
}

/// Lists the rejected rows, or retries those of a run.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let database = arguments.database.open(false).await?;
    match &arguments.retry {
        None => {
            list(
                &database.rejects(LISTED).await?,
                &arguments.database.to_string(),
                output,
            );
            Ok(Exit::Ok)
        }
        Some(run) => {
            let all = Patterns::all()?;
            let granted = GrantedDatabase::new(database, all.clone(), all);
            let tenant = local_tenant::open(granted, None, &arguments.plugins).await?;
            let reports = tenant.retry_rejects(local_tenant::DATABASE, run).await?;
            report::show(Some(run), &reports, output);
            Ok(written(&reports))
        }
    }
}

fn list(rejects: &[Reject], database: &str, output: &Output) {
    for reject in rejects {
        output.event(&Event::Rejected {
            run: &reject.run,
            table: &reject.table,
            row: reject.row,
            key: &reject.key,
            reason: &reject.reason,
        });
    }
    if output.is_terminal() && !rejects.is_empty() {
        output.result(&groups(rejects).to_string());
        let database = quoted(database);
        output.note(&format!(
            "{}. Each row with its key: tombolo rejects {database} | cat",
            report::count(rejects.len() as u64)
        ));
        return;
    }
    let rows: Vec<Vec<String>> = rejects
        .iter()
        .map(|reject| {
            vec![
                reject.run.clone(),
                reject.table.clone(),
                reject.row.to_string(),
                reject.key.clone(),
                reject.reason.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        output.note("No rejected rows.");
        return;
    }
    let listed = rows.len();
    output.rows(&["run", "table", "row", "key", "reason"], 5, rows);
    if u32::try_from(listed).is_ok_and(|listed| listed == LISTED) {
        output.note(&format!("Only the first {LISTED} rows are listed."));
    }
}

/// Returns one row for each table, column and reason, with the number of rejected rows; the largest first.
fn groups(rejects: &[Reject]) -> Table {
    let mut groups: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for reject in rejects {
        let (column, reason) = column_and_reason(&reject.reason);
        *groups.entry((&reject.table, column, reason)).or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, count)| Reverse(*count));
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(terminal_width()).unwrap_or(u16::MAX));
    table.set_header(["rows", "table", "column", "reason"]);
    for ((name, column, reason), count) in groups {
        let count = Cell::new(report::number(count)).set_alignment(CellAlignment::Right);
        let texts = [name, column, reason].map(|text| Cell::new(printable(text)));
        table.add_row(std::iter::once(count).chain(texts));
    }
    table
}

/// Splits the reason of one column, `column "price": it is no number`, into both.
fn column_and_reason(reason: &str) -> (&str, &str) {
    let parts = reason
        .strip_prefix("column \"")
        .and_then(|rest| rest.split_once("\": "));
    parts.unwrap_or(("", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_one_row_of_a_table_that_fits() {
        let reject = |row, reason: &str| Reject {
            run: "r1".to_owned(),
            table: "orders".to_owned(),
            row,
            key: row.to_string(),
            reason: reason.to_owned(),
            cells: Vec::new(),
        };
        let long = format!("column \"price\": {}", "it is no number ".repeat(20));
        let rejects = [
            reject(1, "the parent is missing"),
            reject(2, &long),
            reject(3, &long),
        ];
        let shown = groups(&rejects).to_string();
        let row = |part: &str| shown.lines().position(|line| line.contains(part));
        assert!(
            row("price") < row("parent") && row("price").is_some(),
            "{shown}"
        );
        assert!(
            shown
                .lines()
                .all(|line| line.chars().count() <= terminal_width()),
            "{shown}"
        );
        assert_eq!(column_and_reason("the parent"), ("", "the parent"));
    }
}
