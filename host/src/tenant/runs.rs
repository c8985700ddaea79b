//! Which runs are under way, what works for them, and how they are cancelled.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::events::{EventQueues, Waiting};
use super::peer::HttpPeer;
use crate::bindings::events::{Compared, Event, Finished, Trouble};
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::{Error, TableReport};
use crate::capability::{Caller, StartRun};
use crate::database::Database;
use crate::failure::{ErrorCode, failure};
use crate::resources::{Resources, RunEvent, RunEvents};
use crate::run::{
    self, Difference, Interruption, Quota, RunContext, RunError, RunObserver, TableProgress,
    TouchedTables,
};
use crate::sandbox::ConflictStrategies;

/// The most runs of a tenant that are under way.
const MAX_RUNS: usize = 64;

/// The runs of one tenant.
pub struct Runs {
    resources: Arc<Resources>,
    strategies: Vec<ConflictStrategies>,
    events: Arc<EventQueues>,
    /// By run: how it is told to end.
    under_way: Mutex<HashMap<String, watch::Sender<bool>>>,
}

impl Runs {
    /// No runs yet. `strategies`: the components of the role `conflicts`, in the order in which they are asked.
    pub fn new(
        resources: Arc<Resources>,
        strategies: Vec<ConflictStrategies>,
        events: Arc<EventQueues>,
    ) -> Self {
        Self {
            resources,
            strategies,
            events,
            under_way: Mutex::default(),
        }
    }

    /// The components of the role `conflicts`, in the order in which they are asked.
    pub fn strategies(&self) -> &[ConflictStrategies] {
        &self.strategies
    }

    /// Cancels all runs.
    pub fn cancel_all(&self) {
        for cancel in self.under_way().values() {
            cancel.send_replace(true);
        }
    }

    /// Starts work for a run, whose end becomes an event. A run has at most one work at a time, so the run names it.
    fn start<F>(
        self: Arc<Self>,
        instruction: CopyInstruction,
        work: impl FnOnce(Arc<Self>, CopyInstruction, watch::Receiver<bool>) -> F,
    ) -> Result<String, Error>
    where
        F: Future<Output = Result<Event, RunError>> + Send + 'static,
    {
        let run = instruction.run.clone();
        // Only the operator's calls start anything.
        let topics = self.resources.run_events();
        topics
            .give_to_operator(&run)
            .map_err(|full| Error::Limit(full.to_string()))?;
        let (cancel, cancelled) = watch::channel(false);
        let mut under_way = self.under_way();
        let runs = under_way.len();
        match under_way.entry(run.clone()) {
            Entry::Occupied(_) => {
                return Err(Error::Invalid(format!("run {run} is under way already")));
            }
            Entry::Vacant(_) if runs >= MAX_RUNS => {
                return Err(Error::Limit(format!(
                    "{MAX_RUNS} runs are under way, and no more are allowed"
                )));
            }
            Entry::Vacant(place) => place.insert(cancel),
        };
        drop(under_way);
        let work = work(Arc::clone(&self), instruction, cancelled);
        let started = run.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            self.under_way().remove(&run);
            let event = outcome.unwrap_or_else(|error| {
                Event::Trouble(Trouble {
                    run,
                    table: error.table().map(str::to_owned),
                    failure: error.into_failure(),
                })
            });
            self.events.push_when_free(event).await;
        });
        Ok(started)
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn under_way(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl StartRun for Runs {
    fn pull(self: Arc<Self>, instruction: CopyInstruction) -> Result<String, Error> {
        self.start(instruction, |runs, instruction, cancelled| async move {
            let work = Work::new(&runs, &instruction)?;
            let reports = run::pull(work.context(&cancelled), &instruction).await?;
            let run = instruction.run.clone();
            Ok(Event::Finished(Finished { run, reports }))
        })
    }

    fn compare(self: Arc<Self>, instruction: CopyInstruction) -> Result<String, Error> {
        self.start(instruction, |runs, instruction, cancelled| async move {
            let work = Work::new(&runs, &instruction)?;
            let tables = run::compare(work.context(&cancelled), &instruction).await?;
            let run = instruction.run.clone();
            Ok(Event::Compared(Compared { run, tables }))
        })
    }

    fn cancel(&self, run: &str) {
        if let Some(cancel) = self.under_way().get(run) {
            cancel.send_replace(true);
        }
    }

    fn request_step(&self, run: &str, caller: &Caller) -> Result<(), Error> {
        let pushed = self.events.push(Waiting {
            event: Event::Step(run.to_owned()),
            caller: caller.clone(),
        });
        pushed.map_err(|full| Error::Limit(full.to_string()))
    }
}

/// What one run works with.
struct Work<'a> {
    target: &'a dyn Database,
    peer: HttpPeer<'a>,
    quota: Arc<Quota>,
    touched: TouchedTables,
    strategies: &'a [ConflictStrategies],
    topic: RunTopic<'a>,
}

impl<'a> Work<'a> {
    /// Fails with `not-found` if no database has the label in the instruction.
    fn new(runs: &'a Runs, instruction: &'a CopyInstruction) -> Result<Self, RunError> {
        let label = &instruction.database;
        let granted = runs.resources.database(label).ok_or_else(|| {
            let message = format!("no database is called {label:?}");
            failure(ErrorCode::NotFound, message, "")
        })?;
        Ok(Self {
            target: granted.database().as_ref(),
            peer: HttpPeer::new(&runs.resources, instruction),
            quota: Arc::new(Quota::of(instruction)),
            touched: TouchedTables::default(),
            strategies: &runs.strategies,
            topic: RunTopic {
                events: runs.resources.run_events(),
                run: &instruction.run,
            },
        })
    }

    fn context(&'a self, cancelled: &'a watch::Receiver<bool>) -> RunContext<'a> {
        RunContext {
            target: self.target,
            peer: &self.peer,
            quota: &self.quota,
            strategies: self.strategies,
            events: &self.topic,
            touched: &self.touched,
            cancelled,
        }
    }
}

/// Publishes what a run tells under the run's id.
struct RunTopic<'a> {
    events: &'a RunEvents,
    run: &'a str,
}

impl RunTopic<'_> {
    fn publish(&self, event: RunEvent) {
        if let Err(error) = self.events.publish(self.run, event) {
            tracing::warn!(run = self.run, "an event is lost: {error}");
        }
    }
}

impl RunObserver for RunTopic<'_> {
    fn progress(&self, progress: TableProgress) {
        self.publish(RunEvent::Progress(progress));
    }

    fn interrupted(&self, interruption: Interruption) {
        self.publish(RunEvent::Interrupted(interruption));
    }

    fn differs(&self, difference: Difference) {
        self.publish(RunEvent::Difference(difference));
    }

    fn table_complete(&self, report: TableReport) {
        self.publish(RunEvent::TableDone(report));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::bindings::types::Peer;
    use crate::egress::Egress;
    use crate::resources::Snapshots;
    use crate::state::State;

    async fn runs() -> Arc<Runs> {
        let resources = Resources::new(
            BTreeMap::new(),
            State::open(None).await.unwrap(),
            Egress::new(Vec::new()),
            Snapshots::new(Duration::from_secs(60)),
        );
        let (events, _) = EventQueues::new();
        Arc::new(Runs::new(Arc::new(resources), Vec::new(), events))
    }

    /// Starts work that lasts until the run is cancelled.
    fn start(runs: &Arc<Runs>, run: &str) -> Result<String, Error> {
        let instruction = CopyInstruction {
            run: run.to_owned(),
            ledger: run.to_owned(),
            peer: Peer {
                base_url: String::new(),
                credential: None,
            },
            database: "main".to_owned(),
            tables: Vec::new(),
            jobs: 1,
            reject_limit: 0,
            max_rows: None,
            max_bytes: None,
        };
        let work = |_, _, mut cancelled: watch::Receiver<bool>| async move {
            let _ = cancelled.wait_for(|cancelled| *cancelled).await;
            let (run, reports) = (String::new(), Vec::new());
            Ok(Event::Finished(Finished { run, reports }))
        };
        Arc::clone(runs).start(instruction, work)
    }

    #[tokio::test]
    async fn so_many_runs_are_under_way_at_most() {
        let runs = runs().await;
        for run in 0..64 {
            start(&runs, &format!("run-{run}")).unwrap();
        }
        let again = start(&runs, "run-7");
        assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
        let more = start(&runs, "one-more");
        assert!(matches!(more, Err(Error::Limit(_))), "{more:?}");
        runs.cancel("run-7");
        let ended = async {
            while runs.under_way().len() == 64 {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(5), ended).await;
        assert!(waited.is_ok());
        start(&runs, "one-more").unwrap();
        runs.cancel_all();
    }
}
