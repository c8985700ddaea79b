//! `tombolo pull URL`: copies the tables that another site shares into a local database.

use std::time::Instant;

use tombolo::bindings::client::PullRequest;
use tombolo::bindings::transfers::RunEvent as EngineEvent;
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure, nearest};
use tombolo::resources::RunEvent;
use tombolo::run::MAX_JOBS;

use crate::cli::args::conversion::{ConversionArguments, Conversions};
use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::peer::PeerArguments;
use crate::cli::args::plugins;
use crate::cli::args::size;
use crate::cli::args::strategy::{Strategies, StrategyArgument};
use crate::cli::output::Output;
use crate::cli::output::confirmation::{Answer, ask};
use crate::cli::output::progress::Progress;
use crate::cli::output::standstill::Standstill;
use crate::cli::output::{comparison, not_carried, plan, report};
use crate::cli::planned_run::{Ended, PlannedRun, ended};
use crate::cli::signals::Signals;
use crate::cli::{Exit, local_tenant, written};

pub const EXAMPLES: &str = "\
Examples:
  tombolo pull http://127.0.0.1:7432 --into copy.db
  tombolo pull http://127.0.0.1:7432 - customers orders --into postgres://ana@localhost/shop
  tombolo pull http://127.0.0.1:7432 --into copy.db --strategy merge --strategy logs=append
  tombolo pull http://127.0.0.1:7432 --into copy.db --strategy overwrite --dry-run

It asks for the code, or takes it from TOMBOLO_CODE or standard input.
An interrupted pull resumes when you repeat the command; each row is applied once.
The code can be the same or a new one.

Strategies for rows that exist on both sides:
  skip        keep the local row (the default)
  overwrite   take the remote row
  merge       take the remote values that are not NULL
  append      insert every remote row with a new key
Plugins can bring others. Rows that exist only in the local database always stay.

Policies for SQLite values that a PostgreSQL column cannot hold exactly:
  exact       reject the row, see `tombolo rejects` (the default)
  parse       store the value that a text or number denotes, and count it: `t` as true, 32 digits as a uuid
  widen       create columns that hold every value, in tables that this pull creates
  lossy       store the nearest value, or NULL, and count it";

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The local database: a SQLite file, created if missing, or a PostgreSQL URL
    #[arg(long, value_name = "DB")]
    pub into: DatabaseArgument,
    /// What happens to rows that exist on both sides, for all tables or for one; repeatable [default: skip]
    #[arg(
        long = "strategy",
        value_name = "NAME[(PARAMETER=VALUE,…)] | TABLE=NAME[(…)]"
    )]
    strategies: Vec<StrategyArgument>,
    #[command(flatten)]
    conversions: ConversionArguments,
    /// Fail if a table is missing in the local database, instead of creating it
    #[arg(long)]
    no_create: bool,
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=MAX_JOBS as i64),
        help = format!("How many tables are written at a time, 1 to {MAX_JOBS}; a SQLite file has one writer")
    )]
    jobs: u32,
    /// How many rows of a table may be rejected; one more ends the pull
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    reject_limit: u32,
    /// How many rows may arrive, all tables together; more end the pull [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: Option<u64>,
    /// How many bytes may arrive, all tables together, such as 500MB or 2GiB; more end the pull [default: any number]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_bytes: Option<u64>,
    /// Do not ask before existing rows are changed
    #[arg(long)]
    yes: bool,
    /// List everything that is not carried over, instead of a number for each kind
    #[arg(long)]
    verbose: bool,
    /// Show what the pull would do, and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    peer: PeerArguments,
}

impl Arguments {
    /// Checks what clap cannot.
    pub fn check(&self) -> Result<(), String> {
        self.into.check()?;
        Strategies::new(&self.strategies)?;
        Conversions::new(&self.conversions)?;
        plugins::check(&self.peer.plugins)
    }

    fn request(
        &self,
        code: String,
        strategies: Strategies,
        conversions: Conversions,
    ) -> PullRequest {
        PullRequest {
            base_url: self.peer.url.clone(),
            code,
            database: local_tenant::DATABASE.to_owned(),
            tables: self.peer.selection(),
            strategy: strategies.general,
            table_strategies: strategies.by_table.into_iter().collect(),
            conversions: conversions.general,
            column_conversions: conversions.by_column.into_iter().collect(),
            create_missing: !self.no_create,
            jobs: self.jobs,
            reject_limit: self.reject_limit,
            max_rows: self.max_rows,
            max_bytes: self.max_bytes,
            claimer: local_tenant::who(),
        }
    }
}

/// Pulls until all tables are complete, something fails, or a signal stops it after a chunk.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let mut signals = Signals::take()?;
    let code = signals.or_signal(arguments.peer.code()).await?;
    let mut new_file = arguments.into.new_file();
    let mut pull = signals.or_signal(open(arguments, code)).await?;
    let began = Instant::now();
    let mut progress = Progress::new(output);
    let mut outcome = follow(&mut pull, arguments, output, &mut progress, &mut signals).await;
    if let Err(failure) = &mut outcome
        && !progress.plans.is_empty()
    {
        standstill(&pull, &progress).await.explain(failure);
    }
    progress.end();
    if !arguments.dry_run && (outcome.is_ok() || has_tables(&pull).await) {
        new_file.keep();
    }
    let exit = match outcome? {
        Ended::Finished(reports) => {
            report::show(Some(&pull.id), &reports, output);
            let rows = reports.iter().map(report::rows);
            let rows = rows.fold(0, u64::saturating_add);
            let time = report::seconds(began.elapsed());
            let remarks = [
                report::notes(&reports),
                not_carried::lines(&progress.plans, arguments.verbose),
                vec![format!("{} in {time}", report::count(rows))],
                report::next_steps(&reports, &arguments.into.to_string()),
            ];
            for note in remarks.iter().flatten() {
                output.note(note);
            }
            written(&reports)
        }
        Ended::Compared(tables) => {
            comparison::show(&pull.id, &tables, output);
            comparison::show_effects(&tables, &progress.plans, output);
            for note in not_carried::lines(&progress.plans, arguments.verbose) {
                output.note(&note);
            }
            output.note("Nothing was written.");
            Exit::Ok
        }
    };
    Ok(exit)
}

async fn open(arguments: &Arguments, code: String) -> Result<PlannedRun, Failure> {
    let conversions = Conversions::new(&arguments.conversions)
        .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
    let strategies = Strategies::new(&arguments.strategies)
        .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
    let database = arguments.into.open(true).await?;
    let request = arguments.request(code, strategies.clone(), conversions);
    PlannedRun::open(&arguments.peer, database, request, |known| {
        check_strategies(&strategies, known)
    })
    .await
}

async fn follow(
    pull: &mut PlannedRun,
    arguments: &Arguments,
    output: &Output,
    progress: &mut Progress<'_>,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    loop {
        let note = |text: &str| output.note(text);
        match pull.next(signals, note).await? {
            RunEvent::Progress(arrived) => progress.rows(&arrived),
            RunEvent::TableDone(report) => progress.table_done(&report),
            RunEvent::Interrupted(interruption) => progress.interrupted(&interruption),
            RunEvent::Difference(_) => {}
            RunEvent::Engine(EngineEvent::Planned(planned)) => {
                plan::show(&pull.id, &planned, output);
                progress.plans = planned;
                if pull.is_stopping() {
                    continue;
                }
                let standard = arguments.peer.plugins.is_empty();
                let answer = match (arguments.dry_run, arguments.yes) {
                    (true, _) => Answer::DryRun,
                    (_, true) => Answer::Yes,
                    _ => ask(&progress.plans, standard, output, signals).await,
                };
                match answer {
                    Answer::Yes => {
                        pull.tenant.engine().start(&pull.id).await?;
                        progress.begin();
                    }
                    Answer::DryRun => {
                        plan::show_effects(&progress.plans, output);
                        pull.tenant.engine().compare(&pull.id).await?;
                    }
                    Answer::No => return Err(not_confirmed(pull).await?),
                }
            }
            RunEvent::Engine(event) => {
                if let Some(ended) = ended(event) {
                    return ended;
                }
            }
        }
    }
}

/// Returns what is committed. Of a table that this pull creates, all rows are its own.
async fn standstill(pull: &PlannedRun, progress: &Progress<'_>) -> Standstill {
    let created = progress.table_under_way().filter(|plan| plan.create);
    let under_way = match created {
        Some(plan) => match pull.database.count(&plan.table).await {
            Ok(count) => Some((plan.table.clone(), count.rows, plan.rows)),
            Err(_) => None,
        },
        None => None,
    };
    Standstill {
        tables: progress.complete(),
        under_way,
    }
}

/// Cancels the planned run, and returns why.
async fn not_confirmed(pull: &PlannedRun) -> Result<Failure, Failure> {
    pull.tenant.engine().cancel(&pull.id).await?;
    Ok(failure(
        ErrorCode::Cancelled,
        "the pull was not confirmed; nothing was written",
        "use the same code again from here; --yes skips the question",
    ))
}

/// Returns false if the local database is known to be empty.
async fn has_tables(pull: &PlannedRun) -> bool {
    let tables = pull.database.tables().await;
    tables.map_or(true, |tables| !tables.is_empty())
}

fn check_strategies(strategies: &Strategies, known: &[&str]) -> Result<(), Failure> {
    for name in strategies.names() {
        if !known.contains(&name) {
            let meant = nearest(name, known.iter().copied());
            let meant = meant.map_or_else(String::new, |meant| format!("did you mean {meant}? "));
            return Err(failure(
                ErrorCode::NoSuchStrategy,
                format!("unknown strategy {name:?}"),
                format!("{meant}use one of: {}", known.join(", ")),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn request(line: &str) -> PullRequest {
        let arguments = Line::parse_from(line.split_whitespace()).arguments;
        let strategies = Strategies::new(&arguments.strategies).unwrap();
        let conversions = Conversions::new(&arguments.conversions).unwrap();
        arguments.request("A7X9K2M4".to_owned(), strategies, conversions)
    }

    #[test]
    fn tables_are_accepted_before_and_after_options() {
        let request = request(
            "pull http://host:7432 CODE a --into copy.db --strategy merge --strategy b=skip --no-create b",
        );
        assert_eq!(request.tables, ["a", "b"]);
        assert_eq!(request.strategy.name, "merge");
        assert_eq!(request.table_strategies.len(), 1);
        let (table, strategy) = request.table_strategies.first().unwrap();
        assert_eq!((table.as_str(), strategy.name.as_str()), ("b", "skip"));
        assert!(!request.create_missing);
        assert_eq!((request.max_rows, request.max_bytes), (None, None));
    }

    #[test]
    fn a_pull_can_be_bounded() {
        let request = request("pull http://h:1 CODE --into a.db --max-rows 10 --max-bytes 2KiB");
        assert_eq!(
            (request.max_rows, request.max_bytes),
            (Some(10), Some(2_048))
        );
    }

    #[test]
    fn everything_is_optional_but_the_target() {
        let request = request("pull http://host:7432 --into copy.db");
        assert_eq!(
            (request.base_url.as_str(), request.code.as_str()),
            ("http://host:7432", "A7X9K2M4")
        );
        assert!(request.tables.is_empty() && request.create_missing);
        assert_eq!(request.strategy.name, "skip");
    }

    #[test]
    fn an_unknown_strategy_names_those_that_exist() {
        let strategies = Strategies::new(&["orders=newest".parse().unwrap()]).unwrap();
        let failure = check_strategies(&strategies, &["skip", "merge"]).unwrap_err();
        assert_eq!(failure.code, "no-such-strategy");
        assert!(failure.message.contains("newest") && failure.hint.contains("skip, merge"));
        let misspelt = Strategies::new(&["overwrit".parse().unwrap()]).unwrap();
        let failure = check_strategies(&misspelt, &["skip", "overwrite"]).unwrap_err();
        assert!(
            failure.hint.starts_with("did you mean overwrite?"),
            "{failure:?}"
        );
        assert!(check_strategies(&strategies, &["skip", "newest"]).is_ok());
    }
}
