//! A tenant put together: its databases, state, roles, grants and limits, and the engine that runs on them.

mod builder;
mod calls;
mod grants;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use builder::TenantBuilder;
pub use grants::{GrantedDatabase, Patterns};

use crate::access::{Access, Admission};
use crate::bindings::events::{Compared, Event, Finished, TableDone, Trouble};
use crate::bindings::transfers::{CopyInstruction, RunEvent as EngineEvent};
use crate::bindings::types::{Error, Failure, TableReport};
use crate::capability::Capabilities;
use crate::egress::Egress;
use crate::failure::{ErrorCode, failure};
use crate::owner::{self, Owner};
use crate::run::{self, RunError};
use crate::run_events::{RunEvent, RunEvents};
use crate::sandbox::{ConflictStrategies, EngineComponent, Sandbox, SchemaDdl, SessionRules};
use crate::snapshots::Snapshots;
use crate::state::{State, StateError};

/// How often owners and snapshots are looked after.
const CARE: Duration = Duration::from_secs(2);

/// One site on this host.
pub struct Tenant {
    databases: BTreeMap<String, GrantedDatabase>,
    state: State,
    access: Access,
    egress: Egress,
    run_events: RunEvents,
    snapshots: Snapshots,
    jobs: Mutex<HashMap<String, watch::Sender<bool>>>,
    events: mpsc::UnboundedSender<Event>,
    engine: EngineComponent<Capabilities>,
    sessions: SessionRules,
    conflicts: Vec<ConflictStrategies>,
    ddl: SchemaDdl,
    this: Weak<Tenant>,
}

impl Tenant {
    /// Begins to put a tenant together.
    #[must_use]
    pub fn builder(sandbox: Sandbox) -> TenantBuilder {
        TenantBuilder::new(sandbox)
    }

    /// A new owner, whose lease keeps sessions alive.
    pub async fn open_owner(&self) -> Result<Owner, StateError> {
        Owner::open(self.state.clone()).await
    }

    /// What happens to runs and sessions.
    #[must_use]
    pub fn run_events(&self) -> &RunEvents {
        &self.run_events
    }

    /// The admission of a bearer token, if its owner still lives.
    pub async fn admission(&self, token: &str) -> Result<Option<Admission>, StateError> {
        let Some(admission) = self.access.resolve(token) else {
            return Ok(None);
        };
        let alive = owner::alive(&self.state, &admission.owner).await?;
        Ok(alive.then_some(admission))
    }

    /// Ends an admission: its token, its streams and its snapshots.
    pub fn revoke(&self, admission: &str) {
        self.access.revoke(admission);
        self.snapshots.release(admission);
    }

    /// Queues an event for the engine.
    pub fn enqueue(&self, event: Event) {
        // The queue ends with the tenant, and then nobody wants the event.
        let _ = self.events.send(event);
    }

    pub(crate) fn database(&self, label: &str) -> Option<&GrantedDatabase> {
        self.databases.get(label)
    }

    pub(crate) fn host_state(&self) -> &State {
        &self.state
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    pub(crate) fn sessions(&self) -> &SessionRules {
        &self.sessions
    }

    pub(crate) fn ddl(&self) -> &SchemaDdl {
        &self.ddl
    }

    /// The components that fill the role `conflicts`, in the order in which they are asked.
    pub(crate) fn conflicts(&self) -> &[ConflictStrategies] {
        &self.conflicts
    }

    /// Starts the job that pulls an order's tables.
    pub(crate) fn start_pull(&self, instruction: CopyInstruction) -> Result<String, Error> {
        self.start_job(instruction, |tenant, instruction, cancelled| async move {
            let run = instruction.run.clone();
            let reports = run::pull(&tenant, instruction, cancelled).await?;
            Ok(Event::Finished(Finished { run, reports }))
        })
    }

    /// Starts the job that compares an order's tables with what is here.
    pub(crate) fn start_comparison(&self, instruction: CopyInstruction) -> Result<String, Error> {
        self.start_job(instruction, |tenant, instruction, cancelled| async move {
            let run = instruction.run.clone();
            let tables = run::compare(&tenant, instruction, cancelled).await?;
            Ok(Event::Compared(Compared { run, tables }))
        })
    }

    fn start_job<F>(
        &self,
        instruction: CopyInstruction,
        work: impl FnOnce(Arc<Self>, CopyInstruction, watch::Receiver<bool>) -> F,
    ) -> Result<String, Error>
    where
        F: Future<Output = Result<Event, RunError>> + Send + 'static,
    {
        let tenant = self
            .this
            .upgrade()
            .ok_or_else(|| Error::Unavailable("the host is stopping".to_owned()))?;
        let (cancel, cancelled) = watch::channel(false);
        let run = instruction.run.clone();
        {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            if jobs.contains_key(&run) {
                return Err(Error::Invalid(format!("run {run} has a job already")));
            }
            jobs.insert(run.clone(), cancel);
        }
        let run_of_job = run.clone();
        let work = work(Arc::clone(&tenant), instruction, cancelled);
        tokio::spawn(async move {
            let run = run_of_job;
            let outcome = work.await;
            tenant
                .jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&run);
            tenant.enqueue(outcome.unwrap_or_else(|error| {
                Event::Trouble(Trouble {
                    run,
                    table: error.table().map(str::to_owned),
                    failure: error.into_failure(),
                })
            }));
        });
        // A run has at most one job at a time, so the run names it.
        Ok(run)
    }

    /// Tries the rejected rows of a run in a database again. `run` may be the beginning of its name.
    pub async fn retry_rejects(
        &self,
        database: &str,
        run: &str,
    ) -> Result<Vec<TableReport>, Failure> {
        let granted = self
            .database(database)
            .ok_or_else(|| failure(ErrorCode::NotFound, format!("no database {database:?}"), ""))?;
        run::retry_rejects(self, granted.database(), run).await
    }

    pub(crate) fn cancel_job(&self, run: &str) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancel) = jobs.get(run) {
            cancel.send_replace(true);
        }
    }

    pub(crate) fn table_done(&self, run: &str, report: TableReport) {
        self.run_events
            .publish(run, RunEvent::TableDone(report.clone()));
        self.enqueue(Event::TableDone(TableDone {
            run: run.to_owned(),
            report,
        }));
    }

    fn run_failed(&self, run: &str, failure: Failure) {
        self.run_events
            .publish(run, RunEvent::Engine(EngineEvent::Failed(failure)));
    }

    /// Delivers events one after the other, until the tenant is gone.
    async fn deliver_events(tenant: Weak<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            let Some(tenant) = tenant.upgrade() else {
                return;
            };
            let run = match &event {
                Event::Step(run) => Some(run.clone()),
                Event::TableDone(done) => Some(done.run.clone()),
                Event::Trouble(trouble) => Some(trouble.run.clone()),
                Event::Finished(finished) => Some(finished.run.clone()),
                Event::Compared(compared) => Some(compared.run.clone()),
                Event::Sent(_) | Event::OwnerGone(_) | Event::Other(_) => None,
            };
            if let Err(failure) = tenant.deliver(&event).await {
                tracing::error!(code = failure.code, "{}", failure.message);
                // A run whose engine cannot take its events is over.
                if let Some(run) = run {
                    tenant.cancel_job(&run);
                    tenant.run_failed(&run, failure);
                }
            }
        }
    }

    /// Ends what owners and peers left behind, until the tenant is gone.
    async fn care(tenant: Weak<Self>) {
        loop {
            tokio::time::sleep(CARE).await;
            let Some(tenant) = tenant.upgrade() else {
                return;
            };
            tenant.snapshots.sweep();
            for owner in tenant.access.owners() {
                match owner::alive(&tenant.state, &owner).await {
                    Ok(true) => {}
                    Ok(false) => {
                        for admission in tenant.access.revoke_owner(&owner) {
                            tenant.snapshots.release(&admission);
                        }
                        tenant.enqueue(Event::OwnerGone(owner));
                    }
                    Err(error) => tracing::warn!(%error, "an owner's lease could not be read"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
