//! One code, one winner: claims, races, time limits, and the end of a session.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::block_on;
use crate::support::peer::{self, authority, claim, claim_body, encode, token};
use crate::support::sample_tables::numbers;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// A file with one table of one row.
pub fn one_table(site: &Site) -> String {
    let path = site.path("source.db");
    Sqlite::script(
        &path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);",
    );
    path
}

/// One of many clients: connects, waits for the gate, claims, and reads the answer.
async fn race(
    url: String,
    code: String,
    number: u32,
    mut gate: watch::Receiver<bool>,
) -> (u16, String) {
    let mut socket = loop {
        match TcpStream::connect(authority(&url)).await {
            Ok(socket) => break socket,
            // Out of descriptors or of room in the queue: others will finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    gate.wait_for(|open| *open).await.unwrap();
    let body = claim_body(&code, &format!("claimer {number}"));
    socket
        .write_all(&encode("POST", "/sync/v1/claim", None, &body))
        .await
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{head:?}")),
        body.to_owned(),
    )
}

#[test]
fn of_a_thousand_claimers_one_wins() {
    const CLAIMERS: u32 = 1_000;
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    let answers = block_on(async {
        let (open, gate) = watch::channel(false);
        let claimers: Vec<_> = (0..CLAIMERS)
            .map(|number| {
                tokio::spawn(race(
                    share.url.clone(),
                    share.code.clone(),
                    number,
                    gate.clone(),
                ))
            })
            .collect();
        // All that have a connection by then claim at once; the others as soon as they have one.
        tokio::time::sleep(Duration::from_secs(2)).await;
        open.send_replace(true);
        let mut answers = Vec::new();
        for claimer in claimers {
            let limit = tokio::time::timeout(Duration::from_secs(60), claimer);
            answers.push(limit.await.expect("an answer to every claimer").unwrap());
        }
        answers
    });
    let won = answers.iter().filter(|(status, _)| *status == 200).count();
    let code = |body: &str| {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["error"]["code"].clone()
    };
    let used = answers
        .iter()
        .filter(|(status, body)| *status != 200 && code(body) == "already-used")
        .count();
    let other = answers
        .iter()
        .find(|(status, body)| *status != 200 && code(body) != "already-used");
    assert_eq!((won, used), (1, 999), "{other:?}");
}

#[test]
fn the_same_claimer_may_come_again_for_a_new_token() {
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    let first = token(&claim(&share.url, &share.code, "the secret of one claimer"));
    assert_eq!(peer::tables(&share.url, &first).status, 200);
    let second = token(&claim(&share.url, &share.code, "the secret of one claimer"));
    assert_ne!(first, second);
    let old = peer::tables(&share.url, &first);
    assert_eq!(old.error(), "unauthorized", "the old token is dead");
    assert_eq!(peer::tables(&share.url, &second).status, 200);
    let other = claim(&share.url, &share.code, "the secret of somebody else");
    assert_eq!(other.error(), "already-used");
    assert_eq!(
        peer::tables(&share.url, &second).status,
        200,
        "nobody else took it away"
    );
}

#[test]
fn a_wrong_code() {
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    for code in [
        "22222222",
        "A7X9K2M",
        "",
        "no code at all",
        "'; DROP TABLE t; --",
    ] {
        assert_eq!(
            claim(&share.url, code, "a secret").error(),
            "no-such-code",
            "{code:?}"
        );
    }
    let outcome = site.pull_from(&share.url, "22222222", &["--into", &site.path("target.db")]);
    outcome.error("no-such-code").has_hint();
    let still = token(&claim(&share.url, &share.code, "a secret"));
    assert_eq!(peer::tables(&share.url, &still).status, 200);
}

#[test]
fn claims_that_make_no_sense() {
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    let code = &share.code;
    for body in [
        String::new(),
        "null".to_owned(),
        "[".repeat(100_000),
        format!("{{\"code\":\"{code}\"}}"),
        format!(
            "{{\"code\":\"{code}\",\"claimer_secret\":7,\"claimer\":\"x\",\"protocol\":1,\"row_format\":1}}"
        ),
    ] {
        let answer = peer::request(&share.url, "POST", "/sync/v1/claim", None, body.as_bytes());
        assert_eq!(answer.error(), "bad-request", "{body:.80}");
    }
    let newer = format!(
        "{{\"code\":\"{code}\",\"claimer_secret\":\"{}\",\"claimer\":\"x\",\"protocol\":99,\"row_format\":1}}",
        "s".repeat(32)
    );
    let answer = peer::request(&share.url, "POST", "/sync/v1/claim", None, newer.as_bytes());
    assert_eq!(answer.error(), "incompatible-peer");
    let large = vec![b' '; 2 << 20];
    let answer = peer::request(&share.url, "POST", "/sync/v1/claim", None, &large);
    assert_eq!(answer.error(), "limit");
    assert_eq!(
        peer::request(&share.url, "GET", "/nowhere", None, b"").error(),
        "not-found"
    );
    token(&claim(&share.url, code, "a secret"));
}

#[test]
fn a_used_code() {
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    token(&claim(&share.url, &share.code, "somebody was faster"));
    let target = site.path("target.db");
    let outcome = site.pull(&share, &["--into", &target]);
    outcome.error("already-used").has_hint();
    assert!(!std::fs::exists(&target).unwrap() || Sqlite::open(&target).tables().is_empty());
}

#[test]
fn share_ends_when_nobody_came_in_time() {
    let site = Site::new();
    let source = one_table(&site);
    let began = Instant::now();
    let share = site.share(&[&source, "--expires", "1s"]);
    share.running.wait().error("expired").has_hint();
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_time_limit_ends_with_the_first_claim() {
    let site = Site::new();
    let mut share = site.share(&[&one_table(&site), "--expires", "2s"]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    std::thread::sleep(Duration::from_secs(4));
    assert!(share.running.is_running(), "{:?}", share.running);
    assert_eq!(peer::tables(&share.url, &token).status, 200);
}

#[test]
fn a_killed_share_is_unreachable() {
    let site = Site::new();
    let share = site.share(&[&one_table(&site)]);
    share.running.signal("KILL");
    share.running.wait();
    let outcome = site.pull_from(
        &share.url,
        &share.code,
        &["--into", &site.path("target.db")],
    );
    outcome.error("unreachable").has_hint();
}

#[test]
fn a_complete_pull_ends_the_session() {
    let site = Site::new();
    let source = site.path("source.db");
    numbers(&source, 7_000);
    let share = site.share(&[&source]);
    site.pull(&share, &["--into", &site.path("target.db")])
        .done();
    let outcome = share.running.wait().expect_exit(0);
    assert_eq!(outcome.events_of("claimed").len(), 1, "{outcome:?}");
    let done = outcome.events().pop().unwrap();
    assert_eq!(done["event"], "done", "{outcome:?}");
    assert_eq!(done["tables"][0]["table"], "numbers", "{outcome:?}");
    // The process has ended, and its code with it.
    let again = site.pull_from(
        &share.url,
        &share.code,
        &["--into", &site.path("target.db")],
    );
    again.error("unreachable");
}
