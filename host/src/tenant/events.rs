//! Events that wait for the engine: one bounded queue a topic, in order within it, topics side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bindings::events::Event;

/// The most events of one topic that wait.
const MAX_WAITING: usize = 1_000;

/// The most topics with events that wait.
const MAX_TOPICS: usize = 10_000;

/// How often it is looked for a free place.
const RETRY: Duration = Duration::from_millis(50);

/// Too many events wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_WAITING} events of one run or {MAX_TOPICS} runs wait for the engine")]
pub struct QueueFull;

/// The sending side of all queues of a tenant.
#[derive(Debug)]
pub struct EventQueues {
    /// A topic is here exactly as long as a worker delivers its events.
    waiting: Mutex<HashMap<String, VecDeque<Event>>>,
    /// Topics that need a worker; bounded by the number of topics.
    ready: mpsc::UnboundedSender<String>,
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

    /// Queues an event behind those of its topic.
    pub fn push(&self, event: Event) -> Result<(), QueueFull> {
        let topic = topic_of(&event).to_owned();
        let mut waiting = self.waiting();
        let topics = waiting.len();
        match waiting.get_mut(&topic) {
            Some(queue) if queue.len() >= MAX_WAITING => Err(QueueFull),
            Some(queue) => {
                queue.push_back(event);
                Ok(())
            }
            None if topics >= MAX_TOPICS => Err(QueueFull),
            None => {
                waiting.insert(topic.clone(), VecDeque::from([event]));
                // Closed only when the tenant ends, and then nobody wants the event.
                let _ = self.ready.send(topic);
                Ok(())
            }
        }
    }

    /// Queues an event, and waits for a place as long as it takes: the end of a run must not be lost.
    pub async fn push_when_free(&self, event: Event) {
        while self.push(event.clone()).is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes the next event of a topic; none: the topic is empty, and its worker ends.
    fn take(&self, topic: &str) -> Option<Event> {
        let mut waiting = self.waiting();
        let event = waiting.get_mut(topic)?.pop_front();
        if event.is_none() {
            waiting.remove(topic);
        }
        event
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Event>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers the events of all topics until it is dropped.
pub async fn deliver_all<F>(
    queues: Arc<EventQueues>,
    mut ready: ReadyTopics,
    deliver: impl Fn(Event) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut workers = JoinSet::new();
    loop {
        tokio::select! {
            topic = ready.recv() => {
                let Some(topic) = topic else { return };
                let (queues, deliver) = (Arc::clone(&queues), deliver.clone());
                workers.spawn(async move {
                    while let Some(event) = queues.take(&topic) {
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
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn owner_gone(owner: &str) -> Event {
        Event::OwnerGone(owner.to_owned())
    }

    #[tokio::test]
    async fn one_topic_is_in_order_and_a_slow_one_stalls_no_other() {
        let (queues, ready) = EventQueues::new();
        let (told, mut heard) = mpsc::unbounded_channel();
        let delivering = tokio::spawn(deliver_all(Arc::clone(&queues), ready, move |event| {
            let told = told.clone();
            async move {
                if topic_of(&event) == "slow" {
                    std::future::pending::<()>().await;
                }
                told.send(event).unwrap();
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
            queues.push(reports("fast", number)).unwrap();
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
            queues.push(owner_gone("a")).unwrap();
        }
        assert_eq!(queues.push(owner_gone("a")), Err(QueueFull));
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
            queues.push(owner_gone(&topic.to_string())).unwrap();
        }
        assert_eq!(queues.push(owner_gone("one more")), Err(QueueFull));
    }
}
