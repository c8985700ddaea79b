//! What peers may use of the server at a time: calls, row streams, bodies that arrive, and bytes that wait to be sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};

/// How long a request waits for a call or for bytes of its body.
const WAIT: Duration = Duration::from_secs(5);

/// How long a request waits for a row stream. All waits together are shorter than a receiver waits for an answer.
const STREAM_WAIT: Duration = Duration::from_secs(8);

/// How long bytes wait for room. Longer than a write may stall: what peers do not read goes before others give up.
const BUFFER_WAIT: Duration = Duration::from_secs(45);

/// What somebody may have at a time.
#[derive(Clone, Copy, Debug)]
struct Amounts {
    /// Calls of the engine.
    calls: usize,
    /// Row streams.
    streams: usize,
    /// Bytes of request bodies.
    body_bytes: usize,
    /// Bytes that wait to be sent.
    sent_bytes: usize,
}

/// The peers of one owner, whatever the number of its tokens.
const OF_OWNER: Amounts = Amounts {
    calls: 8,
    streams: 8,
    body_bytes: 2 << 20,
    sent_bytes: 32 << 20,
};

/// All requests without a valid token. A body has at most 4 KiB, so that each connection can send one.
const OF_STRANGERS: Amounts = Amounts {
    calls: 32,
    streams: 0,
    body_bytes: 8 << 20,
    sent_bytes: 8 << 20,
};

/// All requests with a valid token. The engine has more slots than that: the rest is for claims.
const OF_ALL: Amounts = Amounts {
    calls: 32,
    streams: 32,
    body_bytes: 8 << 20,
    sent_bytes: 64 << 20,
};

/// Everything of a kind is in use, and did not get free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Calls.
    #[error("too many requests are answered at the same time")]
    Calls,
    /// Row streams.
    #[error("too many tables are sent at the same time")]
    Streams,
    /// Bytes of bodies.
    #[error("too many request bodies arrive at the same time")]
    Bodies,
    /// Bytes to send.
    #[error("too much is waiting to be read by the receivers")]
    Buffer,
}

impl From<Exhausted> for Failure {
    fn from(exhausted: Exhausted) -> Self {
        failure(
            ErrorCode::Limit,
            exhausted.to_string(),
            "try again when others have ended",
        )
    }
}

struct Share {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
    sent_bytes: Arc<Semaphore>,
    amounts: Amounts,
}

impl Share {
    fn new(amounts: Amounts) -> Arc<Self> {
        let permits = |number| Arc::new(Semaphore::new(number));
        Arc::new(Self {
            calls: permits(amounts.calls),
            streams: permits(amounts.streams),
            body_bytes: permits(amounts.body_bytes),
            sent_bytes: permits(amounts.sent_bytes),
            amounts,
        })
    }
}

/// What is in use until it is dropped.
pub struct Permits {
    own: OwnedSemaphorePermit,
    /// Of what all have together.
    all: Option<OwnedSemaphorePermit>,
    /// So that an owner's share is kept as long as something of it is in use.
    _share: Arc<Share>,
}

impl Permits {
    /// Gives back all but so much.
    fn keep(&mut self, amount: usize) {
        for permit in [Some(&mut self.own), self.all.as_mut()]
            .into_iter()
            .flatten()
        {
            drop(permit.split(permit.num_permits().saturating_sub(amount)));
        }
    }
}

/// The budget of a server.
pub struct Budget {
    strangers: Arc<Share>,
    all: Arc<Share>,
    owners: Mutex<HashMap<String, Arc<Share>>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            strangers: Share::new(OF_STRANGERS),
            all: Share::new(OF_ALL),
            owners: Mutex::default(),
        }
    }
}

impl Budget {
    /// What the peers of an owner may use; without an owner, what all requests without a valid token may.
    pub fn of(&self, owner: Option<&str>) -> OwnBudget {
        let Some(owner) = owner else {
            return OwnBudget {
                own: Arc::clone(&self.strangers),
                all: None,
            };
        };
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if !owners.contains_key(owner) {
            // A share that is not in use is as good as a new one.
            owners.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let own = owners
            .entry(owner.to_owned())
            .or_insert_with(|| Share::new(OF_OWNER));
        OwnBudget {
            own: Arc::clone(own),
            all: Some(Arc::clone(&self.all)),
        }
    }
}

/// The budget of an owner's peers, or of strangers.
#[derive(Clone)]
pub struct OwnBudget {
    own: Arc<Share>,
    all: Option<Arc<Share>>,
}

impl OwnBudget {
    /// Waits for a call of the engine.
    pub async fn call(&self) -> Result<Permits, Exhausted> {
        let call = self.take(|share| (&share.calls, share.amounts.calls), 1, WAIT);
        call.await.ok_or(Exhausted::Calls)
    }

    /// Waits for a row stream.
    pub async fn stream(&self) -> Result<Permits, Exhausted> {
        let stream = self.take(
            |share| (&share.streams, share.amounts.streams),
            1,
            STREAM_WAIT,
        );
        stream.await.ok_or(Exhausted::Streams)
    }

    /// Waits for so many bytes of a body.
    pub async fn body(&self, bytes: usize) -> Result<Permits, Exhausted> {
        let body = self.take(
            |share| (&share.body_bytes, share.amounts.body_bytes),
            bytes,
            WAIT,
        );
        body.await.ok_or(Exhausted::Bodies)
    }

    /// Waits for room for about so many bytes that are to be sent; what is larger than all room takes all of it.
    pub async fn room(&self, bytes: usize) -> Result<Room, Exhausted> {
        let room = self.take(
            |share| (&share.sent_bytes, share.amounts.sent_bytes),
            bytes,
            BUFFER_WAIT,
        );
        room.await.map(Room).ok_or(Exhausted::Buffer)
    }

    /// Takes an amount, first of the own share, so that an owner that waits for itself takes nothing from others.
    async fn take(
        &self,
        of: impl Fn(&Share) -> (&Arc<Semaphore>, usize),
        amount: usize,
        wait: Duration,
    ) -> Option<Permits> {
        let permits = |share: &Share| {
            let (semaphore, most) = of(share);
            let amount = u32::try_from(amount.min(most)).unwrap_or(u32::MAX);
            Arc::clone(semaphore).acquire_many_owned(amount)
        };
        let taken = async {
            let own = permits(&self.own).await.ok()?;
            let all = match &self.all {
                Some(all) => Some(permits(all).await.ok()?),
                None => None,
            };
            Some(Permits {
                own,
                all,
                _share: Arc::clone(&self.own),
            })
        };
        tokio::time::timeout(wait, taken).await.ok().flatten()
    }
}

/// Room for bytes that wait to be sent.
pub struct Room(Permits);

impl Room {
    /// Keeps the room until the bytes are sent or dropped.
    pub fn fill(mut self, bytes: Bytes) -> Bytes {
        self.0.keep(bytes.len());
        Bytes::from_owner(Held {
            bytes,
            _room: self.0,
        })
    }
}

/// Bytes with the room that they take.
struct Held {
    bytes: Bytes,
    _room: Permits,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Whether an owner's peer finds no place for a stream for the time being.
    async fn waits(budget: &Budget, owner: &str) -> bool {
        let own = budget.of(Some(owner));
        let waited = tokio::time::timeout(Duration::from_millis(20), own.stream()).await;
        waited.is_err()
    }

    #[tokio::test]
    async fn an_owner_has_so_many_streams_and_others_have_their_own() {
        let budget = Budget::default();
        let mut streams = Vec::new();
        for _ in 0..OF_OWNER.streams {
            streams.push(budget.of(Some("ana")).stream().await.unwrap());
        }
        assert!(waits(&budget, "ana").await);
        assert!(budget.of(Some("bo")).stream().await.is_ok());
        streams.pop();
        assert!(budget.of(Some("ana")).stream().await.is_ok());
        drop(streams);
        let _ = budget.of(Some("cy"));
        assert_eq!(budget.owners.lock().unwrap().len(), 1, "unused ones go");
    }

    #[tokio::test]
    async fn all_owners_together_have_so_many_streams() {
        let budget = Budget::default();
        let mut streams = Vec::new();
        for owner in 0..OF_ALL.streams {
            let owner = budget.of(Some(&(owner / 4).to_string()));
            streams.push(owner.stream().await.unwrap());
        }
        assert!(waits(&budget, "one more").await);
    }

    #[tokio::test]
    async fn bytes_are_counted_until_they_are_dropped() {
        let budget = Budget::default();
        let own = budget.of(Some("ana"));
        let room = own.room(OF_OWNER.sent_bytes * 2).await.unwrap();
        assert_eq!(own.own.sent_bytes.available_permits(), 0);
        let sent = room.fill(Bytes::from(vec![7; 1_000]));
        let rest = OF_OWNER.sent_bytes - 1_000;
        assert_eq!(own.own.sent_bytes.available_permits(), rest);
        assert_eq!(sent.len(), 1_000);
        let part = sent.slice(990..);
        drop(sent);
        assert_eq!(own.own.sent_bytes.available_permits(), rest);
        drop(part);
        assert_eq!(own.own.sent_bytes.available_permits(), OF_OWNER.sent_bytes);
        assert_eq!(budget.all.sent_bytes.available_permits(), OF_ALL.sent_bytes);
    }
}
