//! What happens to runs and sessions, for the clients that follow them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::bindings::transfers::RunEvent as EngineEvent;
use crate::bindings::types::{Cell, TableReport};
use crate::run::{Difference, Interruption, TableProgress};

/// The most events that are kept of one topic, …
const MAX_EVENTS: usize = 100_000;

/// … and their bytes, roughly.
const MAX_BYTES: usize = 16 << 20;

/// The most topics.
const MAX_TOPICS: usize = 10_000;

/// What is assumed of an event's size beside its texts.
const EVENT_BYTES: usize = 128;

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
        let texts = match self {
            Self::Difference(difference) => difference.key.iter().map(cell_bytes).sum(),
            Self::Engine(EngineEvent::Planned(plans)) => plans.len() * EVENT_BYTES,
            _ => 0,
        };
        EVENT_BYTES + texts
    }
}

fn cell_bytes(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        _ => size_of::<Cell>(),
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

/// Too many topics have events that somebody may still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("events of {MAX_TOPICS} runs and sessions are kept, and none of them has ended")]
pub struct TooManyTopics;

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
            if let Some((number, event)) = self.events.pop_first() {
                self.bytes -= event.bytes();
                self.dropped_below = number + 1;
            }
        }
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

#[derive(Debug, Default)]
struct Topic {
    ring: Mutex<Ring>,
    more: Notify,
}

impl Topic {
    /// A ring is changed by single calls, so a poisoned lock still guards a whole ring.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All topics of a tenant: run ids and session codes.
#[derive(Debug, Default)]
pub struct RunEvents {
    topics: Mutex<HashMap<String, Arc<Topic>>>,
}

impl RunEvents {
    /// Tells the followers of a topic. What is said before anybody follows is kept for them.
    pub fn publish(&self, topic: &str, event: RunEvent) -> Result<(), TooManyTopics> {
        let topic = self.topic(topic)?;
        topic.ring().push(event);
        topic.more.notify_waiters();
        Ok(())
    }

    /// Follows a topic from the oldest event that is kept.
    pub fn follow(&self, topic: &str) -> Result<Follower, TooManyTopics> {
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

    fn topic(&self, name: &str) -> Result<Arc<Topic>, TooManyTopics> {
        let mut topics = self.topics();
        if let Some(topic) = topics.get(name) {
            return Ok(Arc::clone(topic));
        }
        if topics.len() >= MAX_TOPICS {
            topics.retain(|_, topic| Arc::strong_count(topic) > 1 || !topic.ring().ended);
        }
        if topics.len() >= MAX_TOPICS {
            return Err(TooManyTopics);
        }
        let topic = Arc::<Topic>::default();
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
                key: vec![Cell::Text("x".repeat(MAX_BYTES / 4))],
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
}
