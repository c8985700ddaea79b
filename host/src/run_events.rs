//! What happens to runs and sessions, for the faces that follow them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::bindings::transfers::RunEvent as EngineEvent;
use crate::bindings::types::{Cell, Failure, TableReport};

/// More than this is never kept for one topic; a follower that is so far behind has lost interest.
const MAX_KEPT: usize = 100_000;

/// More topics than this are cleared of those that nobody follows.
const MAX_TOPICS: usize = 10_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The engine said so.
    Engine(EngineEvent),
    /// Rows of a table have arrived.
    Progress(TableProgress),
    /// A table is complete.
    TableDone(TableReport),
    /// The line broke; the job tries again.
    Interrupted(Interruption),
    /// A comparing job found a row that differs.
    Difference(Difference),
}

/// A line that broke.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// The table that was under way.
    pub table: String,
    /// What broke.
    pub failure: Failure,
}

/// A row that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// How it differs.
    pub kind: DifferenceKind,
    /// Its primary key, or the whole row where there is none.
    pub key: Vec<Cell>,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It is at the peer only.
    New,
    /// It is on both sides with different images.
    Changed,
    /// It is here only.
    LocalOnly,
}

/// How far one table is.
#[derive(Clone, Debug)]
pub struct TableProgress {
    /// The table.
    pub table: String,
    /// Rows received so far.
    pub rows: u64,
    /// Bytes received so far.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Topic {
    kept: Mutex<Vec<RunEvent>>,
    more: Notify,
}

/// All topics of a tenant: run ids and session codes.
#[derive(Debug, Default)]
pub struct RunEvents {
    topics: Mutex<HashMap<String, Arc<Topic>>>,
}

impl RunEvents {
    /// Tells the followers of a topic. What is said before anybody follows is kept for them.
    pub fn publish(&self, topic: &str, event: RunEvent) {
        let topic = self.topic(topic);
        let mut kept = topic.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(event);
        }
        drop(kept);
        topic.more.notify_waiters();
    }

    /// Follows a topic from its beginning.
    pub fn follow(&self, topic: &str) -> Follower {
        Follower {
            topic: self.topic(topic),
            next: 0,
        }
    }

    fn topic(&self, topic: &str) -> Arc<Topic> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.len() >= MAX_TOPICS {
            // What nobody follows goes first; a component cannot fill the memory with topics.
            topics.retain(|_, topic| Arc::strong_count(topic) > 1);
        }
        Arc::clone(topics.entry(topic.to_owned()).or_default())
    }
}

/// One follower of a topic.
#[derive(Debug)]
pub struct Follower {
    topic: Arc<Topic>,
    next: usize,
}

impl Follower {
    /// The next event; waits for it. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> RunEvent {
        loop {
            // Registered before looking, so that nothing published in between is missed.
            let mut more = std::pin::pin!(self.topic.more.notified());
            more.as_mut().enable();
            let found = {
                let kept = self
                    .topic
                    .kept
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                kept.get(self.next).cloned()
            };
            if let Some(event) = found {
                self.next += 1;
                return event;
            }
            more.await;
        }
    }
}
