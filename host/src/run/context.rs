//! What all tables of a run share.

use std::sync::Arc;

use tokio::sync::watch;

use super::peer::Source;
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::Failure;
use crate::database::Database;
use crate::failure::{ErrorCode, failure};
use crate::resources::{Resources, RunEvent, TableProgress};

/// One run.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    pub resources: &'a Arc<Resources>,
    pub database: &'a Arc<dyn Database>,
    pub instruction: &'a CopyInstruction,
    pub cancelled: &'a watch::Receiver<bool>,
}

impl<'a> RunContext<'a> {
    /// The other site.
    pub fn source(&self) -> Source<'a> {
        Source {
            resources: self.resources,
            peer: &self.instruction.peer,
            run: &self.instruction.run,
        }
    }

    /// Tells how far a table is.
    pub fn tell(&self, table: &str, rows: u64, bytes: u64) {
        self.publish(RunEvent::Progress(TableProgress {
            table: table.to_owned(),
            rows,
            bytes,
        }));
    }

    /// Tells the followers of the run.
    pub fn publish(&self, event: RunEvent) {
        let events = self.resources.run_events();
        if let Err(error) = events.publish(&self.instruction.run, event) {
            tracing::warn!(run = self.instruction.run, "an event is lost: {error}");
        }
    }

    /// An error if the operator ended the run.
    pub fn check_cancelled(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(failure(
                ErrorCode::Cancelled,
                "the pull was cancelled",
                "what is committed is complete; pull again for the rest",
            ));
        }
        Ok(())
    }
}
