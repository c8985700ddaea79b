//! A run from the command line until its plan: what `pull` and `diff` have in common.

use std::sync::Arc;

use tombolo::bindings::client::PullRequest;
use tombolo::bindings::transfers::{RunEvent as EngineEvent, TableComparison, TablePlan};
use tombolo::bindings::types::{Failure, TableReport};
use tombolo::database::Database;
use tombolo::egress::EgressGrant;
use tombolo::failure::{ErrorCode, failure, printable};
use tombolo::resources::{Followed, Follower, GrantedDatabase, Patterns, RunEvent};
use tombolo::tenant::Tenant;

use crate::cli::args::peer::PeerArguments;
use crate::cli::local_tenant;
use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::signals::Signals;

/// A run that is being planned or under way.
pub struct PlannedRun {
    pub tenant: Arc<Tenant>,
    pub database: Arc<dyn Database>,
    pub run: String,
}

/// How a run ended.
pub enum Ended {
    /// All rows are here.
    Finished(Vec<TableReport>),
    /// All tables are compared.
    Compared(Vec<TableComparison>),
}

impl PlannedRun {
    /// Begins to plan. `check` sees the strategies that exist before the code is used: it is good for one side only.
    pub async fn open(
        peer: &PeerArguments,
        database: Arc<dyn Database>,
        request: PullRequest,
        check: impl FnOnce(&[&str]) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let granted_peer = EgressGrant::typed(&peer.url, peer.allow_plain_http)?;
        let all = Patterns::all()?;
        let granted = GrantedDatabase::new(Arc::clone(&database), all.clone(), all);
        let tenant = local_tenant::open(granted, Some(granted_peer), &peer.plugins).await?;
        let known = tenant.strategies().await?;
        let known: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        check(&known)?;
        let run = tenant.engine().plan(&request).await?;
        Ok(Self {
            tenant,
            database,
            run,
        })
    }

    /// Follows the run from its beginning.
    pub fn follow(&self) -> Result<Follower, Failure> {
        self.tenant.follow(&self.run)
    }

    /// The next event, unless a signal comes first: the first one ends the run at its chunk's end, a second one the
    /// process.
    pub async fn next(
        &self,
        follower: &mut Follower,
        signals: &mut Signals,
        ending: &mut bool,
        note: impl Fn(&str),
    ) -> Result<RunEvent, Failure> {
        loop {
            tokio::select! {
                followed = follower.next() => match followed {
                    Followed::Event(event) => return Ok(event),
                    Followed::Missed(events) => tracing::warn!("{events} events came too fast to be shown"),
                },
                () = signals.next() => {
                    if *ending {
                        at_once();
                    }
                    *ending = true;
                    note("Ending at the end of this chunk; once more ends at once.");
                    tokio::select! {
                        cancelled = self.tenant.engine().cancel(&self.run) => cancelled?,
                        () = signals.next() => at_once(),
                    }
                }
            }
        }
    }

    /// Tells what will happen.
    pub fn tell_plan(&self, plans: &[TablePlan], output: &Output) {
        output.event(&Event::Planned {
            run: &self.run,
            tables: plans.iter().map(Into::into).collect(),
        });
        if plans.iter().any(|plan| plan.continued) {
            output.note("Going on with the pull that did not finish.");
        }
        for plan in plans {
            for lost in &plan.not_carried {
                let (table, lost) = (printable(&plan.table), printable(lost));
                output.note(&format!("{table}: not carried over: {lost}"));
            }
        }
    }
}

/// What a notice says about the end of a run; none if it says something else.
pub fn ended(notice: EngineEvent) -> Option<Result<Ended, Failure>> {
    match notice {
        EngineEvent::Finished(reports) => Some(Ok(Ended::Finished(reports))),
        EngineEvent::Compared(tables) => Some(Ok(Ended::Compared(tables))),
        EngineEvent::Failed(failure) => Some(Err(failure)),
        EngineEvent::Planned(_)
        | EngineEvent::Claimed(_)
        | EngineEvent::Sent(_)
        | EngineEvent::Other(_) => None,
    }
}

/// The engine ended a run as it was not asked to.
pub fn unexpected_end() -> Failure {
    failure(
        ErrorCode::Internal,
        "the run ended as another kind of run would",
        "the engine that was plugged in does not fit this version",
    )
}

/// A person asked twice.
fn at_once() -> ! {
    std::process::exit(1)
}
