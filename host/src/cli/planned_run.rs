//! A run of `pull` or `diff`, from its planning to its last event.

use std::sync::Arc;

use tombolo::bindings::client::PullRequest;
use tombolo::bindings::transfers::{RunEvent as EngineEvent, TableComparison};
use tombolo::bindings::types::{Failure, TableReport};
use tombolo::database::Database;
use tombolo::egress::EgressGrant;
use tombolo::failure::{ErrorCode, failure};
use tombolo::resources::{Followed, Follower, GrantedDatabase, Patterns, RunEvent};
use tombolo::tenant::Tenant;

use crate::cli::args::peer::PeerArguments;
use crate::cli::local_tenant;
use crate::cli::signals::Signals;

/// A run that is being planned or under way, and its events.
pub struct PlannedRun {
    /// The tenant that the run belongs to.
    pub tenant: Arc<Tenant>,
    /// The local database.
    pub database: Arc<dyn Database>,
    /// The run's id.
    pub id: String,
    follower: Follower,
    stopping: bool,
}

/// How a run ended.
pub enum Ended {
    /// All rows are in the local database.
    Finished(Vec<TableReport>),
    /// All tables are compared.
    Compared(Vec<TableComparison>),
}

impl PlannedRun {
    /// Starts to plan a run.
    ///
    /// `check` gets the names of the strategies that exist. It is called before the code is used, which binds the code to
    /// this site.
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
        let id = tenant.engine().plan(&request).await?;
        Ok(Self {
            follower: tenant.follow(&id)?,
            tenant,
            database,
            id,
            stopping: false,
        })
    }

    /// Returns true once a signal has asked the run to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Waits for the next event. The first signal stops the run after its chunk, the second one ends the process.
    pub async fn next(
        &mut self,
        signals: &mut Signals,
        note: impl Fn(&str),
    ) -> Result<RunEvent, Failure> {
        loop {
            tokio::select! {
                followed = self.follower.next() => match followed {
                    Followed::Event(event) => return Ok(event),
                    Followed::Missed(events) => tracing::warn!("{events} events of the run were dropped"),
                },
                () = signals.next() => {
                    if self.stopping {
                        exit_at_once();
                    }
                    self.stopping = true;
                    note("Stopping after this chunk; a second signal stops at once.");
                    tokio::select! {
                        cancelled = self.tenant.engine().cancel(&self.id) => cancelled?,
                        () = signals.next() => exit_at_once(),
                    }
                }
            }
        }
    }
}

/// Returns how a run ended, if this event is its last one.
pub fn ended(event: EngineEvent) -> Option<Result<Ended, Failure>> {
    match event {
        EngineEvent::Finished(reports) => Some(Ok(Ended::Finished(reports))),
        EngineEvent::Compared(tables) => Some(Ok(Ended::Compared(tables))),
        EngineEvent::Failed(failure) => Some(Err(failure)),
        EngineEvent::Planned(_)
        | EngineEvent::Claimed(_)
        | EngineEvent::Sent(_)
        | EngineEvent::Other(_) => None,
    }
}

/// The failure of a comparison that the engine ended as a transfer.
pub fn unexpected_end() -> Failure {
    failure(
        ErrorCode::Internal,
        "the engine reported a transfer at the end of a comparison",
        "use an engine plugin for this version of tombolo",
    )
}

fn exit_at_once() -> ! {
    std::process::exit(1)
}
