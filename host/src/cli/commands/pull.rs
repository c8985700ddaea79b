//! `tombolo pull URL CODE`.

use std::time::Instant;

use tombolo::bindings::client::PullRequest;
use tombolo::bindings::transfers::{RunEvent as EngineEvent, TablePlan};
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};
use tombolo::resources::RunEvent;

use crate::cli::args::conversion::{ConversionArgument, Conversions};
use crate::cli::args::database::DatabaseArgument;
use crate::cli::args::peer::PeerArguments;
use crate::cli::args::plugins;
use crate::cli::args::strategy::{Strategies, StrategyArgument};
use crate::cli::output::Output;
use crate::cli::output::confirmation::confirmed;
use crate::cli::output::event::Event;
use crate::cli::output::progress::Progress;
use crate::cli::output::{comparison, report};
use crate::cli::planned_run::{Ended, PlannedRun, ended};
use crate::cli::signals::Signals;
use crate::cli::{Exit, local_tenant};

pub const EXAMPLES: &str = "\
Examples:
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 --into copy.db
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 customers orders --into postgres://ana@localhost/shop
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 --into copy.db --strategy merge --strategy logs=append
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 --into copy.db --strategy overwrite --dry-run

A pull that did not finish goes on where it stopped when it is typed again, with the same code or a new one.

Strategies say what happens to rows that exist on both sides:
  skip        the row here stays (the default)
  overwrite   the row there is taken
  merge       values there are taken, except where they are NULL
  append      every row is taken as a new one, with a new key
A plugin may bring others. Rows that exist only here always stay.

Policies say what happens to a value of SQLite that a column of PostgreSQL cannot hold exactly:
  reject      its row is kept apart, see `tombolo rejects` (the default)
  widen       columns of new tables are made so that they hold every value
  lossy       the nearest value is stored, or NULL, and counted";

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    peer: PeerArguments,
    /// The database to write to: a SQLite file, made if missing, or postgres://…
    #[arg(long, value_name = "DB")]
    into: DatabaseArgument,
    /// What happens to rows that exist on both sides, for all tables or one; repeatable [default: skip]
    #[arg(long = "strategy", value_name = "NAME | TABLE=NAME")]
    strategies: Vec<StrategyArgument>,
    /// What happens to values that a PostgreSQL column cannot hold exactly, for all columns or one; repeatable
    /// [default: reject]
    #[arg(long = "conversion", value_name = "POLICY | TABLE.COLUMN=POLICY")]
    conversions: Vec<ConversionArgument>,
    /// Do not create missing tables; they are an error then
    #[arg(long)]
    no_create: bool,
    /// How many tables are moved at a time, into PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    jobs: u32,
    /// How many rows of a table may be rejected before the pull ends
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    reject_limit: u32,
    /// Do not ask before rows that exist are changed
    #[arg(long)]
    yes: bool,
    /// Show what would happen, row by row, and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Arguments {
    /// Checks what clap does not.
    pub fn check(&self) -> Result<(), String> {
        self.into.check()?;
        Strategies::new(&self.strategies)?;
        Conversions::new(&self.conversions)?;
        plugins::check(&self.peer.plugins)
    }

    fn request(&self, strategies: Strategies, conversions: Conversions) -> PullRequest {
        PullRequest {
            base_url: self.peer.url.clone(),
            code: self.peer.code.clone(),
            database: local_tenant::DATABASE.to_owned(),
            tables: self.peer.tables.clone(),
            strategy: strategies.general,
            table_strategies: strategies.by_table.into_iter().collect(),
            conversions: conversions.general,
            column_conversions: conversions.by_column.into_iter().collect(),
            create_missing: !self.no_create,
            jobs: self.jobs,
            reject_limit: self.reject_limit,
            claimer: local_tenant::who(),
        }
    }
}

/// Pulls until all is complete, something fails, or a signal ends it at a chunk's end.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let mut signals = Signals::take()?;
    let mut new_file = arguments.into.new_file();
    let pull = signals.or_signal(open(arguments)).await?;
    let began = Instant::now();
    let mut progress = Progress::new(output);
    let outcome = follow(&pull, arguments, output, &mut progress, &mut signals).await;
    progress.end();
    if !arguments.dry_run && (outcome.is_ok() || has_tables(&pull).await) {
        new_file.keep();
    }
    match outcome? {
        Ended::Finished(reports) => {
            output.event(&Event::Done {
                run: Some(&pull.run),
                tables: reports.iter().map(Into::into).collect(),
            });
            output.result(&report::summary(&reports, output.is_terminal()));
            for note in report::notes(&reports) {
                output.note(&note);
            }
            let rows = reports.iter().map(report::rows).sum();
            output.note(&format!(
                "{} in {}",
                report::count(rows),
                report::seconds(began.elapsed())
            ));
        }
        Ended::Compared(tables) => {
            output.event(&Event::Differences {
                run: &pull.run,
                tables: tables.iter().map(Into::into).collect(),
            });
            output.result(&comparison::summary(&tables, output.is_terminal()));
            output.note("Nothing was written.");
        }
    }
    Ok(Exit::Ok)
}

async fn open(arguments: &Arguments) -> Result<PlannedRun, Failure> {
    let conversions = Conversions::new(&arguments.conversions)
        .map_err(|reason| failure(ErrorCode::BadRequest, reason, ""))?;
    let strategies = Strategies::new(&arguments.strategies)
        .map_err(|wrong| failure(ErrorCode::BadRequest, wrong, ""))?;
    let database = arguments.into.open(true).await?;
    let request = arguments.request(strategies.clone(), conversions);
    PlannedRun::open(&arguments.peer, database, request, |known| {
        check_strategies(&strategies, known)
    })
    .await
}

async fn follow(
    pull: &PlannedRun,
    arguments: &Arguments,
    output: &Output,
    progress: &mut Progress<'_>,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let mut follower = pull.follow()?;
    let mut plans = Vec::new();
    let mut ending = false;
    loop {
        let note = |text: &str| progress.note(text);
        match pull.next(&mut follower, signals, &mut ending, note).await? {
            RunEvent::Progress(arrived) => progress.rows(&arrived, &plans),
            RunEvent::TableDone(report) => progress.table_done(&report),
            RunEvent::Interrupted(interruption) => progress.interrupted(&interruption),
            RunEvent::Difference(_) => {}
            RunEvent::Engine(EngineEvent::Planned(planned)) => {
                pull.tell_plan(&planned, output);
                plans = planned;
                if ending {
                    continue;
                }
                if arguments.dry_run {
                    comparison::show_plan(&plans, output);
                    pull.tenant.engine().compare(&pull.run).await?;
                } else {
                    start(pull, arguments, &plans, output, signals).await?;
                    progress.begin();
                }
            }
            RunEvent::Engine(notice) => {
                if let Some(ended) = ended(notice) {
                    return ended;
                }
            }
        }
    }
}

/// Starts the planned run, if it may.
async fn start(
    pull: &PlannedRun,
    arguments: &Arguments,
    plans: &[TablePlan],
    output: &Output,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let standard = arguments.peer.plugins.is_empty();
    if arguments.yes || confirmed(plans, standard, output, signals).await {
        return pull.tenant.engine().start(&pull.run).await;
    }
    pull.tenant.engine().cancel(&pull.run).await?;
    Err(failure(
        ErrorCode::Cancelled,
        "not confirmed; nothing was written",
        "the code can be used again from here; --yes does not ask",
    ))
}

/// Whether anything was written into the target, as far as can be told.
async fn has_tables(pull: &PlannedRun) -> bool {
    let tables = pull.database.tables().await;
    tables.map_or(true, |tables| !tables.is_empty())
}

fn check_strategies(strategies: &Strategies, known: &[&str]) -> Result<(), Failure> {
    for name in strategies.names() {
        if !known.contains(&name) {
            return Err(failure(
                ErrorCode::NoSuchStrategy,
                format!("no strategy is called {name:?}"),
                format!("choose one of: {}", known.join(", ")),
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
        arguments.request(strategies, conversions)
    }

    #[test]
    fn tables_may_stand_before_and_behind_options() {
        let request = request(
            "pull http://host:7432 CODE a --into copy.db --strategy merge --strategy b=skip --no-create b",
        );
        assert_eq!(request.tables, ["a", "b"]);
        assert_eq!(request.strategy, "merge");
        assert_eq!(
            request.table_strategies,
            [("b".to_owned(), "skip".to_owned())]
        );
        assert!(!request.create_missing);
    }

    #[test]
    fn everything_is_optional_but_the_target() {
        let request = request("pull http://host:7432 CODE --into copy.db");
        assert_eq!(
            (request.base_url.as_str(), request.code.as_str()),
            ("http://host:7432", "CODE")
        );
        assert!(request.tables.is_empty() && request.create_missing);
        assert_eq!(request.strategy, "skip");
    }

    #[test]
    fn an_unknown_strategy_names_those_that_exist() {
        let strategies = Strategies::new(&["orders=newest".parse().unwrap()]).unwrap();
        let wrong = check_strategies(&strategies, &["skip", "merge"]).unwrap_err();
        assert_eq!(wrong.code, "no-such-strategy");
        assert!(wrong.message.contains("newest") && wrong.hint.contains("skip, merge"));
        assert!(check_strategies(&strategies, &["skip", "newest"]).is_ok());
    }
}
