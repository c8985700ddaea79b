//! `tombolo diff URL`: compares the tables that another site shares with a local database.

use tombolo::bindings::client::{ChosenStrategy, PullRequest};
use tombolo::bindings::transfers::{RunEvent as EngineEvent, TableComparison};
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};
use tombolo::printable::printable;
use tombolo::resources::RunEvent;
use tombolo::run::{Difference, DifferenceKind, MAX_NAMED};

use crate::cli::args::conversion::{ConversionArguments, Conversions};
use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::peer::PeerArguments;
use crate::cli::args::plugins;
use crate::cli::output::Output;
use crate::cli::output::comparison;
use crate::cli::output::event::Event;
use crate::cli::output::progress::Progress;
use crate::cli::output::report::number;
use crate::cli::planned_run::{Ended, PlannedRun, ended, unexpected_end};
use crate::cli::signals::Signals;
use crate::cli::{Exit, local_tenant};

pub const EXAMPLES: &str = "\
Examples:
  tombolo diff http://127.0.0.1:7432 --with copy.db
  tombolo diff http://127.0.0.1:7432 - customers --with postgres://ana@localhost/shop --rows

It asks for the code, or takes it from TOMBOLO_CODE or standard input.
The same code can be used again from here.
Exit codes: 0 no difference, 3 differences.";

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The local database: a SQLite file or a PostgreSQL URL
    #[arg(long, value_name = "DB")]
    pub with: DatabaseArgument,
    #[arg(
        long,
        help = format!("Show the keys of the rows that differ, at most {} for each table", number(MAX_NAMED))
    )]
    rows: bool,
    #[command(flatten)]
    conversions: ConversionArguments,
    #[command(flatten)]
    peer: PeerArguments,
}

impl Arguments {
    /// Checks what clap cannot.
    pub fn check(&self) -> Result<(), String> {
        self.with.check()?;
        Conversions::new(&self.conversions)?;
        plugins::check(&self.peer.plugins)
    }

    fn request(&self, code: String, conversions: Conversions) -> PullRequest {
        PullRequest {
            base_url: self.peer.url.clone(),
            code,
            database: local_tenant::DATABASE.to_owned(),
            tables: self.peer.selection(),
            // Nothing is written, so no strategy is asked.
            strategy: ChosenStrategy {
                name: String::new(),
                params: Vec::new(),
            },
            table_strategies: Vec::new(),
            conversions: conversions.general,
            column_conversions: conversions.by_column.into_iter().collect(),
            create_missing: true,
            jobs: 1,
            reject_limit: 0,
            max_rows: None,
            max_bytes: None,
            claimer: local_tenant::who(),
        }
    }
}

/// Compares the tables. The exit code says whether anything differs.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let mut signals = Signals::take()?;
    let code = signals.or_signal(arguments.peer.code()).await?;
    let database = arguments.with.open(false).await?;
    let conversions = Conversions::new(&arguments.conversions)
        .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
    let request = arguments.request(code, conversions);
    let opening = PlannedRun::open(&arguments.peer, database, request, |_| Ok(()));
    let mut planned = signals.or_signal(opening).await?;
    let tables = follow(&mut planned, arguments.rows, output, &mut signals).await?;
    comparison::show(&planned.id, &tables, output);
    Ok(match comparison::differ(&tables) {
        true => Exit::Differences,
        false => Exit::Ok,
    })
}

async fn follow(
    planned: &mut PlannedRun,
    rows: bool,
    output: &Output,
    signals: &mut Signals,
) -> Result<Vec<TableComparison>, Failure> {
    let mut progress = Progress::new(output);
    loop {
        let note = |text: &str| output.note(text);
        match planned.next(signals, note).await? {
            RunEvent::Difference(difference) if rows => show(&difference, output),
            RunEvent::Interrupted(interruption) => progress.interrupted(&interruption),
            RunEvent::Progress(_) | RunEvent::TableDone(_) | RunEvent::Difference(_) => {}
            RunEvent::Engine(EngineEvent::Planned(_)) => {
                if !planned.is_stopping() {
                    planned.tenant.engine().compare(&planned.id).await?;
                }
            }
            RunEvent::Engine(event) => match ended(event) {
                Some(Ok(Ended::Compared(tables))) => return Ok(tables),
                Some(Ok(Ended::Finished(_))) => return Err(unexpected_end()),
                Some(Err(failure)) => return Err(failure),
                None => {}
            },
        }
    }
}

fn show(difference: &Difference, output: &Output) {
    let kind = match difference.kind {
        DifferenceKind::New => "new",
        DifferenceKind::Changed => "changed",
        DifferenceKind::LocalOnly => "local_only",
    };
    output.event(&Event::Difference {
        table: &difference.table,
        kind,
        key: &difference.key,
    });
    let (table, key) = (printable(&difference.table), printable(&difference.key));
    output.result(&format!("{kind}\t{table}\t{key}"));
}
