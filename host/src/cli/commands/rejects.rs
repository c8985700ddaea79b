//! `tombolo rejects DB`: lists the rows that pulls rejected, or retries them.

use tombolo::bindings::types::Failure;
use tombolo::database::Reject;
use tombolo::resources::{GrantedDatabase, Patterns};

use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::plugins::{self, PluginArgument};
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;
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
    database: DatabaseArgument,
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
            list(&database.rejects(LISTED).await?, output);
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

fn list(rejects: &[Reject], output: &Output) {
    for reject in rejects {
        output.event(&Event::Rejected {
            run: &reject.run,
            table: &reject.table,
            row: reject.row,
            key: &reject.key,
            reason: &reject.reason,
        });
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
