//! Snapshots that are held for peers' runs: opened by a run's first request, let go by its end, its lease or its age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use crate::database::Snapshot;

/// A snapshot that no stream reads is let go after this long.
const LEASE: Duration = Duration::from_secs(60);

/// No snapshot is held longer than this.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// The most runs one admission may have snapshots for.
const MAX_RUNS: usize = 4;

/// One run's snapshot; opened when it is first read.
pub struct Held {
    snapshot: AsyncMutex<Option<Box<dyn Snapshot>>>,
    opened: Instant,
    touched: Mutex<Instant>,
}

impl Held {
    /// Until when the snapshot may be read.
    pub fn deadline(&self) -> Instant {
        self.opened + MAX_AGE
    }

    /// The place of the snapshot, empty until somebody opened it. One table at a time is read from it.
    pub async fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Snapshot>>> {
        self.snapshot.lock().await
    }

    /// Says that the run is alive.
    pub fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_stale(&self) -> bool {
        let touched = *self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.elapsed() > LEASE || self.opened.elapsed() > MAX_AGE
    }
}

/// All held snapshots, by admission and run.
#[derive(Default)]
pub struct Snapshots {
    held: Mutex<HashMap<(String, String), Arc<Held>>>,
}

impl Snapshots {
    /// The snapshot of a run. None: the admission has too many runs already.
    pub fn of_run(&self, admission: &str, run: &str) -> Option<Arc<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (admission.to_owned(), run.to_owned());
        if let Some(found) = held.get(&key) {
            found.touch();
            return Some(Arc::clone(found));
        }
        if held.keys().filter(|(owner, _)| owner == admission).count() >= MAX_RUNS {
            return None;
        }
        let opened = Instant::now();
        let new = Arc::new(Held {
            snapshot: AsyncMutex::new(None),
            opened,
            touched: Mutex::new(opened),
        });
        held.insert(key, Arc::clone(&new));
        Some(new)
    }

    /// Lets go of an admission's snapshots.
    pub fn release(&self, admission: &str) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(owner, _), _| owner != admission);
    }

    /// Lets go of snapshots whose lease or age is over; a stream that reads keeps its own until it ends.
    pub fn sweep(&self) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, held| {
                if Arc::strong_count(held) > 1 {
                    held.touch();
                }
                !held.is_stale()
            });
    }
}
