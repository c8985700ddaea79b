//! What a component may leave in the host: bounded, and it is told by which limit.

use std::time::{Duration, Instant};

use crate::support::attackers::memory;
use crate::support::guests::hostile_engine;
use crate::support::http;
use crate::support::sample_tables::create_one_row;
use crate::support::site::{Share, Site};

/// What the component leaves, and a part of the limit that it is told.
const LEFT: [(&str, &str); 15] = [
    ("large-credentials", "a token has 7340032 bytes"),
    ("credentials", "credentials have 8388608 bytes"),
    ("large-admissions", "a scope has 7340032 bytes"),
    ("admissions", "1000 admissions"),
    ("large-state", "1048576 bytes"),
    ("long-keys", "a key has 7340032 bytes"),
    ("state", "until the process ends have 100663296 bytes"),
    ("keys", "until the process ends have 100663296 bytes"),
    (
        "durable-state",
        "durable keys of the engine have 33554432 bytes",
    ),
    (
        "large-steps",
        "the id of a run or a session has 7340032 bytes",
    ),
    (
        "large-topics",
        "the id of a run or a session has 7340032 bytes",
    ),
    ("open-events", "33554432 bytes"),
    ("events", "33554432 bytes"),
    ("topics", "33554432 bytes"),
    ("log", "logged"),
];

/// The most memory that the host may take for all of it, in KiB: what the quotas allow together, and the program.
const MEMORY: u64 = 256 << 10;

/// How long another request may take meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that all of it may write to the log, in bytes.
const LOG: usize = 200 << 10;

fn share(site: &Site) -> Share {
    let plugin = hostile_engine().pinned("engine");
    site.share(&[&create_one_row(site, "source.db"), "--plugin", &plugin])
}

fn post(share: &Share, path: &str) -> String {
    let answer = http::request(&share.url, "POST", &format!("/sync/v1/{path}"), None, b"");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Lets the component leave things of a kind until it is told the limit: it may take several calls on a busy machine.
fn leave_until(share: &Share, what: &str, limit: &str) {
    for _ in 0..30 {
        let answer = post(share, &format!("leave/{what}"));
        println!("{what}: {answer}");
        if answer.contains(limit) {
            return;
        }
        let not_done = answer.contains("were taken") || answer.contains("it took longer");
        assert!(not_done, "{what}: {answer}");
    }
    panic!("{what} has no limit");
}

#[test]
fn whatever_a_component_leaves_is_bounded_and_it_is_told_the_limit() {
    let site = Site::new();
    let share = share(&site);
    for (what, limit) in LEFT {
        leave_until(&share, what, limit);
    }
    let memory = memory(share.running.id(), "VmHWM");
    println!("most memory: {} MiB", memory >> 10);
    assert!(memory < MEMORY, "{memory} KiB");
    // The host says every 2 s how many messages it dropped.
    let said = "messages of the engine were dropped";
    let waited = Instant::now();
    while !share.running.has_printed(said) {
        assert!(
            waited.elapsed() < Duration::from_secs(10),
            "{:?}",
            share.running
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    share.running.signal("TERM");
    let outcome = share.running.wait();
    assert!(outcome.stderr.len() < LOG, "{} bytes", outcome.stderr.len());
}

#[test]
fn steps_without_end_delay_nobody_and_are_bounded() {
    let site = Site::new();
    let share = share(&site);
    leave_until(&share, "steps", "events of 2000 runs");
    for _ in 0..20 {
        let asked = Instant::now();
        assert!(post(&share, "ping").contains("pong"));
        assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    }
}

#[test]
fn a_step_that_a_peers_request_asked_for_has_the_peers_rights() {
    let site = Site::new();
    let share = share(&site);
    post(&share, "step");
    let rights = || http::request(&share.url, "GET", "/sync/v1/rights", None, b"");
    let mut answer = String::new();
    for _ in 0..100 {
        answer = String::from_utf8_lossy(&rights().body).into_owned();
        if answer.contains("allowed") || answer.contains("no database without a session") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(answer.contains("no database without a session"), "{answer}");
}

#[test]
fn an_id_that_is_too_long_is_a_fault_of_the_engine() {
    let site = Site::new();
    let plugin = hostile_engine().pinned("engine");
    let target = site.path("target.db");
    let arguments = ["--into", &target, "--plugin", &plugin];
    let failure = site
        .pull_from("http://127.0.0.1:1", "ABCDEFGH", &arguments)
        .error("plugin");
    failure.names(&["an id of 1048576 bytes"]);
}
