//! How long a job tries again after its line broke.

use std::time::{Duration, Instant};

use super::context::RunContext;
use crate::bindings::types::Failure;
use crate::resources::{Interruption, RunEvent};

/// The wait before each further attempt; after the last one the run ends.
const WAITS: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// No further attempt is made so long after the last chunk: a line that only stalls takes its time to break.
const PATIENCE: Duration = Duration::from_secs(45);

/// Attempts since the last chunk was committed.
#[derive(Debug)]
pub struct Retries {
    made: usize,
    began: Instant,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            made: 0,
            began: Instant::now(),
        }
    }
}

impl Retries {
    /// Waits before the next attempt and says why; gives the failure back when there were enough of them, or when the
    /// operator ended the run.
    pub async fn wait(
        &mut self,
        run: &RunContext<'_>,
        table: &str,
        failure: Failure,
    ) -> Result<(), Failure> {
        let wait = WAITS.get(self.made);
        let Some(wait) = wait.filter(|_| self.began.elapsed() < PATIENCE) else {
            return Err(failure);
        };
        self.made += 1;
        run.publish(RunEvent::Interrupted(Interruption {
            table: table.to_owned(),
            failure,
        }));
        let mut cancelled = run.cancelled.clone();
        tokio::select! {
            () = tokio::time::sleep(*wait) => {}
            // A dropped sender means that nobody can end the run any more.
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => {}
        }
        run.check_cancelled()
    }
}
