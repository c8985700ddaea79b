//! Decides how often and how long a run tries again after it was interrupted.

use std::time::{Duration, Instant};

use super::context::RunContext;
use super::observer::Interruption;
use crate::bindings::types::Failure;

/// The waits before further attempts; after the last one the run fails.
const WAITS: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// No attempt is made later than this after the last chunk: a connection that stalls takes its time to break.
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
    /// Tells the observer why, and waits before the next attempt. Fails with `failure` itself after enough attempts, and
    /// with `cancelled` if the run is cancelled.
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
        run.events.interrupted(Interruption {
            table: table.to_owned(),
            failure,
        });
        tokio::select! {
            () = tokio::time::sleep(*wait) => {}
            () = run.cancelled() => {}
        }
        run.check_cancelled()
    }
}
