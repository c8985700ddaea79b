//! Snapshots that are held for peers' runs, from a run's first request to its end, its lease or its age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};

use crate::bindings::types::TableSchema;
use crate::database::{Database, DatabaseError, Snapshot, buckets_of};
use crate::digest::random_id;
use crate::rows::Buckets;

/// A snapshot that no stream reads is released after this long.
const LEASE: Duration = Duration::from_secs(60);

/// No snapshot is held longer than this, if nothing else is said.
pub const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// The most tables whose digests are kept for a run, some 100 KB each.
const MAX_DIGESTS: usize = 32;

/// The most runs that the peers of one owner have snapshots for, whatever the number of its tokens.
const MAX_RUNS: usize = 4;

/// The most runs of all owners that have snapshots.
const MAX_RUNS_IN_ALL: usize = 16;

/// How long a run waits for a place.
const WAIT: Duration = Duration::from_secs(8);

/// As many runs as may have snapshots have one, and none of them ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many runs at once: {MAX_RUNS} of one sharing site or {MAX_RUNS_IN_ALL} of all hold a snapshot"
)]
pub struct TooManyRuns;

/// One run's place for a snapshot.
pub struct HeldSnapshot {
    current: AsyncMutex<Option<Arc<RunSnapshot>>>,
    max_age: Duration,
    touched: Mutex<Instant>,
    /// Dropped after the snapshot, which it counts.
    _place: Place,
}

/// What a place counts for: its owner's runs, and those of all.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

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
        // A peer may want only some of the columns.
        let columns = table.columns.iter().map(|column| column.name.as_str());
        let name: Vec<&str> = std::iter::once(table.table.as_str())
            .chain(columns)
            .collect();
        let name = name.join("\0");
        if let Some(found) = digests.get(&name) {
            return Ok(Arc::clone(found));
        }
        let buckets = buckets_of(self.view.as_ref(), table).await?;
        let buckets = Arc::new(buckets);
        // A peer may ask for many tables; what is kept stays small.
        if digests.len() >= MAX_DIGESTS {
            digests.clear();
        }
        digests.insert(name, Arc::clone(&buckets));
        Ok(buckets)
    }
}

impl HeldSnapshot {
    /// The run's snapshot; opened if there is none, or if the last one is too old.
    pub async fn snapshot(
        self: &Arc<Self>,
        database: &Arc<dyn Database>,
    ) -> Result<Arc<RunSnapshot>, DatabaseError> {
        let (held, database) = (Arc::clone(self), Arc::clone(database));
        // In a task that has the place: what is being opened counts, also when nobody waits for it any more.
        let opening = tokio::spawn(async move { held.open(database.as_ref()).await });
        opening.await.unwrap_or_else(|error| {
            Err(DatabaseError::Unreachable {
                database: "the snapshot".to_owned(),
                reason: error.to_string(),
            })
        })
    }

    async fn open(&self, database: &dyn Database) -> Result<Arc<RunSnapshot>, DatabaseError> {
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
    /// The places of each owner that has or waits for one.
    owners: Mutex<HashMap<String, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
    max_age: Duration,
}

impl Snapshots {
    /// Holds none longer than this.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self {
            held: Mutex::default(),
            owners: Mutex::default(),
            all: Arc::new(Semaphore::new(MAX_RUNS_IN_ALL)),
            max_age,
        }
    }

    /// The snapshot of a run of an owner's peer. Waits for a place if others have all of them.
    pub async fn of_run(
        &self,
        owner: &str,
        admission: &str,
        run: &str,
    ) -> Result<Arc<HeldSnapshot>, TooManyRuns> {
        let key = (admission.to_owned(), run.to_owned());
        if let Some(found) = self.held().get(&key) {
            found.touch();
            return Ok(Arc::clone(found));
        }
        let own = self.of_owner(owner);
        let place = async {
            let own = own.acquire_owned().await.ok()?;
            let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some((own, all))
        };
        let place = tokio::time::timeout(WAIT, place).await.ok().flatten();
        let place = place.ok_or(TooManyRuns)?;
        // Another request of the run may have got a place meanwhile.
        let mut held = self.held();
        let found = held.entry(key).or_insert_with(|| {
            Arc::new(HeldSnapshot {
                current: AsyncMutex::new(None),
                max_age: self.max_age,
                touched: Mutex::new(Instant::now()),
                _place: place,
            })
        });
        found.touch();
        Ok(Arc::clone(found))
    }

    fn of_owner(&self, owner: &str) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if !owners.contains_key(owner) {
            // Permits keep their semaphore.
            owners.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = owners
            .entry(owner.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(MAX_RUNS)));
        Arc::clone(places)
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn held(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<HeldSnapshot>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases an admission's snapshots.
    pub fn release(&self, admission: &str) {
        self.held().retain(|(of, _), _| of != admission);
    }

    /// Releases the snapshot of one run of an admission; a stream that reads keeps its own until it ends.
    pub fn release_run(&self, admission: &str, run: &str) {
        let key = (admission.to_owned(), run.to_owned());
        self.held().remove(&key);
    }

    /// Releases snapshots whose lease or age is over; a stream that reads keeps its own until it ends.
    pub fn sweep(&self) {
        self.held().retain(|_, held| {
            held.discard_old();
            if Arc::strong_count(held) > 1 {
                held.touch();
            }
            !held.is_stale()
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Whether a run finds no place for the time being.
    async fn waits(snapshots: &Snapshots, owner: &str) -> bool {
        let place = snapshots.of_run(owner, "new", "run");
        let waited = tokio::time::timeout(Duration::from_millis(20), place).await;
        waited.is_err()
    }

    #[tokio::test]
    async fn runs_are_counted_by_owner_whatever_the_number_of_tokens() {
        let snapshots = Snapshots::new(MAX_AGE);
        let mut streams = Vec::new();
        for token in 0..MAX_RUNS {
            let token = token.to_string();
            streams.push(snapshots.of_run("ana", &token, "run").await.unwrap());
            // Renewed: nobody finds the snapshot any more, but a stream still has it.
            snapshots.release(&token);
        }
        assert!(waits(&snapshots, "ana").await);
        assert!(snapshots.of_run("bo", "other", "run").await.is_ok());
        streams.pop();
        assert!(snapshots.of_run("ana", "new", "run").await.is_ok());
        assert!(snapshots.of_run("ana", "new", "run").await.is_ok());
        assert_eq!(snapshots.all.available_permits(), MAX_RUNS_IN_ALL - 5);
    }

    #[tokio::test]
    async fn runs_of_all_owners_are_counted_too() {
        let snapshots = Snapshots::new(MAX_AGE);
        for run in 0..MAX_RUNS_IN_ALL {
            let owner = (run / MAX_RUNS).to_string();
            let of_run = snapshots.of_run(&owner, "token", &run.to_string()).await;
            assert!(of_run.is_ok());
        }
        assert!(waits(&snapshots, "one more").await);
    }
}
