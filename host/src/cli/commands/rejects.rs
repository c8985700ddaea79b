//! `tombolo rejects DB`.

use std::sync::Arc;

use tombolo::bindings::types::Failure;
use tombolo::failure::printable;
use tombolo::resources::{GrantedDatabase, Patterns};

use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::plugins::{self, PluginArgument};
use crate::cli::local_tenant;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;

pub const EXAMPLES: &str = "\
Examples:
  tombolo rejects copy.db
  tombolo rejects postgres://ana@localhost/shop --retry 3f2a…

Rows that a pull could not take in stay in the target with the reason. When the cause is mended, --retry takes them in by the
strategy of their pull; what still does not fit stays rejected.";

/// More rows are not listed.
const LISTED: u32 = 100_000;

/// Arguments of `rejects`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database that was pulled into: a SQLite file or postgres://…
    #[arg(value_name = "DB")]
    database: DatabaseArgument,
    /// Try the rows of this run again; the beginning of its name is enough
    #[arg(long, value_name = "RUN")]
    retry: Option<String>,
    /// Let a component fill a role, as for the pull; repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    plugins: Vec<PluginArgument>,
}

impl Arguments {
    /// Checks what clap does not.
    pub fn check(&self) -> Result<(), String> {
        self.database.check()?;
        plugins::check(&self.plugins)
    }
}

/// Lists rejected rows (run, table, row, key, reason, with tabs between), or tries them again.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let database = arguments.database.open(false).await?;
    match &arguments.retry {
        None => {
            let rejects = database.rejects(LISTED).await?;
            for reject in &rejects {
                output.event(&Event::Rejected {
                    run: &reject.run,
                    table: &reject.table,
                    row: reject.row,
                    key: &reject.key,
                    reason: &reject.reason,
                });
            }
            let cells = rejects.iter().map(|reject| {
                vec![
                    reject.run.clone(),
                    reject.table.clone(),
                    reject.row.to_string(),
                    reject.key.clone(),
                    reject.reason.clone(),
                ]
            });
            if rejects.is_empty() {
                output.note("No row was rejected.");
            } else if output.is_terminal() {
                let header = ["run", "table", "row", "key", "reason"];
                output.result(&report::table(&header, 5, cells).to_string());
            } else {
                for row in cells {
                    let row: Vec<String> = row.iter().map(|text| printable(text)).collect();
                    output.result(&row.join("\t"));
                }
            }
        }
        Some(run) => {
            let all = Patterns::all()?;
            let granted = GrantedDatabase::new(Arc::clone(&database), all.clone(), all);
            let tenant = local_tenant::open(granted, None, &arguments.plugins).await?;
            let reports = tenant.retry_rejects(local_tenant::DATABASE, run).await?;
            output.event(&Event::Done {
                run: Some(run),
                tables: reports.iter().map(Into::into).collect(),
            });
            output.result(&report::summary(&reports, output.is_terminal()));
        }
    }
    Ok(())
}
