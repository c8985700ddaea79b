//! Events that wait for the engine: one bounded queue a topic, in order within it, topics side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::bindings::events::Event;
use crate::capability::Caller;

/// The most events of one topic that wait, if the engine or a peer can bring about more of them.
const MAX_WAITING: usize = 1_000;

/// The most topics with events that wait, for a step of another one.
const MAX_TOPICS: usize = 2_000;

/// The most events that wait in all, for one more step.
const MAX_IN_ALL: usize = 20_000;

/// The most events of a tenant that the engine handles at the same time: the other calls are for operators and peers.
const MAX_AT_ONCE: usize = 16;

/// How often it is looked for a free place.
const RETRY: Duration = Duration::from_millis(50);

/// Too many events wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAX_WAITING} events of one run, events of {MAX_TOPICS} runs, or {MAX_IN_ALL} events in all wait for the engine"
)]
pub struct QueueFull;

/// An event with the rights with which it is handled.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What happened.
    pub event: Event,
    /// Who it happened for.
    pub caller: Caller,
}

impl Waiting {
    /// An event of the host's own: what a peer's reading brought about comes with no rights at all, …
    fn of_host(event: Event) -> Self {
        let caller = match event {
            Event::Sent(_) => Caller::Peer(None),
            // … and runs and owners are the operator's.
            _ => Caller::Operator,
        };
        Self { event, caller }
    }

    /// Whether another one would be the same step once more.
    fn is_same_step(&self, other: &Self) -> bool {
        matches!(self.event, Event::Step(_))
            && self.event == other.event
            && self.caller.is(&other.caller)
    }
}

/// The sending side of all queues of a tenant.
#[derive(Debug)]
pub struct EventQueues {
    /// A topic is here exactly as long as a worker delivers its events.
    waiting: Mutex<Queues>,
    /// Topics that need a worker; bounded by the number of topics.
    ready: mpsc::UnboundedSender<String>,
}

#[derive(Debug, Default)]
struct Queues {
    by_topic: HashMap<String, VecDeque<Waiting>>,
    in_all: usize,
}

/// The receiving side: topics that became ready.
pub type ReadyTopics = mpsc::UnboundedReceiver<String>;

impl EventQueues {
    /// Makes both sides.
    #[must_use]
    pub fn new() -> (Arc<Self>, ReadyTopics) {
        let (ready, topics) = mpsc::unbounded_channel();
        let queues = Self {
            waiting: Mutex::default(),
            ready,
        };
        (Arc::new(queues), topics)
    }

    /// Queues an event behind those of its topic. A step is not queued twice in a row. The ends of runs and owners always
    /// have a place: as many as there are runs and owners.
    pub fn push(&self, event: Waiting) -> Result<(), QueueFull> {
        let topic = topic_of(&event.event).to_owned();
        let mut queues = self.waiting();
        let is_step = matches!(event.event, Event::Step(_));
        let is_bounded = is_step || matches!(event.event, Event::Sent(_));
        let is_full = is_step && queues.in_all >= MAX_IN_ALL;
        let has_topics = is_step && queues.by_topic.len() >= MAX_TOPICS;
        match queues.by_topic.get_mut(&topic) {
            Some(queue) if queue.back().is_some_and(|last| last.is_same_step(&event)) => {
                return Ok(());
            }
            _ if is_full => return Err(QueueFull),
            Some(queue) if is_bounded && queue.len() >= MAX_WAITING => return Err(QueueFull),
            Some(queue) => queue.push_back(event),
            None if has_topics => return Err(QueueFull),
            None => {
                queues
                    .by_topic
                    .insert(topic.clone(), VecDeque::from([event]));
                // Closed only when the tenant ends, and then nobody wants the event.
                let _ = self.ready.send(topic);
            }
        }
        queues.in_all += 1;
        Ok(())
    }

    /// Queues an event of the host's own, and waits for a place as long as it takes: the end of a run must not be lost.
    pub async fn push_when_free(&self, event: Event) {
        let event = Waiting::of_host(event);
        while self.push(event.clone()).is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes the next event of a topic; none: the topic is empty, and its worker ends.
    fn take(&self, topic: &str) -> Option<Waiting> {
        let mut queues = self.waiting();
        let event = queues.by_topic.get_mut(topic)?.pop_front();
        match event {
            Some(_) => queues.in_all -= 1,
            None => {
                queues.by_topic.remove(topic);
            }
        }
        event
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn waiting(&self) -> MutexGuard<'_, Queues> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers the events of all topics until it is dropped.
pub async fn deliver_all<F>(
    queues: Arc<EventQueues>,
    mut ready: ReadyTopics,
    deliver: impl Fn(Waiting) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut workers = JoinSet::new();
    let slots = Arc::new(Semaphore::new(MAX_AT_ONCE));
    loop {
        tokio::select! {
            topic = ready.recv() => {
                let Some(topic) = topic else { return };
                let (queues, slots, deliver) = (Arc::clone(&queues), Arc::clone(&slots), deliver.clone());
                workers.spawn(async move {
                    while let Some(event) = queues.take(&topic) {
                        // Never closed.
                        let _slot = slots.acquire().await;
                        deliver(event).await;
                    }
                });
            }
            // Ended workers are collected as they end.
            Some(_) = workers.join_next() => {}
        }
    }
}

/// What an event is about: a run's id, an admission, or an owner. All of them are random and share no names.
pub fn topic_of(event: &Event) -> &str {
    match event {
        Event::Step(run) => run,
        Event::Trouble(trouble) => &trouble.run,
        Event::Finished(finished) => &finished.run,
        Event::Compared(compared) => &compared.run,
        Event::Sent(sent) => &sent.admission,
        Event::OwnerGone(owner) | Event::Other(owner) => owner,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn owner_gone(owner: &str) -> Waiting {
        Waiting::of_host(Event::OwnerGone(owner.to_owned()))
    }

    fn sent(admission: &str) -> Event {
        Event::Sent(crate::bindings::events::Sent {
            admission: admission.to_owned(),
            run: "r".to_owned(),
            report: crate::bindings::types::TableReport {
                table: "t".to_owned(),
                created: 0,
                updated: 0,
                same: 0,
                skipped: 0,
                failed: 0,
                bytes: 0,
                snapshots: 1,
                stored: crate::bindings::types::Stored::Verified,
                changed: Vec::new(),
            },
        })
    }

    fn step(run: &str, caller: Caller) -> Waiting {
        let event = Event::Step(run.to_owned());
        Waiting { event, caller }
    }

    #[tokio::test]
    async fn one_topic_is_in_order_and_a_slow_one_stalls_no_other() {
        let (queues, ready) = EventQueues::new();
        let (told, mut heard) = mpsc::unbounded_channel();
        let delivering = tokio::spawn(deliver_all(Arc::clone(&queues), ready, move |event| {
            let told = told.clone();
            async move {
                if topic_of(&event.event) == "slow" {
                    std::future::pending::<()>().await;
                }
                told.send(event.event).unwrap();
            }
        }));
        queues.push(owner_gone("slow")).unwrap();
        let reports = |run: &str, number| {
            Event::Trouble(crate::bindings::events::Trouble {
                run: run.to_owned(),
                table: Some(format!("{number}")),
                failure: crate::failure::failure(crate::failure::ErrorCode::Internal, "", ""),
            })
        };
        for number in 0..100 {
            let event = Waiting::of_host(reports("fast", number));
            queues.push(event).unwrap();
        }
        for number in 0..100 {
            let event = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
            assert_eq!(event.unwrap().unwrap(), reports("fast", number));
        }
        delivering.abort();
    }

    #[tokio::test]
    async fn a_queue_is_bounded_and_usable_again_when_it_is_empty() {
        let (queues, mut ready) = EventQueues::new();
        for _ in 0..MAX_WAITING {
            queues.push(Waiting::of_host(sent("a"))).unwrap();
        }
        assert_eq!(queues.push(Waiting::of_host(sent("a"))), Err(QueueFull));
        assert_eq!(queues.push(step("a", Caller::Operator)), Err(QueueFull));
        queues.push(owner_gone("a")).unwrap();
        queues.push(owner_gone("b")).unwrap();
        while queues.take("a").is_some() {}
        queues.push(owner_gone("a")).unwrap();
        let mut topics = Vec::new();
        while let Ok(topic) = ready.try_recv() {
            topics.push(topic);
        }
        assert_eq!(topics, ["a", "b", "a"], "one worker at a time");
    }

    #[tokio::test]
    async fn topics_are_bounded() {
        let (queues, _ready) = EventQueues::new();
        for topic in 0..MAX_TOPICS {
            let step = step(&topic.to_string(), Caller::Operator);
            queues.push(step).unwrap();
        }
        let step = step("one more", Caller::Operator);
        assert_eq!(queues.push(step), Err(QueueFull));
        queues.push(owner_gone("one more")).unwrap();
    }

    #[tokio::test]
    async fn steps_are_bounded_in_all_and_wait_once() {
        let (queues, _ready) = EventQueues::new();
        let peer = || Caller::Peer(None);
        for number in 0..MAX_IN_ALL {
            // Of two callers in turn: the same step in a row waits once.
            let caller = if number / 100 % 2 == 0 {
                peer()
            } else {
                Caller::Operator
            };
            let step = step(&(number % 100).to_string(), caller);
            queues.push(step).unwrap();
        }
        assert_eq!(queues.push(step("1", peer())), Err(QueueFull));
        assert_eq!(queues.push(step("one more", peer())), Err(QueueFull));
        queues.push(owner_gone("one more")).unwrap();
        for _ in 0..2 {
            queues.take("1").unwrap();
        }
        for _ in 0..MAX_IN_ALL {
            queues.push(step("run", Caller::Operator)).unwrap();
        }
        assert_eq!(queues.push(step("run", peer())), Err(QueueFull));
        queues.take("1").unwrap();
        queues.push(step("run", peer())).unwrap();
        let callers: Vec<Caller> = std::iter::from_fn(|| queues.take("run"))
            .map(|waiting| waiting.caller)
            .collect();
        assert!(matches!(
            callers[..],
            [Caller::Operator, Caller::Peer(None)]
        ));
    }

    /// A stranger's request must not get the rights of the operator by way of an event.
    #[test]
    fn what_a_peers_reading_brings_about_has_no_rights() {
        assert!(matches!(
            Waiting::of_host(sent("a")).caller,
            Caller::Peer(None)
        ));
    }

    #[tokio::test]
    async fn few_events_are_handled_at_once() {
        let (queues, ready) = EventQueues::new();
        let running = Arc::new(Semaphore::new(0));
        let counted = Arc::clone(&running);
        let delivering = tokio::spawn(deliver_all(Arc::clone(&queues), ready, move |_| {
            let counted = Arc::clone(&counted);
            async move {
                counted.add_permits(1);
                std::future::pending::<()>().await;
            }
        }));
        for topic in 0..MAX_AT_ONCE * 4 {
            queues.push(owner_gone(&topic.to_string())).unwrap();
        }
        let most = u32::try_from(MAX_AT_ONCE).unwrap();
        running.acquire_many(most).await.unwrap().forget();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(running.available_permits(), 0);
        delivering.abort();
    }
}
