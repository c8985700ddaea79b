//! Which runs are under way, what works for them, and how they are cancelled.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::events::EventQueues;
use crate::bindings::events::{Compared, Event, Finished, Trouble};
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::Error;
use crate::capability::StartRun;
use crate::resources::Resources;
use crate::run::{self, RunError};
use crate::sandbox::ConflictStrategies;

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
        let (cancel, cancelled) = watch::channel(false);
        match self.under_way().entry(run.clone()) {
            Entry::Occupied(_) => {
                return Err(Error::Invalid(format!("run {run} is under way already")));
            }
            Entry::Vacant(place) => place.insert(cancel),
        };
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
            let run = instruction.run.clone();
            let (resources, strategies) = (&runs.resources, &runs.strategies);
            let reports = run::pull(resources, strategies, instruction, cancelled).await?;
            Ok(Event::Finished(Finished { run, reports }))
        })
    }

    fn compare(self: Arc<Self>, instruction: CopyInstruction) -> Result<String, Error> {
        self.start(instruction, |runs, instruction, cancelled| async move {
            let run = instruction.run.clone();
            let tables = run::compare(&runs.resources, instruction, cancelled).await?;
            Ok(Event::Compared(Compared { run, tables }))
        })
    }

    fn cancel(&self, run: &str) {
        if let Some(cancel) = self.under_way().get(run) {
            cancel.send_replace(true);
        }
    }

    fn request_step(&self, run: &str) -> Result<(), Error> {
        let pushed = self.events.push(Event::Step(run.to_owned()));
        pushed.map_err(|full| Error::Limit(full.to_string()))
    }
}
