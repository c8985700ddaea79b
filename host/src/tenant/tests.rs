//! Two tenants in one process: a session, a real server, a pull.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;
use crate::bindings::Refusal;
use crate::bindings::client::{ChosenStrategy, PullRequest};
use crate::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use crate::bindings::state::Lifetime;
use crate::bindings::transfers::{CopyInstruction, Host as _};
use crate::bindings::types::{Conversion, Error, Peer, Scope};
use crate::database::{Location, open};
use crate::egress::EgressGrant;
use crate::host::Host;
use crate::resources::{Followed, GrantedDatabase, Patterns};
use crate::sandbox::Limits;
use crate::server::Server;

async fn shop(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let mut shop = SqliteConnection::connect_with(&options).await.unwrap();
    for statement in [
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers, total REAL)",
        "INSERT INTO customers VALUES (1, 'Ana'), (2, 'Bo')",
        "INSERT INTO orders VALUES (1, 1, 9.5), (2, 2, NULL), (3, 1, 1e300)",
    ] {
        sqlx::query(statement).execute(&mut shop).await.unwrap();
    }
    shop
}

async fn tenant(file: &Path, create: bool, peer: Option<&str>) -> Arc<Tenant> {
    let location = Location::Sqlite(file.to_owned());
    let database = Arc::from(open(&location, create).await.unwrap());
    let all = Patterns::all().unwrap();
    let sandbox = Sandbox::new(Limits::default()).unwrap();
    let mut builder =
        Tenant::builder(sandbox).database("main", GrantedDatabase::new(database, all.clone(), all));
    if let Some(peer) = peer {
        builder = builder.peer(EgressGrant::typed(peer, false).unwrap());
    }
    builder.open().await.unwrap()
}

fn host(tenant: &Arc<Tenant>) -> Arc<Host> {
    let host = Host::new(tenant.sandbox().clone());
    Arc::new(host.with_tenant("local", Arc::clone(tenant)))
}

async fn share(tenant: &Tenant, owner: &Owner) -> Session {
    let request = ShareRequest {
        direction: Direction::Send,
        database: "main".to_owned(),
        scope: Scope {
            tables: vec!["*".to_owned()],
        },
        owner: owner.id().to_owned(),
        expires_in: 60_000,
    };
    tenant.engine().create_session(&request).await.unwrap()
}

async fn pull(tenant: &Tenant, url: &str, code: &str) -> Result<Vec<TableReport>, Failure> {
    pull_by("skip", tenant, url, code).await
}

async fn pull_by(
    strategy: &str,
    tenant: &Tenant,
    url: &str,
    code: &str,
) -> Result<Vec<TableReport>, Failure> {
    let request = pull_request(strategy, url, code);
    let run = tenant.engine().plan(&request).await?;
    let mut follower = tenant.follow(&run)?;
    loop {
        let Followed::Event(RunEvent::Engine(event)) = follower.next().await else {
            continue;
        };
        match event {
            EngineEvent::Planned(_) => tenant.engine().start(&run).await?,
            EngineEvent::Finished(reports) => return Ok(reports),
            EngineEvent::Failed(failure) => return Err(failure),
            _ => {}
        }
    }
}

fn pull_request(strategy: &str, url: &str, code: &str) -> PullRequest {
    PullRequest {
        base_url: url.to_owned(),
        code: code.to_owned(),
        database: "main".to_owned(),
        tables: Vec::new(),
        strategy: ChosenStrategy {
            name: strategy.to_owned(),
            params: Vec::new(),
        },
        table_strategies: Vec::new(),
        conversions: Conversion::Exact,
        column_conversions: Vec::new(),
        create_missing: true,
        jobs: 1,
        reject_limit: 1_000,
        max_rows: None,
        max_bytes: None,
        claimer: "test".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_moves_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let (source, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    drop(shop(&source).await);
    let sender = tenant(&source, false, None).await;
    let owner = sender.open_owner().await.unwrap();
    let session = share(&sender, &owner).await;
    let server = Server::bind(host(&sender), "127.0.0.1:0".parse().unwrap(), false)
        .await
        .unwrap();
    let url = format!("http://{}", server.address());
    let receiver = tenant(&copy, true, Some(&url)).await;

    let reports = pull(&receiver, &url, &session.code).await.unwrap();
    let created: Vec<(&str, u64)> = reports
        .iter()
        .map(|one| (one.table.as_str(), one.created))
        .collect();
    assert_eq!(created, [("customers", 2), ("orders", 3)]);
    assert_eq!(
        sender.engine().session(&session.code).await.unwrap().state,
        SessionState::Done
    );
    let again = pull(&receiver, &url, &session.code).await.unwrap_err();
    assert_eq!(again.code, "already-used");

    let second = share(&sender, &owner).await;
    let reports = pull(&receiver, &url, &second.code).await.unwrap();
    assert_eq!(reports.iter().map(|one| one.skipped).sum::<u64>(), 5);
    let wrong = pull(&receiver, &url, "AAAAAAAA").await.unwrap_err();
    assert_eq!(wrong.code, "no-such-code");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_filled_once_and_then_only_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let (source, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let mut lines = shop(&source).await;
    for statement in [
        "DROP TABLE orders",
        "DROP TABLE customers",
        "CREATE TABLE lines (line TEXT)",
        "INSERT INTO lines VALUES ('one'), ('one'), (NULL)",
    ] {
        sqlx::query(statement).execute(&mut lines).await.unwrap();
    }
    drop(lines);
    let sender = tenant(&source, false, None).await;
    let owner = sender.open_owner().await.unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(host(&sender), address, false).await.unwrap();
    let url = format!("http://{}", server.address());
    let receiver = tenant(&copy, true, Some(&url)).await;

    let code = share(&sender, &owner).await.code;
    assert_eq!(pull(&receiver, &url, &code).await.unwrap()[0].created, 3);
    let code = share(&sender, &owner).await.code;
    let refused = pull(&receiver, &url, &code).await.unwrap_err();
    assert_eq!(refused.code, "unsuitable-table");
    let code = share(&sender, &owner).await.code;
    let appended = pull_by("append", &receiver, &url, &code).await.unwrap();
    assert_eq!(appended[0].created, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_dies_with_its_owners_lease() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("shop.db");
    drop(shop(&source).await);
    let sender = tenant(&source, false, None).await;
    let owner = sender.open_owner().await.unwrap();
    let session = share(&sender, &owner).await;
    drop(owner);
    let began = Instant::now();
    while sender.engine().session(&session.code).await.unwrap().state != SessionState::Orphaned {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A peer's request may be answered by an engine that obeys it.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_can_do_nothing_to_a_run_that_the_operator_planned() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = tenant(&folder.path().join("copy.db"), true, None).await;
    let request = pull_request("skip", "http://127.0.0.1:1", "AAAAAAAA");
    let run = receiver.engine().plan(&request).await.unwrap();
    let done = || EngineEvent::Finished(Vec::new());
    let mut peer = receiver.engine().capabilities(Caller::Peer(None));
    for refused in [
        peer.cancel(run.clone()).await,
        peer.request_step(run.clone()).await,
        peer.publish(run.clone(), done()).await,
    ] {
        let Err(Refusal::Guest(error)) = refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(*error, Error::Denied(_)), "{error:?}");
    }
    peer.publish("a session".to_owned(), done()).await.unwrap();
    let mut operator = receiver.engine().capabilities(Caller::Operator);
    operator.cancel(run.clone()).await.unwrap();
    operator.request_step(run).await.unwrap();
}

/// Run ids stand in addresses and in the target's own tables.
#[tokio::test(flavor = "multi_thread")]
async fn an_instruction_is_checked_before_it_starts_anything() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = tenant(&folder.path().join("copy.db"), true, None).await;
    let mut operator = receiver.engine().capabilities(Caller::Operator);
    let instruction = |run: &str| CopyInstruction {
        run: run.to_owned(),
        ledger: "r".to_owned(),
        peer: Peer {
            base_url: "http://127.0.0.1:1".to_owned(),
            credential: None,
        },
        database: "main".to_owned(),
        tables: Vec::new(),
        jobs: 1,
        reject_limit: 0,
        max_rows: None,
        max_bytes: None,
    };
    for run in ["", "a&after=00", "a b", &"x".repeat(65)] {
        for refused in [
            operator.start(instruction(run)).await,
            operator.compare(instruction(run)).await,
        ] {
            let Err(Refusal::Guest(error)) = refused else {
                panic!("{run}: {refused:?}");
            };
            assert!(matches!(*error, Error::Invalid(_)), "{error:?}");
        }
    }
    let mut far = instruction("r");
    far.peer.base_url = format!("http://{}", "x".repeat(3_000));
    assert!(operator.start(far).await.is_err());
}

/// A step is handled later than it was requested.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_revoked_admission_has_no_rights() {
    let folder = tempfile::tempdir().unwrap();
    let sender = tenant(&folder.path().join("shop.db"), true, None).await;
    let owner = sender.open_owner().await.unwrap();
    let scope = Scope {
        tables: vec!["*".to_owned()],
    };
    let access = sender.resources().access();
    let admitted = access.admit(scope, owner.id().to_owned(), Lifetime::Process);
    let (id, token) = admitted.await.unwrap();
    let admission = sender.resources().admission(&token).await.unwrap().unwrap();
    let caller = Caller::Peer(Some(admission));
    let now = caller.clone().as_of_now();
    assert!(matches!(now, Caller::Peer(Some(_))), "{now:?}");
    sender.resources().revoke(&id).await.unwrap();
    let now = caller.as_of_now();
    assert!(matches!(now, Caller::Peer(None)), "{now:?}");
}
