//! The connections that are open: how many an address may have, which one makes room, and the slots for valid tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::address::PeerAddress;

/// How many connections may be open, and how long they may make no progress.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Those without a valid token.
    pub strangers: usize,
    /// Of these, those of one address.
    pub of_address: usize,
    /// Those with a valid token, which nobody else can take.
    pub trusted: usize,
    /// Of these, those of one owner's peers.
    pub of_owner: usize,
    /// How long a write to a peer may make no progress.
    pub stall: Duration,
    /// The same for a row stream: a receiver does not read while its database applies a chunk.
    pub stream_stall: Duration,
}

impl ConnectionLimits {
    /// What is open at most if the system allows it. One address may have 1 024: hundreds of peers can share an address,
    /// and each of them opens a few connections. Those that wait for a request make room for newer ones.
    pub(super) const MOST: Self = Self {
        strangers: 1_536,
        of_address: 1_024,
        trusted: 512,
        of_owner: 64,
        stall: Duration::from_secs(20),
        stream_stall: Duration::from_secs(30),
    };

    /// As many as the system allows: half of the file descriptors stay free for databases.
    pub fn of_system() -> Self {
        let connections = descriptors().map_or(usize::MAX, |descriptors| descriptors / 2);
        let most = Self::MOST;
        let (all, wanted) = (connections.max(8), most.strangers + most.trusted);
        let part = |limit: usize| match all < wanted {
            true => (limit * all / wanted).max(2),
            false => limit,
        };
        Self {
            strangers: part(most.strangers),
            of_address: part(most.of_address),
            trusted: part(most.trusted),
            of_owner: part(most.of_owner),
            ..most
        }
    }
}

/// How many files this process may have open.
#[cfg(unix)]
fn descriptors() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.and_then(|limit| usize::try_from(limit).ok())
}

/// On this system, nothing says how many files a process may have open.
#[cfg(not(unix))]
fn descriptors() -> Option<usize> {
    None
}

/// All open connections of a server.
pub struct Connections {
    limits: ConnectionLimits,
    state: Mutex<State>,
    closed: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the next connection, or of the next time that one begins to wait.
    next: u64,
    open: HashMap<u64, Entry>,
    strangers: HashMap<PeerAddress, OfAddress>,
    stranger_count: usize,
    /// By owner: connections with a valid token.
    owners: HashMap<String, usize>,
    trusted_count: usize,
}

struct Entry {
    address: PeerAddress,
    counted: Counted,
    /// Since when it waits for a request or its body, as a number; none while a request is answered.
    waiting: Option<u64>,
    evicted: Arc<Notify>,
}

/// Which limit a connection counts for.
#[derive(PartialEq, Eq)]
enum Counted {
    Stranger,
    Owner(String),
    /// It made room and is about to close.
    Evicted,
}

/// The connections of an address that presented no valid token.
#[derive(Default)]
struct OfAddress {
    count: usize,
    /// Those that wait for a request, the longest first.
    waiting: BTreeMap<u64, u64>,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// Takes a new connection in. Where a limit is reached, the one without a token that has waited longest for a request
    /// makes room; returns none if none waits.
    pub fn admit(self: &Arc<Self>, address: PeerAddress) -> Option<Arc<Connection>> {
        let mut state = self.state();
        let of_address = state.strangers.get(&address).map_or(0, |one| one.count);
        if of_address >= self.limits.of_address {
            state.evict_longest_waiting(address).then_some(())?;
        } else if state.stranger_count >= self.limits.strangers {
            state.evict_of_fullest().then_some(())?;
        }
        let id = state.number();
        let evicted = Arc::new(Notify::new());
        state.open.insert(
            id,
            Entry {
                address,
                counted: Counted::Stranger,
                waiting: None,
                evicted: Arc::clone(&evicted),
            },
        );
        state.add_stranger(address);
        state.begin_to_wait(id);
        drop(state);
        Some(Arc::new(Connection {
            id,
            address,
            evicted,
            connections: Arc::clone(self),
            requests: AtomicU64::new(0),
            in_request: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
        }))
    }

    /// Closes a connection that waits for a request, where the system has no file descriptor left.
    pub fn make_room(&self) {
        self.state().evict_of_fullest();
    }

    /// Waits until all are closed.
    pub async fn all_closed(&self) {
        loop {
            let mut closed = std::pin::pin!(self.closed.notified());
            closed.as_mut().enable();
            if self.state().open.is_empty() {
                return;
            }
            closed.await;
        }
    }

    /// Each change leaves a whole state, so a poisoned lock still guards one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn add_stranger(&mut self, address: PeerAddress) {
        self.strangers.entry(address).or_default().count += 1;
        self.stranger_count += 1;
    }

    fn remove_stranger(&mut self, address: PeerAddress) {
        self.stranger_count -= 1;
        if let Some(of_address) = self.strangers.get_mut(&address) {
            of_address.count -= 1;
            if of_address.count == 0 {
                self.strangers.remove(&address);
            }
        }
    }

    fn remove_trusted(&mut self, owner: &str) {
        self.trusted_count -= 1;
        if let Some(count) = self.owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
    }

    fn begin_to_wait(&mut self, id: u64) {
        let number = self.number();
        if let Some(entry) = self.open.get_mut(&id)
            && entry.waiting.is_none()
        {
            entry.waiting = Some(number);
            if entry.counted == Counted::Stranger
                && let Some(of_address) = self.strangers.get_mut(&entry.address)
            {
                of_address.waiting.insert(number, id);
            }
        }
    }

    fn end_waiting(&mut self, id: u64) {
        if let Some(entry) = self.open.get_mut(&id)
            && let Some(number) = entry.waiting.take()
            && let Some(of_address) = self.strangers.get_mut(&entry.address)
        {
            of_address.waiting.remove(&number);
        }
    }

    /// Returns false if none of the address waits.
    fn evict_longest_waiting(&mut self, address: PeerAddress) -> bool {
        let of_address = self.strangers.get_mut(&address);
        let Some((_, id)) = of_address.and_then(|one| one.waiting.pop_first()) else {
            return false;
        };
        if let Some(entry) = self.open.get_mut(&id) {
            entry.counted = Counted::Evicted;
            entry.waiting = None;
            entry.evicted.notify_one();
        }
        self.remove_stranger(address);
        true
    }

    /// Of the addresses with one that waits, the one with the most connections makes room.
    fn evict_of_fullest(&mut self) -> bool {
        let waiting = self
            .strangers
            .iter()
            .filter(|(_, one)| !one.waiting.is_empty());
        let fullest = waiting.max_by_key(|(_, one)| one.count);
        match fullest.map(|(address, _)| *address) {
            Some(address) => self.evict_longest_waiting(address),
            None => false,
        }
    }
}

/// One open connection; closed when the last of its parts is dropped.
pub struct Connection {
    id: u64,
    address: PeerAddress,
    evicted: Arc<Notify>,
    connections: Arc<Connections>,
    requests: AtomicU64,
    in_request: AtomicBool,
    streaming: AtomicBool,
}

impl Connection {
    /// Returns where it comes from.
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// Waits until it has to make room.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Closes it, whatever it does.
    pub fn close(&self) {
        self.evicted.notify_one();
    }

    /// Says that the head of a request has arrived.
    pub fn begin_request(self: &Arc<Self>) -> InRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_request.store(true, Ordering::Relaxed);
        InRequest(Arc::clone(self))
    }

    /// Returns how many requests began, and whether the last one is not answered yet.
    pub fn requests(&self) -> (u64, bool) {
        let requests = self.requests.load(Ordering::Relaxed);
        (requests, self.in_request.load(Ordering::Relaxed))
    }

    /// Says that it presented a valid token of this owner, or none. Where all slots for tokens are taken, it counts as one
    /// without.
    pub fn present(&self, owner: Option<&str>) {
        let mut state = self.connections.state();
        let Some(entry) = state.open.get_mut(&self.id) else {
            return;
        };
        match (&entry.counted, owner) {
            (Counted::Evicted, _) | (Counted::Stranger, None) => return,
            (Counted::Owner(counted), Some(owner)) if counted == owner => return,
            _ => {}
        }
        let waited = entry.waiting.is_some();
        state.end_waiting(self.id);
        state.uncount(self.id);
        let limits = self.connections.limits;
        let trusted = owner.filter(|owner| {
            let of_owner = state.owners.get(*owner).copied().unwrap_or(0);
            state.trusted_count < limits.trusted && of_owner < limits.of_owner
        });
        let counted = match trusted {
            Some(owner) => {
                *state.owners.entry(owner.to_owned()).or_default() += 1;
                state.trusted_count += 1;
                Counted::Owner(owner.to_owned())
            }
            None => {
                state.add_stranger(self.address);
                Counted::Stranger
            }
        };
        if let Some(entry) = state.open.get_mut(&self.id) {
            entry.counted = counted;
        }
        if waited {
            state.begin_to_wait(self.id);
        }
    }

    /// Whether its last request had no valid token.
    pub fn is_stranger(&self) -> bool {
        let state = self.connections.state();
        let entry = state.open.get(&self.id);
        entry.is_none_or(|entry| !matches!(entry.counted, Counted::Owner(_)))
    }

    /// Says that the answer is a row stream, or not.
    pub fn set_streaming(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::Relaxed);
    }

    /// How long a write may make no progress.
    pub fn stall_limit(&self) -> Duration {
        match self.streaming.load(Ordering::Relaxed) {
            true => self.connections.limits.stream_stall,
            false => self.connections.limits.stall,
        }
    }
}

impl State {
    /// Takes a connection out of the counts.
    fn uncount(&mut self, id: u64) {
        let Some(entry) = self.open.get_mut(&id) else {
            return;
        };
        let address = entry.address;
        match std::mem::replace(&mut entry.counted, Counted::Evicted) {
            Counted::Stranger => self.remove_stranger(address),
            Counted::Owner(owner) => self.remove_trusted(&owner),
            Counted::Evicted => {}
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.connections.state();
        state.end_waiting(self.id);
        state.uncount(self.id);
        state.open.remove(&self.id);
        if state.open.is_empty() {
            self.connections.closed.notify_waiters();
        }
    }
}

/// A request whose head has arrived. Dropped, the connection waits for the next one.
pub struct InRequest(Arc<Connection>);

impl InRequest {
    /// Returns the connection that it came on.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.0
    }

    /// Says that the whole request has arrived: the connection is not closed for others until this is dropped.
    pub fn arrived(&self) {
        self.0.connections.state().end_waiting(self.0.id);
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.in_request.store(false, Ordering::Relaxed);
        self.0.connections.state().begin_to_wait(self.0.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::net::IpAddr;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        strangers: 6,
        of_address: 4,
        trusted: 2,
        of_owner: 1,
        ..ConnectionLimits::MOST
    };

    fn address(last: u8) -> PeerAddress {
        IpAddr::from([127, 0, 0, last]).into()
    }

    fn is_evicted(connection: &Connection) -> bool {
        let evicted = std::pin::pin!(connection.evicted());
        futures::FutureExt::now_or_never(evicted).is_some()
    }

    #[test]
    fn the_one_that_waits_longest_makes_room_at_its_own_address() {
        let connections = Connections::new(LIMITS);
        let other = connections.admit(address(2)).unwrap();
        let silent: Vec<_> = (0..4)
            .map(|_| connections.admit(address(1)).unwrap())
            .collect();
        // It has sent a request, and waits again since then.
        silent[0].begin_request().arrived();
        let newest = connections.admit(address(1)).unwrap();
        assert!(is_evicted(&silent[1]));
        for kept in [&silent[0], &silent[2], &silent[3], &other, &newest] {
            assert!(!is_evicted(kept));
        }
    }

    #[test]
    fn in_all_the_fullest_address_makes_room() {
        let connections = Connections::new(LIMITS);
        let first = connections.admit(address(9)).unwrap();
        let crowd: Vec<_> = [1, 1, 1, 2, 2]
            .map(|last| connections.admit(address(last)).unwrap())
            .into();
        let newest = connections.admit(address(3)).unwrap();
        assert!(is_evicted(&crowd[0]) && !is_evicted(&first) && !is_evicted(&newest));
    }

    #[test]
    fn a_request_that_is_answered_is_not_closed_for_others() {
        let connections = Connections::new(LIMITS);
        let busy: Vec<_> = (0..4)
            .map(|_| connections.admit(address(1)).unwrap())
            .collect();
        let mut answering: Vec<_> = busy.iter().map(Connection::begin_request).collect();
        answering.iter().for_each(InRequest::arrived);
        assert!(connections.admit(address(1)).is_none());
        assert!(connections.admit(address(2)).is_some());
        answering.pop();
        assert!(connections.admit(address(1)).is_some());
        assert!(is_evicted(&busy[3]));
    }

    #[test]
    fn valid_tokens_have_slots_of_their_own() {
        let connections = Connections::new(LIMITS);
        let trusted = connections.admit(address(1)).unwrap();
        trusted.present(Some("ana"));
        let second = connections.admit(address(1)).unwrap();
        second.present(Some("ana"));
        assert!(!trusted.is_stranger() && second.is_stranger());
        // It waits longest, but only strangers make room.
        let crowd: Vec<_> = (0..20).map(|_| connections.admit(address(1))).collect();
        assert!(crowd.iter().all(Option::is_some));
        assert!(!is_evicted(&trusted) && is_evicted(&second));
        trusted.present(None);
        assert!(trusted.is_stranger());
        assert!(connections.state().owners.is_empty());
    }

    #[test]
    fn all_owners_together_have_so_many_slots() {
        let connections = Connections::new(LIMITS);
        let open: Vec<_> = ["ana", "bo", "cy"]
            .into_iter()
            .map(|owner| {
                let connection = connections.admit(address(1)).unwrap();
                connection.present(Some(owner));
                connection
            })
            .collect();
        let strangers: Vec<bool> = open.iter().map(|one| one.is_stranger()).collect();
        assert_eq!(strangers, [false, false, true]);
    }

    #[test]
    fn a_write_of_a_server_may_stall_for_so_long() {
        let connections = Connections::new(ConnectionLimits::of_system());
        let connection = connections.admit(address(1)).unwrap();
        assert_eq!(connection.stall_limit(), Duration::from_secs(20));
        connection.set_streaming(true);
        assert_eq!(connection.stall_limit(), Duration::from_secs(30));
        connection.set_streaming(false);
        assert_eq!(connection.stall_limit(), Duration::from_secs(20));
    }

    #[tokio::test]
    async fn nothing_is_left_of_closed_connections() {
        let connections = Connections::new(LIMITS);
        let open: Vec<_> = (0..9)
            .filter_map(|last| connections.admit(address(last % 3)))
            .collect();
        open[0].present(Some("ana"));
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.all_closed().await }
        });
        tokio::task::yield_now().await;
        drop(open);
        let closed = tokio::time::timeout(Duration::from_secs(5), waiting);
        closed.await.unwrap().unwrap();
        let state = connections.state();
        assert!(state.open.is_empty() && state.strangers.is_empty() && state.owners.is_empty());
        assert_eq!((state.stranger_count, state.trusted_count), (0, 0));
    }
}
