//! Owners: leases in the state that keep sessions alive, renewed by a terminal, a page or a stream.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

use crate::bindings::state::Lifetime;
use crate::digest::random_id;
use crate::state::{Quota, State, StateError};

/// Keys of leases.
const KEYS: &str = "owner/";

/// How many leases a tenant has.
const QUOTA: Quota = Quota {
    class: "owner",
    entries: "owners",
    keys: 1_000,
    bytes: 1 << 20,
};

/// An owner that has not renewed its lease for this long is gone.
pub const LEASE: Duration = Duration::from_secs(5);

/// How often a living owner renews.
const RENEWAL: Duration = Duration::from_millis(1_500);

/// Milliseconds since 1970 UTC.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A living owner: renews its lease until it is dropped or [`Owner::end`]ed.
///
/// Dropped without an end, the lease runs out by itself within [`LEASE`], as it does when the process is killed.
pub struct Owner {
    id: String,
    state: State,
    renewal: JoinHandle<()>,
}

impl Owner {
    /// A new owner.
    pub async fn open(state: State) -> Result<Self, StateError> {
        let id = random_id().map_err(StateError::Random)?;
        renew(&state, &id).await?;
        let (renewed, renewed_id) = (state.clone(), id.clone());
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = renew(&renewed, &renewed_id).await {
                    tracing::warn!(%error, "an owner's lease could not be renewed");
                }
            }
        });
        Ok(Self { id, state, renewal })
    }

    /// Its id, as components know it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the lease at once.
    pub async fn end(&self) -> Result<(), StateError> {
        self.renewal.abort();
        self.state.delete(&key(&self.id)).await?;
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Whether an owner's lease is alive.
pub async fn alive(state: &State, owner: &str) -> Result<bool, StateError> {
    let entry = state.get(&key(owner)).await?;
    Ok(now() < until(entry.map(|entry| entry.value)))
}

/// Removes the leases that ended. Returns how many.
pub async fn remove_ended(state: &State) -> Result<usize, StateError> {
    let mut removed = 0;
    for entry in state.list_all(KEYS).await? {
        if until(Some(entry.value)) <= now() && state.delete(&entry.key).await? {
            removed += 1;
        }
    }
    Ok(removed)
}

async fn renew(state: &State, owner: &str) -> Result<(), StateError> {
    let until = now().saturating_add(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX));
    state
        .put(
            &key(owner),
            &until.to_be_bytes(),
            None,
            Lifetime::Process,
            &QUOTA,
        )
        .await?;
    Ok(())
}

/// Until when a lease counts, in milliseconds since 1970 UTC.
fn until(value: Option<Vec<u8>>) -> u64 {
    value
        .and_then(|value| value.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

fn key(owner: &str) -> String {
    format!("{KEYS}{owner}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn ended_leases_are_removed_and_others_are_kept() {
        let state = State::open(None).await.unwrap();
        let owner = Owner::open(state.clone()).await.unwrap();
        let ended = (now() - 1).to_be_bytes();
        let gone = key("gone");
        let put = state.put(&gone, &ended, None, Lifetime::Process, &QUOTA);
        put.await.unwrap();
        assert_eq!(remove_ended(&state).await.unwrap(), 1);
        assert!(alive(&state, owner.id()).await.unwrap());
        owner.end().await.unwrap();
        assert!(!alive(&state, owner.id()).await.unwrap());
        assert_eq!(remove_ended(&state).await.unwrap(), 0);
    }
}
