//! Sessions end with their owner's lease, at their expiry, and when they are deleted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tombolo::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use tombolo::bindings::types::Scope;
use tombolo::database::open;
use tombolo::host::Host;
use tombolo::resources::{GrantedDatabase, Owner, Patterns};
use tombolo::sandbox::{Limits, Sandbox};
use tombolo::server::Server;
use tombolo::tenant::Tenant;

use crate::support::block_on;
use crate::support::http::{self, Answer, claim, token};
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;

/// A site in this process, with a server, an owner and one session.
struct InProcessShare {
    tenant: Arc<Tenant>,
    server: Server,
    /// Dropped to lose the owner without ending it.
    owner: Option<Owner>,
    session: Session,
}

impl InProcessShare {
    async fn new(source: &str, expires_in: Duration) -> Self {
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
        let host = Host::new(tenant.sandbox().clone()).with_tenant("local", Arc::clone(&tenant));
        let server = Server::bind(Arc::new(host), address, false).await.unwrap();
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
        let session = tenant.engine().create_session(&request).await.unwrap();
        assert_eq!(session.state, SessionState::Pending);
        Self {
            tenant,
            server,
            owner: Some(owner),
            session,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Claims on another thread, because the client blocks.
    async fn claim(&self, secret: &'static str) -> Answer {
        let (url, code) = (self.url(), self.session.code.clone());
        tokio::task::spawn_blocking(move || claim(&url, &code, secret))
            .await
            .unwrap()
    }

    async fn tables(&self, token: &str) -> Answer {
        let (url, token) = (self.url(), token.to_owned());
        tokio::task::spawn_blocking(move || http::tables(&url, &token))
            .await
            .unwrap()
    }

    async fn state(&self) -> SessionState {
        self.tenant
            .engine()
            .session(&self.session.code)
            .await
            .unwrap()
            .state
    }
}

#[test]
fn a_session_ends_within_ten_seconds_after_its_owner_is_lost() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    block_on(async {
        let mut claimed = InProcessShare::new(&source, Duration::from_secs(600)).await;
        let token = token(&claimed.claim("a secret").await);
        assert_eq!(claimed.tables(&token).await.status, 200);
        assert_eq!(claimed.state().await, SessionState::Claimed);
        let mut unclaimed = InProcessShare::new(&source, Duration::from_secs(600)).await;

        // As in a killed process, nothing renews the leases.
        claimed.owner = None;
        unclaimed.owner = None;
        let dropped = Instant::now();
        let orphaned = async {
            loop {
                let answer = claimed.tables(&token).await;
                let states = [claimed.state().await, unclaimed.state().await];
                if answer.status != 200 && states == [SessionState::Orphaned; 2] {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), orphaned).await;
        let ended = ended.expect("both sessions end within 10 s");
        assert_eq!(ended.error(), "unauthorized");
        assert!(
            dropped.elapsed() > Duration::from_secs(2),
            "a lease does not end at once"
        );
        assert_eq!(claimed.claim("a secret").await.error(), "owner-gone");
        assert_eq!(unclaimed.claim("a secret").await.error(), "owner-gone");
    });
}

#[test]
fn a_session_lives_as_long_as_its_owner() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    block_on(async {
        let mut share = InProcessShare::new(&source, Duration::from_secs(600)).await;
        let token = token(&share.claim("a secret").await);
        // Longer than a lease.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(share.tables(&token).await.status, 200);
        share.owner.take().unwrap().end().await.unwrap();
        let ended = share.tables(&token).await;
        assert_eq!(ended.error(), "unauthorized", "the session ends at once");
        assert_eq!(share.claim("a secret").await.error(), "owner-gone");
    });
}

#[test]
fn an_expired_code_is_refused() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    block_on(async {
        let share = InProcessShare::new(&source, Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(share.claim("a secret").await.error(), "expired");
        assert_eq!(share.state().await, SessionState::Expired);
    });
}

#[test]
fn a_deleted_session_ends() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    block_on(async {
        let share = InProcessShare::new(&source, Duration::from_secs(600)).await;
        let code = share.session.code.clone();
        let token = token(&share.claim("a secret").await);
        assert_eq!(share.tables(&token).await.status, 200);
        let listed = share.tenant.engine().list_sessions().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].claimer.as_deref(), Some("a test"));

        assert!(share.tenant.engine().delete_session(&code).await.unwrap());
        let ended = share.tables(&token).await;
        assert_eq!(ended.error(), "unauthorized");
        assert_eq!(share.claim("a secret").await.error(), "no-such-code");
        assert_eq!(
            share.tenant.engine().session(&code).await.unwrap_err().code,
            "no-such-code"
        );
        assert!(
            share
                .tenant
                .engine()
                .list_sessions()
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            !share.tenant.engine().delete_session(&code).await.unwrap(),
            "it is already deleted"
        );
    });
}
