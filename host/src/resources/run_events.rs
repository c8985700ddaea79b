//! What happens to runs and sessions, for the clients that follow them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::bindings::transfers::RunEvent as EngineEvent;
use crate::bindings::types::{Failure, TableReport};
use crate::failure::{ErrorCode, failure};
use crate::run::{Difference, Interruption, TableProgress};
use crate::weight::weigh;

/// The most events that are kept of one topic, …
const MAX_EVENTS: usize = 100_000;

/// … and their bytes, roughly.
const MAX_BYTES: usize = 16 << 20;

/// The most topics, …
const MAX_TOPICS: usize = 10_000;

/// … and the bytes of their events together, roughly.
const MAX_BYTES_IN_ALL: usize = 32 << 20;

/// What is assumed of an event's size beside its texts.
const EVENT_BYTES: usize = 96;

/// One thing that happened to a run or a session.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The engine said so.
    Engine(EngineEvent),
    /// Rows of a table have arrived.
    Progress(TableProgress),
    /// A table is complete.
    TableDone(TableReport),
    /// The connection broke; the run tries again.
    Interrupted(Interruption),
    /// A comparison found a row that differs.
    Difference(Difference),
}

impl RunEvent {
    /// Whether nothing follows: the run or session has ended.
    fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Engine(
                EngineEvent::Finished(_) | EngineEvent::Failed(_) | EngineEvent::Compared(_)
            )
        )
    }

    fn bytes(&self) -> usize {
        let parts = match self {
            Self::Engine(event) => weigh(event).units,
            Self::Progress(progress) => weigh(&progress.table).units,
            Self::TableDone(report) => weigh(report).units,
            Self::Interrupted(interruption) => weigh(&interruption.failure).units,
            Self::Difference(difference) => weigh(&difference.key).units,
        };
        EVENT_BYTES.saturating_add(usize::try_from(parts).unwrap_or(usize::MAX))
    }
}

/// What a follower reads.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next event.
    Event(RunEvent),
    /// So many events were dropped because the follower was too far behind; what follows is newer.
    Missed(u64),
}

/// Too much is kept that somebody may still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsFull {
    /// Too many topics.
    #[error("events of {MAX_TOPICS} runs and sessions are kept, and none of them has ended")]
    Topics,
    /// Too large events.
    #[error(
        "events of runs and sessions with {MAX_BYTES_IN_ALL} bytes are kept, and none of them has ended"
    )]
    Bytes,
}

impl From<EventsFull> for Failure {
    fn from(error: EventsFull) -> Self {
        let hint = "wait until runs or sessions have ended";
        failure(ErrorCode::Limit, error.to_string(), hint)
    }
}

/// The last events of one topic, in a ring of bounded size.
#[derive(Debug)]
struct Ring {
    events: BTreeMap<u64, RunEvent>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    /// Events below this number were dropped for want of room.
    dropped_below: u64,
    /// By table: its last progress, which the next one replaces.
    progress: HashMap<String, u64>,
    ended: bool,
    touched: Instant,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            bytes: 0,
            next: 0,
            dropped_below: 0,
            progress: HashMap::new(),
            ended: false,
            touched: Instant::now(),
        }
    }
}

impl Ring {
    fn push(&mut self, event: RunEvent) {
        self.touched = Instant::now();
        self.ended |= event.is_last();
        let number = self.next;
        self.next += 1;
        if let RunEvent::Progress(progress) = &event {
            let replaced = self.progress.insert(progress.table.clone(), number);
            // Not dropped but replaced: nobody misses an older progress.
            if let Some(event) = replaced.and_then(|replaced| self.events.remove(&replaced)) {
                self.bytes -= event.bytes();
            }
        }
        self.bytes += event.bytes();
        self.events.insert(number, event);
        while (self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES) && self.events.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Drops the oldest event. False: there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((number, event)) = self.events.pop_first() else {
            return false;
        };
        self.bytes -= event.bytes();
        self.dropped_below = number + 1;
        true
    }

    /// What a follower reads that has read all before `next`, and where it goes on.
    fn read(&self, next: u64) -> Option<(Followed, u64)> {
        if next < self.dropped_below {
            let missed = self.dropped_below - next;
            return Some((Followed::Missed(missed), self.dropped_below));
        }
        let (number, event) = self.events.range(next..).next()?;
        Some((Followed::Event(event.clone()), number + 1))
    }
}

#[derive(Debug)]
struct Topic {
    ring: Mutex<Ring>,
    more: Notify,
    /// The operator planned this run: no peer's request may act on it.
    of_operator: AtomicBool,
    /// Of all topics of the tenant.
    bytes_in_all: Arc<AtomicUsize>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        let bytes = self.ring().bytes;
        self.bytes_in_all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Topic {
    fn new(bytes_in_all: Arc<AtomicUsize>) -> Self {
        Self {
            ring: Mutex::default(),
            more: Notify::default(),
            of_operator: AtomicBool::new(false),
            bytes_in_all,
        }
    }

    /// A ring is changed by single calls, so a poisoned lock still guards a whole ring.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody follows the topic, or may still want to.
    fn is_wanted(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || !self.ring().ended
    }

    /// Keeps an event, in place of older ones of this topic if the tenant has too much. False: even so it has.
    fn push(&self, event: RunEvent) -> bool {
        let mut ring = self.ring();
        let (before, new) = (ring.bytes, event.bytes());
        let others = self
            .bytes_in_all
            .load(Ordering::Relaxed)
            .saturating_sub(before);
        let fits = |ring: &Ring| others.saturating_add(ring.bytes + new) <= MAX_BYTES_IN_ALL;
        while !fits(&ring) && ring.drop_oldest() {}
        let pushed = fits(&ring);
        if pushed {
            ring.push(event);
        }
        self.bytes_in_all.fetch_add(ring.bytes, Ordering::Relaxed);
        self.bytes_in_all.fetch_sub(before, Ordering::Relaxed);
        pushed
    }
}

/// All topics of a tenant: run ids and session codes.
#[derive(Debug, Default)]
pub struct RunEvents {
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    bytes_in_all: Arc<AtomicUsize>,
}

impl RunEvents {
    /// Tells the followers of a topic. What is said before anybody follows is kept for them.
    pub fn publish(&self, topic: &str, event: RunEvent) -> Result<(), EventsFull> {
        let bytes = self.bytes_in_all.load(Ordering::Relaxed);
        if bytes.saturating_add(event.bytes()) > MAX_BYTES_IN_ALL {
            self.remove_ended();
        }
        let topic = self.topic(topic)?;
        let pushed = topic.push(event);
        topic.more.notify_waiters();
        if pushed {
            Ok(())
        } else {
            Err(EventsFull::Bytes)
        }
    }

    /// Keeps peers' requests away from a run that the operator planned.
    pub fn give_to_operator(&self, run: &str) -> Result<(), EventsFull> {
        self.topic(run)?.of_operator.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the operator planned this run.
    #[must_use]
    pub fn is_of_operator(&self, run: &str) -> bool {
        let topics = self.topics();
        topics
            .get(run)
            .is_some_and(|topic| topic.of_operator.load(Ordering::Relaxed))
    }

    /// Follows a topic from the oldest event that is kept.
    pub fn follow(&self, topic: &str) -> Result<Follower, EventsFull> {
        Ok(Follower {
            topic: self.topic(topic)?,
            next: 0,
        })
    }

    /// Removes topics that nobody follows and whose last event is older than `age`.
    pub fn remove_old(&self, age: Duration) {
        self.topics().retain(|_, topic| {
            Arc::strong_count(topic) > 1 || topic.ring().touched.elapsed() < age
        });
    }

    /// Removes topics that have ended and that nobody follows.
    fn remove_ended(&self) {
        self.topics().retain(|_, topic| topic.is_wanted());
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>, EventsFull> {
        let mut topics = self.topics();
        if let Some(topic) = topics.get(name) {
            return Ok(Arc::clone(topic));
        }
        if topics.len() >= MAX_TOPICS {
            topics.retain(|_, topic| topic.is_wanted());
        }
        if topics.len() >= MAX_TOPICS {
            return Err(EventsFull::Topics);
        }
        let topic = Arc::new(Topic::new(Arc::clone(&self.bytes_in_all)));
        topics.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<String, Arc<Topic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One follower of a topic.
#[derive(Debug)]
pub struct Follower {
    topic: Arc<Topic>,
    next: u64,
}

impl Follower {
    /// Returns the next event, or says how many were missed; waits for it. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Followed {
        loop {
            // Registered before looking, so that nothing published in between is missed.
            let mut more = std::pin::pin!(self.topic.more.notified());
            more.as_mut().enable();
            let found = self.topic.ring().read(self.next);
            if let Some((followed, next)) = found {
                self.next = next;
                return followed;
            }
            more.await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::run::DifferenceKind;

    fn progress(table: &str, rows: u64) -> RunEvent {
        RunEvent::Progress(TableProgress {
            table: table.to_owned(),
            rows,
            bytes: 0,
        })
    }

    fn claimed(who: usize) -> RunEvent {
        RunEvent::Engine(EngineEvent::Claimed(who.to_string()))
    }

    #[tokio::test]
    async fn events_come_in_order_also_those_before_the_follower() {
        let events = RunEvents::default();
        events.publish("run", claimed(1)).unwrap();
        let mut follower = events.follow("run").unwrap();
        events.publish("run", claimed(2)).unwrap();
        events.publish("another", claimed(3)).unwrap();
        for expected in ["1", "2"] {
            let Followed::Event(RunEvent::Engine(EngineEvent::Claimed(who))) =
                follower.next().await
            else {
                panic!("no claim");
            };
            assert_eq!(who, expected);
        }
        let waited = tokio::time::timeout(Duration::from_millis(20), follower.next()).await;
        assert!(waited.is_err());
    }

    #[tokio::test]
    async fn a_progress_replaces_the_one_before() {
        let events = RunEvents::default();
        for rows in 0..1_000 {
            events.publish("run", progress("a", rows)).unwrap();
            events.publish("run", progress("b", rows)).unwrap();
        }
        let mut follower = events.follow("run").unwrap();
        for _ in 0..2 {
            let Followed::Event(RunEvent::Progress(last)) = follower.next().await else {
                panic!("no progress");
            };
            assert_eq!(last.rows, 999);
        }
        assert_eq!(events.topic("run").unwrap().ring().events.len(), 2);
    }

    #[tokio::test]
    async fn a_follower_that_is_too_far_behind_is_told_how_much_it_missed() {
        let events = RunEvents::default();
        let mut follower = events.follow("run").unwrap();
        for who in 0..MAX_EVENTS + 5 {
            events.publish("run", claimed(who)).unwrap();
        }
        assert!(matches!(follower.next().await, Followed::Missed(5)));
        let Followed::Event(RunEvent::Engine(EngineEvent::Claimed(who))) = follower.next().await
        else {
            panic!("no claim");
        };
        assert_eq!(who, "5");
    }

    #[tokio::test]
    async fn large_events_are_bounded_by_their_bytes() {
        let events = RunEvents::default();
        let difference = || {
            RunEvent::Difference(Difference {
                table: "t".to_owned(),
                kind: DifferenceKind::New,
                key: "x".repeat(MAX_BYTES / 4),
            })
        };
        for _ in 0..10 {
            events.publish("run", difference()).unwrap();
        }
        assert!(events.topic("run").unwrap().ring().bytes <= MAX_BYTES);
        let mut follower = events.follow("run").unwrap();
        assert!(matches!(follower.next().await, Followed::Missed(7)));
    }

    #[tokio::test]
    async fn ended_topics_make_room_and_others_are_kept() {
        let events = RunEvents::default();
        events.publish("kept", claimed(1)).unwrap();
        let done = || RunEvent::Engine(EngineEvent::Finished(Vec::new()));
        for topic in 1..MAX_TOPICS {
            events.publish(&topic.to_string(), done()).unwrap();
        }
        events.publish("one more", claimed(2)).unwrap();
        let mut follower = events.follow("kept").unwrap();
        assert!(matches!(follower.next().await, Followed::Event(_)));
        for topic in 2..MAX_TOPICS {
            events.publish(&topic.to_string(), claimed(3)).unwrap();
        }
        assert!(events.publish("too many", claimed(4)).is_err());
    }

    #[tokio::test]
    async fn old_topics_go_unless_somebody_follows() {
        let events = RunEvents::default();
        for topic in ["old", "followed"] {
            events.publish(topic, claimed(1)).unwrap();
        }
        let _follower = events.follow("followed").unwrap();
        events.remove_old(Duration::ZERO);
        let left: Vec<String> = events.topics().keys().cloned().collect();
        assert_eq!(left, ["followed"]);
    }

    #[tokio::test]
    async fn all_topics_together_are_bounded_by_their_bytes() {
        let events = RunEvents::default();
        let large =
            |who: &str| RunEvent::Engine(EngineEvent::Claimed(who.repeat(MAX_BYTES_IN_ALL / 8)));
        for topic in 0..7 {
            events.publish(&topic.to_string(), large("x")).unwrap();
        }
        // Instead of the older one.
        events.publish("0", large("y")).unwrap();
        assert_eq!(
            events.publish("one more", large("z")),
            Err(EventsFull::Bytes)
        );
        let used = |events: &RunEvents| events.bytes_in_all.load(Ordering::Relaxed);
        assert!(used(&events) <= MAX_BYTES_IN_ALL);
        let failed = crate::failure::failure(ErrorCode::Internal, "x".repeat(1 << 20), "");
        let failed = || RunEvent::Engine(EngineEvent::Failed(failed.clone()));
        for topic in 0..7 {
            events.publish(&topic.to_string(), failed()).unwrap();
        }
        events.publish("one more", large("z")).unwrap();
        events.remove_old(Duration::ZERO);
        assert_eq!(used(&events), 0);
    }
}
