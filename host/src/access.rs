//! Who may come in, and as whom we go out: bearer tokens, which exist nowhere else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::bindings::types::{Peer, Scope};
use crate::digest::{hex, random, random_id, sha256};

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
    /// Waits until the admission is revoked.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut revoked = self.revoked.clone();
        async move {
            // A dropped sender means that the whole registry is gone: the same for a stream.
            let _ = revoked.wait_for(|revoked| *revoked).await;
        }
    }
}

#[derive(Debug)]
struct Issued {
    admission: Admission,
    revoke: watch::Sender<bool>,
}

#[derive(Debug)]
struct Credential {
    base_url: String,
    secret: String,
}

/// All admissions and credentials of a tenant. Tokens are kept as SHA-256; looking a token up by its digest takes
/// the same time whatever the token has in common with a valid one.
#[derive(Debug, Default)]
pub struct Access {
    issued: Mutex<HashMap<[u8; 32], Issued>>,
    credentials: Mutex<HashMap<String, Credential>>,
}

impl Access {
    /// Lets a peer in and gives its token, which is not kept.
    pub fn admit(&self, scope: Scope, owner: String) -> std::io::Result<(Admission, String)> {
        let token = hex(&random(32)?);
        let (revoke, revoked) = watch::channel(false);
        let admission = Admission {
            id: random_id()?,
            scope: Arc::new(scope),
            owner,
            revoked,
        };
        let issued = Issued {
            admission: admission.clone(),
            revoke,
        };
        lock(&self.issued).insert(sha256(token.as_bytes()), issued);
        Ok((admission, token))
    }

    /// The admission a bearer token stands for.
    pub fn resolve(&self, token: &str) -> Option<Admission> {
        lock(&self.issued)
            .get(&sha256(token.as_bytes()))
            .map(|issued| issued.admission.clone())
    }

    /// Ends an admission, its running streams included.
    pub fn revoke(&self, id: &str) {
        lock(&self.issued).retain(|_, issued| {
            let ended = issued.admission.id == id;
            if ended {
                issued.revoke.send_replace(true);
            }
            !ended
        });
    }

    /// Ends all admissions of an owner and gives their ids.
    pub fn revoke_owner(&self, owner: &str) -> Vec<String> {
        let ids: Vec<String> = lock(&self.issued)
            .values()
            .filter(|issued| issued.admission.owner == owner)
            .map(|issued| issued.admission.id.clone())
            .collect();
        for id in &ids {
            self.revoke(id);
        }
        ids
    }

    /// The owners of all admissions.
    pub fn owners(&self) -> BTreeSet<String> {
        lock(&self.issued)
            .values()
            .map(|issued| issued.admission.owner.clone())
            .collect()
    }

    /// Keeps a token for one peer and gives the id that stands for it.
    pub fn keep_credential(&self, base_url: String, secret: String) -> std::io::Result<String> {
        let id = random_id()?;
        lock(&self.credentials).insert(id.clone(), Credential { base_url, secret });
        Ok(id)
    }

    /// The token to send to a peer: only to the peer it was kept for.
    pub fn credential(&self, peer: &Peer) -> Option<String> {
        let id = peer.credential.as_ref()?;
        lock(&self.credentials)
            .get(id)
            .filter(|credential| credential.base_url == peer.base_url)
            .map(|credential| credential.secret.clone())
    }
}

/// The maps are changed by single calls that cannot fail half-way, so a poisoned lock still guards a whole map.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_token_opens_until_it_is_revoked() {
        let access = Access::default();
        let scope = Scope {
            tables: vec!["*".to_owned()],
        };
        let (admission, token) = access.admit(scope, "owner".to_owned()).unwrap();
        assert_eq!(access.resolve(&token).unwrap().id, admission.id);
        assert!(access.resolve("another").is_none());
        access.revoke(&admission.id);
        assert!(access.resolve(&token).is_none());
        admission.revoked().await;
    }

    #[test]
    fn a_credential_goes_to_its_peer_only() {
        let access = Access::default();
        let id = access
            .keep_credential("http://a".to_owned(), "t".to_owned())
            .unwrap();
        let peer = |base_url: &str| Peer {
            base_url: base_url.to_owned(),
            credential: Some(id.clone()),
        };
        assert_eq!(access.credential(&peer("http://a")).as_deref(), Some("t"));
        assert_eq!(access.credential(&peer("http://b")), None);
    }
}
