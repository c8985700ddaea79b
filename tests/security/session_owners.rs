//! Sessions through the library: they live as long as their owners, their time, and nobody deletes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tombolo::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use tombolo::bindings::types::Scope;
use tombolo::database::open;
use tombolo::owner::Owner;
use tombolo::sandbox::{Limits, Sandbox};
use tombolo::server::Server;
use tombolo::tenant::{GrantedDatabase, Patterns, Tenant};

use super::sessions::one_table;
use crate::support::block_on;
use crate::support::peer::{self, Answer, claim, token};
use crate::support::site::Site;

/// A site in this process: a tenant, its server, an owner, and one session.
struct Library {
    tenant: Arc<Tenant>,
    server: Server,
    owner: Owner,
    session: Session,
}

impl Library {
    async fn share(source: &str, expires_in: Duration) -> Self {
        let database = open(&source.parse().unwrap(), false).await.unwrap();
        let granted = GrantedDatabase::new(
            database.into(),
            Patterns::all().unwrap(),
            Patterns::new(&[]).unwrap(),
        );
        let tenant = Tenant::builder(Sandbox::new(Limits::default()).unwrap())
            .database("main", granted)
            .open()
            .await
            .unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Arc::clone(&tenant), address, false)
            .await
            .unwrap();
        let owner = tenant.open_owner().await.unwrap();
        let request = ShareRequest {
            direction: Direction::Send,
            database: "main".to_owned(),
            scope: Scope {
                tables: vec!["*".to_owned()],
            },
            owner: owner.id().to_owned(),
            expires_in: u64::try_from(expires_in.as_millis()).unwrap(),
        };
        let session = tenant.create_session(&request).await.unwrap();
        assert_eq!(session.state, SessionState::Pending);
        Self {
            tenant,
            server,
            owner,
            session,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Claims, from a thread of its own: the client blocks.
    async fn claim(&self, secret: &'static str) -> Answer {
        let (url, code) = (self.url(), self.session.code.clone());
        tokio::task::spawn_blocking(move || claim(&url, &code, secret))
            .await
            .unwrap()
    }

    async fn tables(&self, token: &str) -> Answer {
        let (url, token) = (self.url(), token.to_owned());
        tokio::task::spawn_blocking(move || peer::tables(&url, &token))
            .await
            .unwrap()
    }

    async fn state(&self) -> SessionState {
        self.tenant.session(&self.session.code).await.unwrap().state
    }
}

#[test]
fn a_session_whose_owner_is_gone_is_dead_within_ten_seconds() {
    let site = Site::new();
    let source = one_table(&site);
    block_on(async {
        let claimed = Library::share(&source, Duration::from_secs(600)).await;
        let token = token(&claimed.claim("a secret").await);
        assert_eq!(claimed.tables(&token).await.status, 200);
        assert_eq!(claimed.state().await, SessionState::Claimed);
        let unclaimed = Library::share(&source, Duration::from_secs(600)).await;

        // As with a process that was killed: nobody renews the leases any more.
        let Library {
            tenant,
            server,
            owner,
            session,
        } = claimed;
        drop(owner);
        let Library {
            tenant: other_tenant,
            server: other_server,
            owner: other_owner,
            session: other_session,
        } = unclaimed;
        drop(other_owner);
        let gone = Instant::now();
        let url = format!("http://{}", server.address());
        let other_url = format!("http://{}", other_server.address());
        let orphaned = async {
            loop {
                let answer = {
                    let (url, token) = (url.clone(), token.clone());
                    tokio::task::spawn_blocking(move || peer::tables(&url, &token))
                        .await
                        .unwrap()
                };
                let one = tenant.session(&session.code).await.unwrap().state;
                let other = other_tenant
                    .session(&other_session.code)
                    .await
                    .unwrap()
                    .state;
                if answer.status != 200
                    && one == SessionState::Orphaned
                    && other == SessionState::Orphaned
                {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let dead = tokio::time::timeout(Duration::from_secs(10), orphaned).await;
        let dead = dead.expect("both sessions are dead within 10 s");
        assert_eq!(dead.error(), "unauthorized");
        assert!(
            gone.elapsed() > Duration::from_secs(2),
            "a lease is not lost at once"
        );

        let claims = tokio::task::spawn_blocking(move || {
            let same = claim(&url, &session.code, "a secret");
            let first = claim(&other_url, &other_session.code, "a secret");
            (same, first)
        });
        let (same, first) = claims.await.unwrap();
        assert_eq!(same.error(), "owner-gone");
        assert_eq!(first.error(), "owner-gone");
    });
}

#[test]
fn an_owner_that_lives_keeps_its_session() {
    let site = Site::new();
    let source = one_table(&site);
    block_on(async {
        let library = Library::share(&source, Duration::from_secs(600)).await;
        let token = token(&library.claim("a secret").await);
        // Longer than a lease.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(library.tables(&token).await.status, 200);
        library.owner.end().await.unwrap();
        let ended = library.tables(&token).await;
        assert_eq!(ended.error(), "unauthorized", "an end is an end at once");
        assert_eq!(library.claim("a secret").await.error(), "owner-gone");
    });
}

#[test]
fn a_code_whose_time_is_over() {
    let site = Site::new();
    let source = one_table(&site);
    block_on(async {
        let library = Library::share(&source, Duration::from_millis(500)).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(library.claim("a secret").await.error(), "expired");
        assert_eq!(library.state().await, SessionState::Expired);
    });
}

#[test]
fn a_deleted_session_is_over() {
    let site = Site::new();
    let source = one_table(&site);
    block_on(async {
        let library = Library::share(&source, Duration::from_secs(600)).await;
        let code = library.session.code.clone();
        let token = token(&library.claim("a secret").await);
        assert_eq!(library.tables(&token).await.status, 200);
        let listed = library.tenant.list_sessions().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].claimer.as_deref(), Some("a test"));

        assert!(library.tenant.delete_session(&code).await.unwrap());
        let dead = library.tables(&token).await;
        assert_eq!(dead.error(), "unauthorized");
        assert_eq!(library.claim("a secret").await.error(), "no-such-code");
        assert_eq!(
            library.tenant.session(&code).await.unwrap_err().code,
            "no-such-code"
        );
        assert!(library.tenant.list_sessions().await.unwrap().is_empty());
        assert!(
            !library.tenant.delete_session(&code).await.unwrap(),
            "there is none any more"
        );
    });
}
