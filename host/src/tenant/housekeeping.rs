//! Removes what owners, peers, sessions and runs left behind.

use std::sync::Arc;
use std::time::Duration;

use super::events::EventQueues;
use crate::bindings::events::Event;
use crate::resources::Resources;
use crate::state::StateError;

/// How often owners, snapshots and topics are looked through.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long the events of a run or session stay readable after the last one. The standard engine keeps ended sessions
/// and runs as long.
pub const RETENTION: Duration = Duration::from_secs(60 * 60);

/// Works until it is dropped.
pub async fn keep_house(resources: Arc<Resources>, events: Arc<EventQueues>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        resources.snapshots().sweep();
        resources.run_events().remove_old(RETENTION);
        let dropped = resources.log().take_dropped();
        if dropped > 0 {
            tracing::warn!("{dropped} messages of the engine were dropped: it logs too much");
        }
        if let Err(error) = end_owners(&resources, &events).await {
            tracing::warn!(%error, "the leases of owners could not be read");
        }
    }
}

/// Ends the admissions of owners whose lease is over, and tells the engine.
async fn end_owners(resources: &Resources, events: &EventQueues) -> Result<(), StateError> {
    for owner in resources.access().owners().await? {
        if !resources.owner_alive(&owner).await? {
            resources.revoke_owner(&owner).await?;
            events.push_when_free(Event::OwnerGone(owner)).await;
        }
    }
    resources.remove_ended_owners().await
}
