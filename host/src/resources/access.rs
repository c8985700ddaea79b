//! Bearer tokens: who may come in under which scope, and as whom requests go out.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::bindings::state::Lifetime;
use crate::bindings::types::{Peer, Scope};
use crate::digest::{random, random_id, sha256};
use crate::state::{Quota, State, StateError};

/// Keys of admissions.
const ADMISSIONS: &str = "admission/";

/// How many admissions a tenant has at once.
const ADMISSION_QUOTA: Quota = Quota {
    class: "admission",
    entries: "admissions",
    keys: 1_000,
    bytes: 8 << 20,
};

/// Keys of credentials.
const CREDENTIALS: &str = "credential/";

/// How many credentials a tenant keeps; they stay as long as the process.
const CREDENTIAL_QUOTA: Quota = Quota {
    class: "credential",
    entries: "credentials",
    keys: 10_000,
    bytes: 8 << 20,
};

/// Bytes of a token's digest that name its admission: enough that no two tokens share them.
const ID_BYTES: usize = 16;

/// A peer that was let in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Its id.
    pub id: String,
    /// What it may see.
    pub scope: Arc<Scope>,
    /// The owner whose lease keeps it alive.
    pub owner: String,
    revoked: watch::Receiver<bool>,
}

impl Admission {
    /// Whether the admission is revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        *self.revoked.borrow()
    }

    /// Waits until the admission is revoked.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut revoked = self.revoked.clone();
        async move {
            // A dropped sender means that the registry is gone: the same for a stream.
            let _ = revoked.wait_for(|revoked| *revoked).await;
        }
    }
}

/// What the store keeps of an admission: never the token.
#[derive(Serialize, Deserialize)]
struct AdmissionRecord {
    token_sha256: String,
    scope: Scope,
    owner: String,
}

/// What the store keeps of a token that another site gave us.
#[derive(Serialize, Deserialize)]
struct CredentialRecord {
    base_url: String,
    secret: String,
}

/// All admissions and credentials of a tenant, kept in its state.
pub struct Access {
    state: State,
    /// How streams of this process learn that their admission is revoked.
    revocations: Mutex<HashMap<String, watch::Sender<bool>>>,
}

impl Access {
    /// The admissions and credentials in a state.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            state,
            revocations: Mutex::default(),
        }
    }

    /// Lets a peer in and returns its id and its token, which is not kept.
    pub async fn admit(
        &self,
        scope: Scope,
        owner: String,
        lifetime: Lifetime,
    ) -> Result<(String, String), StateError> {
        let token = hex::encode(random(32).map_err(StateError::Random)?);
        let digest = sha256(token.as_bytes());
        let id = admission_id(&digest);
        let record = AdmissionRecord {
            token_sha256: hex::encode(digest),
            scope,
            owner,
        };
        let key = format!("{ADMISSIONS}{id}");
        self.put(&key, &record, lifetime, &ADMISSION_QUOTA).await?;
        Ok((id, token))
    }

    /// Returns the admission that a bearer token stands for.
    pub async fn resolve(&self, token: &str) -> Result<Option<Admission>, StateError> {
        let digest = sha256(token.as_bytes());
        let id = admission_id(&digest);
        // Subscribed first, so that a revocation after the look is not missed.
        let revoked = self.subscribe(&id);
        let record: Option<AdmissionRecord> = self.get(&format!("{ADMISSIONS}{id}")).await?;
        let digest = hex::encode(digest);
        let found = record.filter(|record| {
            record
                .token_sha256
                .as_bytes()
                .ct_eq(digest.as_bytes())
                .into()
        });
        if found.is_none() {
            drop(revoked);
            self.forget_unused(&id);
            return Ok(None);
        }
        Ok(found.map(|record| Admission {
            id,
            scope: Arc::new(record.scope),
            owner: record.owner,
            revoked,
        }))
    }

    /// Ends an admission and its running streams. An unknown id is fine.
    pub async fn revoke(&self, id: &str) -> Result<(), StateError> {
        self.state.delete(&format!("{ADMISSIONS}{id}")).await?;
        if let Some(revocation) = self.revocations().remove(id) {
            revocation.send_replace(true);
        }
        Ok(())
    }

    /// Ends all admissions of an owner and returns their ids.
    pub async fn revoke_owner(&self, owner: &str) -> Result<Vec<String>, StateError> {
        let admissions = self.admissions().await?;
        let ids: Vec<String> = admissions
            .into_iter()
            .filter(|(_, record)| record.owner == owner)
            .map(|(id, _)| id)
            .collect();
        for id in &ids {
            self.revoke(id).await?;
        }
        Ok(ids)
    }

    /// Returns the owners of all admissions.
    pub async fn owners(&self) -> Result<BTreeSet<String>, StateError> {
        let admissions = self.admissions().await?;
        Ok(admissions
            .into_iter()
            .map(|(_, record)| record.owner)
            .collect())
    }

    /// Keeps a token for one peer and returns the id that stands for it.
    pub async fn keep_credential(
        &self,
        base_url: String,
        secret: String,
        lifetime: Lifetime,
    ) -> Result<String, StateError> {
        let id = random_id().map_err(StateError::Random)?;
        let record = CredentialRecord { base_url, secret };
        let key = format!("{CREDENTIALS}{id}");
        self.put(&key, &record, lifetime, &CREDENTIAL_QUOTA).await?;
        Ok(id)
    }

    /// Returns the token to send to a peer: only to the peer that it was kept for.
    pub async fn credential(&self, peer: &Peer) -> Result<Option<String>, StateError> {
        let Some(id) = &peer.credential else {
            return Ok(None);
        };
        let record: Option<CredentialRecord> = self.get(&format!("{CREDENTIALS}{id}")).await?;
        Ok(record
            .filter(|record| record.base_url == peer.base_url)
            .map(|record| record.secret))
    }

    async fn admissions(&self) -> Result<Vec<(String, AdmissionRecord)>, StateError> {
        let entries = self.state.list_all(ADMISSIONS).await?;
        let admissions = entries.into_iter().filter_map(|entry| {
            let id = entry.key.strip_prefix(ADMISSIONS)?.to_owned();
            Some((id, serde_json::from_slice(&entry.value).ok()?))
        });
        Ok(admissions.collect())
    }

    /// An entry that cannot be read is none: it opens nothing.
    async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let entry = self.state.get(key).await?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    async fn put<T: Serialize>(
        &self,
        key: &str,
        record: &T,
        lifetime: Lifetime,
        quota: &Quota,
    ) -> Result<(), StateError> {
        let value = serde_json::to_vec(record)
            .map_err(|_| StateError::Limit("an access record cannot be encoded".to_owned()))?;
        self.state.put(key, &value, None, lifetime, quota).await?;
        Ok(())
    }

    fn subscribe(&self, id: &str) -> watch::Receiver<bool> {
        let mut revocations = self.revocations();
        let sender = revocations
            .entry(id.to_owned())
            .or_insert_with(|| watch::channel(false).0);
        sender.subscribe()
    }

    /// A token that opens nothing leaves nothing behind.
    fn forget_unused(&self, id: &str) {
        let mut revocations = self.revocations();
        if revocations
            .get(id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            revocations.remove(id);
        }
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn revocations(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.revocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn admission_id(digest: &[u8; 32]) -> String {
    hex::encode(digest.get(..ID_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn everything() -> Scope {
        Scope {
            tables: vec!["*".to_owned()],
        }
    }

    async fn access() -> Access {
        Access::new(State::open(None).await.unwrap())
    }

    #[tokio::test]
    async fn a_token_opens_until_it_is_revoked() {
        let access = access().await;
        let owner = "owner".to_owned();
        let admitted = access.admit(everything(), owner, Lifetime::Process).await;
        let (id, token) = admitted.unwrap();
        let admission = access.resolve(&token).await.unwrap().unwrap();
        assert_eq!(admission.id, id);
        assert!(access.resolve("another").await.unwrap().is_none());
        access.revoke(&id).await.unwrap();
        assert!(access.resolve(&token).await.unwrap().is_none());
        admission.revoked().await;
        assert!(access.revocations().is_empty());
    }

    #[tokio::test]
    async fn an_owner_takes_its_admissions_along() {
        let access = access().await;
        for owner in ["one", "one", "other"] {
            let admitted = access
                .admit(everything(), owner.to_owned(), Lifetime::Process)
                .await;
            admitted.unwrap();
        }
        assert_eq!(access.revoke_owner("one").await.unwrap().len(), 2);
        let left: Vec<String> = access.owners().await.unwrap().into_iter().collect();
        assert_eq!(left, ["other"]);
    }

    #[tokio::test]
    async fn a_credential_goes_to_its_peer_only() {
        let access = access().await;
        let (url, secret) = ("http://a".to_owned(), "t".to_owned());
        let kept = access.keep_credential(url, secret, Lifetime::Process).await;
        let id = kept.unwrap();
        let peer = |base_url: &str| Peer {
            base_url: base_url.to_owned(),
            credential: Some(id.clone()),
        };
        let sent = access.credential(&peer("http://a")).await.unwrap();
        assert_eq!(sent.as_deref(), Some("t"));
        assert_eq!(access.credential(&peer("http://b")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_durable_survives_and_holds_no_token_that_we_gave() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.sqlite");
        let access = Access::new(State::open(Some(&file)).await.unwrap());
        let owner = "owner".to_owned();
        let admitted = access.admit(everything(), owner, Lifetime::Durable).await;
        let (id, token) = admitted.unwrap();
        let again = Access::new(State::open(Some(&file)).await.unwrap());
        assert_eq!(again.resolve(&token).await.unwrap().unwrap().id, id);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let found = bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes());
            assert!(!found);
        }
    }

    #[tokio::test]
    async fn admissions_and_credentials_are_counted() {
        let access = access().await;
        let admit = async || {
            access
                .admit(everything(), "owner".to_owned(), Lifetime::Process)
                .await
        };
        let (first, _) = admit().await.unwrap();
        for _ in 1..ADMISSION_QUOTA.keys {
            admit().await.unwrap();
        }
        let refused = admit().await.unwrap_err().to_string();
        assert!(refused.contains("1000 admissions"), "{refused}");
        access.revoke(&first).await.unwrap();
        admit().await.unwrap();

        let keep = async || {
            let (url, secret) = ("http://a".to_owned(), "x".repeat(4_096));
            access.keep_credential(url, secret, Lifetime::Process).await
        };
        let mut kept = 0;
        let refused = loop {
            match keep().await {
                Ok(_) => kept += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert!(kept > 1_000 && kept < 2_048, "{kept}");
        assert!(refused.contains("8388608 bytes"), "{refused}");
    }
}
