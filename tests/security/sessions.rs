//! Session codes: claims, races between claimers, time limits and the end of a session.

use std::io::Write as _;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::block_on;
use crate::support::http::{self, authority, claim, claim_body, encode_request, token};
use crate::support::sample_tables::{create_numbers, create_one_row};
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// Connects, waits for the gate, claims, and reads the answer.
async fn claim_behind_gate(
    url: String,
    code: String,
    number: u32,
    mut gate: watch::Receiver<bool>,
) -> (u16, String) {
    let mut socket = loop {
        match TcpStream::connect(authority(&url)).await {
            Ok(socket) => break socket,
            // No file descriptor or place in the queue is free until other clients finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    gate.wait_for(|open| *open).await.unwrap();
    let body = claim_body(&code, &format!("claimer {number}"));
    socket
        .write_all(&encode_request("POST", "/sync/v1/claim", None, &body))
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
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let answers = block_on(async {
        let (open, gate) = watch::channel(false);
        let claimers: Vec<_> = (0..CLAIMERS)
            .map(|number| {
                tokio::spawn(claim_behind_gate(
                    share.url.clone(),
                    share.code.clone(),
                    number,
                    gate.clone(),
                ))
            })
            .collect();
        // Clients that are connected by then claim at the same time, the others as soon as they are connected.
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
fn the_same_claimer_can_claim_again_for_a_new_token() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let first = token(&claim(&share.url, &share.code, "the secret of one claimer"));
    assert_eq!(http::tables(&share.url, &first).status, 200);
    let second = token(&claim(&share.url, &share.code, "the secret of one claimer"));
    assert_ne!(first, second);
    let old = http::tables(&share.url, &first);
    assert_eq!(old.error(), "unauthorized", "the old token is invalid");
    assert_eq!(http::tables(&share.url, &second).status, 200);
    let other = claim(&share.url, &share.code, "the secret of another claimer");
    assert_eq!(other.error(), "already-used");
    assert_eq!(
        http::tables(&share.url, &second).status,
        200,
        "the refused claim changed nothing"
    );
}

#[test]
fn a_report_takes_effect_although_its_sender_disconnects() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let token = token(&claim(&share.url, &share.code, "one claimer"));
    let done = encode_request(
        "POST",
        "/sync/v1/done?run=a",
        Some(&token),
        br#"{"tables":[]}"#,
    );
    let mut socket = http::connect(&share.url);
    socket.write_all(&done).unwrap();
    drop(socket);
    share.running.wait().expect_exit(0);
}

#[test]
fn a_wrong_code_is_refused() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
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
    assert_eq!(http::tables(&share.url, &still).status, 200);
}

#[test]
fn invalid_claims_are_refused() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let code = &share.code;
    for body in [
        String::new(),
        "null".to_owned(),
        "[".repeat(4_000),
        format!("{{\"code\":\"{code}\"}}"),
        format!(
            "{{\"code\":\"{code}\",\"claimer_secret\":7,\"claimer\":\"x\",\"protocol\":1,\"row_format\":1}}"
        ),
    ] {
        let answer = http::request(&share.url, "POST", "/sync/v1/claim", None, body.as_bytes());
        assert_eq!(answer.error(), "bad-request", "{body:.80}");
    }
    let newer = format!(
        "{{\"code\":\"{code}\",\"claimer_secret\":\"{}\",\"claimer\":\"x\",\"protocol\":99,\"row_format\":1}}",
        "s".repeat(32)
    );
    let answer = http::request(&share.url, "POST", "/sync/v1/claim", None, newer.as_bytes());
    assert_eq!(answer.error(), "incompatible-peer");
    for length in [(4 << 10) + 1, 2 << 20] {
        let large = vec![b' '; length];
        let answer = http::request(&share.url, "POST", "/sync/v1/claim", None, &large);
        assert_eq!(answer.error(), "limit");
    }
    assert_eq!(
        http::request(&share.url, "GET", "/nowhere", None, b"").error(),
        "not-found"
    );
    token(&claim(&share.url, code, "a secret"));
}

#[test]
fn a_used_code_is_refused() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    token(&claim(&share.url, &share.code, "another claimer"));
    let target = site.path("target.db");
    let outcome = site.pull(&share, &["--into", &target]);
    outcome.error("already-used").has_hint();
    assert!(!std::fs::exists(&target).unwrap() || Sqlite::open(&target).tables().is_empty());
}

#[test]
fn share_ends_without_a_claim_in_time() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
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
fn the_time_limit_does_not_apply_after_a_claim() {
    let site = Site::new();
    let mut share = site.share(&[&create_one_row(&site, "source.db"), "--expires", "2s"]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    std::thread::sleep(Duration::from_secs(4));
    assert!(share.running.is_running(), "{:?}", share.running);
    assert_eq!(http::tables(&share.url, &token).status, 200);
}

#[test]
fn pulling_from_a_killed_share_is_refused_as_unreachable() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
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
    create_numbers(&source, 7_000);
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

#[test]
fn a_code_is_good_for_another_target_until_something_is_written() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let share = site.share(&[&source]);
    let into = |name: &str| site.path(name);
    site.pull(&share, &["--into", &into("a.db"), "no_such_table"])
        .error("no-such-table");
    site.pull(&share, &["--into", &into("b.db"), "--dry-run"])
        .expect_exit(0);
    std::fs::copy(&source, into("c.db")).unwrap();
    site.diff(&share, &["--with", &into("c.db")]).expect_exit(0);
    site.pull(&share, &["--into", &into("d.db")]).done();
    site.pull(&share, &["--into", &into("e.db")]).failure();
}
