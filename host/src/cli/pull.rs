//! `tombolo pull URL CODE`.

use std::sync::Arc;
use std::time::Instant;

use tombolo::bindings::client::PullRequest;
use tombolo::bindings::transfers::{Notice, TablePlan};
use tombolo::bindings::types::{Failure, TableReport};
use tombolo::database::Database;
use tombolo::egress::EgressGrant;
use tombolo::failure::{failure, printable};
use tombolo::notices::Happening;
use tombolo::tenant::{GrantedDatabase, Patterns, Tenant};

use super::confirm::confirmed;
use super::database::DatabaseArgument;
use super::event::Event;
use super::output::Output;
use super::plugins::{self, PluginArgument};
use super::progress::Progress;
use super::signals::Signals;
use super::strategy::{Strategies, StrategyArgument};
use super::{report, site};

pub const EXAMPLES: &str = "\
Examples:
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 --into copy.db
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 customers orders --into postgres://ana@localhost/shop
  tombolo pull http://127.0.0.1:7432 A7X9K2M4 --into copy.db --strategy merge --strategy logs=append

Strategies say what happens to rows that exist on both sides:
  skip        the row here stays (the default)
  overwrite   the row there is taken
  merge       values there are taken, except where they are NULL
  append      every row is taken as a new one, with a new key
A plugin may bring others. Rows that exist only here always stay.";

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The address that `tombolo share` printed
    #[arg(value_name = "URL")]
    url: String,
    /// The code that `tombolo share` printed
    #[arg(value_name = "CODE")]
    code: String,
    /// Only these tables; all that are shared if none is named
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// The database to write to: a SQLite file, made if missing, or postgres://…
    #[arg(long, value_name = "DB")]
    into: DatabaseArgument,
    /// What happens to rows that exist on both sides, for all tables or one; repeatable [default: skip]
    #[arg(long = "strategy", value_name = "NAME | TABLE=NAME")]
    strategies: Vec<StrategyArgument>,
    /// Do not create missing tables; they are an error then
    #[arg(long)]
    no_create: bool,
    /// How many tables are moved at a time, into PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    jobs: u32,
    /// How many rows of a table may be rejected before the pull ends
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_rejects: u32,
    /// Do not ask before rows that exist are changed
    #[arg(long)]
    yes: bool,
    /// Accept an unencrypted connection to another machine
    #[arg(long)]
    allow_plain_http: bool,
    /// Let a component fill a role (engine, sessions, conflicts, ddl); repeatable
    #[arg(long = "plugin", value_name = "ROLE=FILE@sha256:HEX")]
    plugins: Vec<PluginArgument>,
}

impl Arguments {
    /// Checks what clap does not.
    pub fn check(&self) -> Result<(), String> {
        self.into.check()?;
        Strategies::new(&self.strategies)?;
        plugins::check(&self.plugins)
    }

    fn request(&self, strategies: Strategies) -> PullRequest {
        PullRequest {
            base_url: self.url.clone(),
            code: self.code.clone(),
            database: site::DATABASE.to_owned(),
            tables: self.tables.clone(),
            strategy: strategies.general,
            table_strategies: strategies.by_table.into_iter().collect(),
            create_missing: !self.no_create,
            jobs: self.jobs,
            max_rejects: self.max_rejects,
            claimer: site::who(),
        }
    }
}

/// Pulls until all is complete, something fails, or a signal ends it at a chunk's end.
pub async fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut signals = Signals::take()?;
    let mut new_file = arguments.into.new_file();
    let pull = signals.unless(Pull::open(arguments)).await?;
    let began = Instant::now();
    let mut progress = Progress::new(output);
    let outcome = pull
        .follow(arguments, output, &mut progress, &mut signals)
        .await;
    progress.end();
    if outcome.is_ok() || pull.has_tables().await {
        new_file.keep();
    }
    let reports = outcome?;
    output.event(&Event::Done {
        run: Some(&pull.run),
        tables: reports.iter().map(Into::into).collect(),
    });
    output.result(&report::summary(&reports, output.is_terminal()));
    let rows = reports.iter().map(report::rows).sum();
    output.note(&format!(
        "{} in {}",
        report::count(rows),
        report::seconds(began.elapsed())
    ));
    Ok(())
}

/// A run that is being planned or under way.
struct Pull {
    tenant: Arc<Tenant>,
    database: Arc<dyn Database>,
    run: String,
}

impl Pull {
    async fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let peer = EgressGrant::typed(&arguments.url, arguments.allow_plain_http)?;
        let strategies = Strategies::new(&arguments.strategies)
            .map_err(|wrong| failure("bad-request", wrong, ""))?;
        let database = arguments.into.open(true).await?;
        let all = Patterns::all()?;
        let granted = GrantedDatabase::new(Arc::clone(&database), all.clone(), all);
        let tenant = site::open(granted, Some(peer), &arguments.plugins).await?;
        // Before the code is used: it is good for one side only.
        let known = tenant.strategies().await?;
        let known: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        check_strategies(&strategies, &known)?;
        let run = tenant.plan(&arguments.request(strategies)).await?;
        Ok(Self {
            tenant,
            database,
            run,
        })
    }

    async fn follow(
        &self,
        arguments: &Arguments,
        output: &Output,
        progress: &mut Progress<'_>,
        signals: &mut Signals,
    ) -> Result<Vec<TableReport>, Failure> {
        let mut follower = self.tenant.notices().follow(&self.run);
        let mut plans = Vec::new();
        let mut ending = false;
        loop {
            let happening = tokio::select! {
                happening = follower.next() => happening,
                () = signals.next() => {
                    if ending {
                        at_once();
                    }
                    ending = true;
                    progress.note("Ending at the end of this chunk; once more ends at once.");
                    tokio::select! {
                        cancelled = self.tenant.cancel(&self.run) => cancelled?,
                        () = signals.next() => at_once(),
                    }
                    continue;
                }
            };
            match happening {
                Happening::Progress(arrived) => progress.rows(&arrived, &plans),
                Happening::TableDone(report) => progress.table_done(&report),
                Happening::Notice(Notice::Planned(planned)) => {
                    self.tell_plan(&planned, output);
                    plans = planned;
                    if !ending {
                        self.start(arguments, &plans, output, signals).await?;
                        progress.begin();
                    }
                }
                Happening::Notice(Notice::Finished(reports)) => return Ok(reports),
                Happening::Notice(Notice::Failed(failure)) => return Err(failure),
                Happening::Interrupted(interruption) => progress.interrupted(&interruption),
                Happening::Difference(_)
                | Happening::Notice(
                    Notice::Claimed(_) | Notice::Sent(_) | Notice::Compared(_) | Notice::Other(_),
                ) => {}
            }
        }
    }

    fn tell_plan(&self, plans: &[TablePlan], output: &Output) {
        output.event(&Event::Planned {
            run: &self.run,
            tables: plans.iter().map(Into::into).collect(),
        });
        for plan in plans {
            for lost in &plan.not_carried {
                let (table, lost) = (printable(&plan.table), printable(lost));
                output.note(&format!("{table}: not carried over: {lost}"));
            }
        }
    }

    /// Starts the planned run, if it may.
    async fn start(
        &self,
        arguments: &Arguments,
        plans: &[TablePlan],
        output: &Output,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let standard = arguments.plugins.is_empty();
        if arguments.yes || confirmed(plans, standard, output, signals).await {
            return self.tenant.start(&self.run).await;
        }
        self.tenant.cancel(&self.run).await?;
        Err(failure(
            "cancelled",
            "not confirmed; nothing was written",
            "the code can be used again from here; --yes does not ask",
        ))
    }

    /// Whether anything was written into the target, as far as can be told.
    async fn has_tables(&self) -> bool {
        let tables = self.database.tables().await;
        tables.map_or(true, |tables| !tables.is_empty())
    }
}

/// A person asked twice.
fn at_once() -> ! {
    std::process::exit(1)
}

fn check_strategies(strategies: &Strategies, known: &[&str]) -> Result<(), Failure> {
    for name in strategies.names() {
        if !known.contains(&name) {
            return Err(failure(
                "no-such-strategy",
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
        arguments.request(strategies)
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
