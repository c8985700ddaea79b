//! Snapshots that are held for peers' runs, from a run's first request to its end, its lease or its age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

use crate::bindings::types::TableSchema;
use crate::database::{Database, DatabaseError, Snapshot, buckets_of};
use crate::digest::random_id;
use crate::rows::Buckets;

/// A snapshot that no stream reads is released after this long.
const LEASE: Duration = Duration::from_secs(60);

/// No snapshot is held longer than this, if nothing else is said.
pub const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// The most tables whose digests are kept for a run, some 100 KB each.
const MAX_DIGESTS: usize = 100;

/// The most runs one admission may have snapshots for.
const MAX_RUNS: usize = 4;

/// One run's place for a snapshot.
pub struct HeldSnapshot {
    current: AsyncMutex<Option<Arc<RunSnapshot>>>,
    max_age: Duration,
    touched: Mutex<Instant>,
}

/// A snapshot of one run.
pub struct RunSnapshot {
    /// Its name, which no other snapshot has.
    pub id: String,
    /// The view.
    pub view: Box<dyn Snapshot>,
    deadline: Instant,
    /// Digests that were asked for, by table.
    digests: AsyncMutex<HashMap<String, Arc<Buckets>>>,
}

impl RunSnapshot {
    /// Until when it may be read.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The digests of a table's rows, computed once.
    pub async fn digests(&self, table: &TableSchema) -> Result<Arc<Buckets>, DatabaseError> {
        let mut digests = self.digests.lock().await;
        if let Some(found) = digests.get(&table.table) {
            return Ok(Arc::clone(found));
        }
        let buckets = buckets_of(self.view.as_ref(), table).await?;
        let buckets = Arc::new(buckets);
        // A peer may ask for many tables; what is kept stays small.
        if digests.len() >= MAX_DIGESTS {
            digests.clear();
        }
        digests.insert(table.table.clone(), Arc::clone(&buckets));
        Ok(buckets)
    }
}

impl HeldSnapshot {
    /// The run's snapshot; opened if there is none, or if the last one is too old.
    pub async fn snapshot(
        &self,
        database: &dyn Database,
    ) -> Result<Arc<RunSnapshot>, DatabaseError> {
        let mut current = self.current.lock().await;
        if let Some(found) = current
            .as_ref()
            .filter(|found| Instant::now() < found.deadline())
        {
            return Ok(Arc::clone(found));
        }
        // The old one is released first: two would hold the database twice.
        *current = None;
        let deadline = Instant::now() + self.max_age;
        let opened = Arc::new(RunSnapshot {
            id: random_id().map_err(|error| DatabaseError::Unreachable {
                database: "the operating system's random numbers".to_owned(),
                reason: error.to_string(),
            })?,
            view: database.snapshot().await?,
            deadline,
            digests: AsyncMutex::default(),
        });
        *current = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Releases a snapshot that cannot be read any more.
    pub async fn discard(&self, broken: &RunSnapshot) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|found| found.id == broken.id) {
            *current = None;
        }
    }

    /// Releases a snapshot that nobody may read any more.
    fn discard_old(&self) {
        // Locked while one is opened, which is not old.
        if let Ok(mut current) = self.current.try_lock()
            && current
                .as_ref()
                .is_some_and(|found| Instant::now() >= found.deadline)
        {
            *current = None;
        }
    }

    /// Says that the run is alive.
    pub fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_stale(&self) -> bool {
        let touched = *self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.elapsed() > LEASE
    }
}

/// All held snapshots, by admission and run.
pub struct Snapshots {
    held: Mutex<HashMap<(String, String), Arc<HeldSnapshot>>>,
    max_age: Duration,
}

impl Snapshots {
    /// Holds none longer than this.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self {
            held: Mutex::default(),
            max_age,
        }
    }

    /// The snapshot of a run. None: the admission has too many runs already.
    pub fn of_run(&self, admission: &str, run: &str) -> Option<Arc<HeldSnapshot>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (admission.to_owned(), run.to_owned());
        if let Some(found) = held.get(&key) {
            found.touch();
            return Some(Arc::clone(found));
        }
        if held.keys().filter(|(owner, _)| owner == admission).count() >= MAX_RUNS {
            return None;
        }
        let new = Arc::new(HeldSnapshot {
            current: AsyncMutex::new(None),
            max_age: self.max_age,
            touched: Mutex::new(Instant::now()),
        });
        held.insert(key, Arc::clone(&new));
        Some(new)
    }

    /// Releases an admission's snapshots.
    pub fn release(&self, admission: &str) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(owner, _), _| owner != admission);
    }

    /// Releases snapshots whose lease or age is over; a stream that reads keeps its own until it ends.
    pub fn sweep(&self) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, held| {
                held.discard_old();
                if Arc::strong_count(held) > 1 {
                    held.touch();
                }
                !held.is_stale()
            });
    }
}
