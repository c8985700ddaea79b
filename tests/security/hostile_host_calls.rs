//! Components that ask the host for much work: each call ends within its limits, and nobody else waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::guests::hostile_engine;
use crate::support::http::{self, Answer};
use crate::support::site::{Share, Site};
use crate::support::sqlite::Sqlite;

/// The limit of a call is 5 s; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// How long another request may take meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many attacks run at once.
const AT_ONCE: usize = 17;

/// What a peer's request may call. The others are the operator's.
const OF_PEERS: [&str; 49] = [
    "database.info",
    "database.fingerprint",
    "database.tables",
    "database.describe",
    "database.facts",
    "database.known-types",
    "database.widened",
    "database.count",
    "http.send",
    "access.admit",
    "access.revoke",
    "access.release",
    "access.keep-credential",
    "services.now",
    "services.random",
    "services.sha256",
    "services.owner-alive",
    "services.log",
    "state.get",
    "state.put",
    "state.delete",
    "state.list",
    "transfers.start",
    "transfers.compare",
    "transfers.cancel",
    "transfers.request-step",
    "transfers.publish",
    "sessions.new-code",
    "sessions.normalize",
    "sessions.decide",
    "ddl.create-table",
    "environment.get-environment",
    "environment.get-arguments",
    "environment.initial-cwd",
    "stdin.get-stdin",
    "stdout.get-stdout",
    "stderr.get-stderr",
    "terminals",
    "handles",
    "poll.poll",
    "poll.poll-many",
    "pollable.ready",
    "pollable.block",
    "input-stream.read",
    "input-stream.skip",
    "output-stream.check-write",
    "output-stream.write",
    "output-stream.blocking-write",
    "output-stream.flush",
];

const OF_PEERS_TOO: [&str; 5] = [
    "output-stream.write-large",
    "output-stream.write-zeroes",
    "output-stream.write-zeroes-large",
    "output-stream.splice",
    "println",
];

/// What only the operator's calls may do for long.
const OF_THE_OPERATOR: [&str; 10] = [
    "database.info",
    "database.tables",
    "database.describe",
    "database.facts",
    "database.known-types",
    "database.widened",
    "database.count",
    "http.send",
    "transfers.start",
    "transfers.compare",
];

/// Shares a database with tables of these names by the hostile engine.
fn share_with_hostile_engine(site: &Site, tables: &[&str]) -> Share {
    let source = site.path("source.db");
    let mut script = "CREATE TABLE t (id INTEGER PRIMARY KEY);".to_owned();
    for table in tables {
        script.push_str(&format!(
            "CREATE TABLE \"{table}\" (id INTEGER PRIMARY KEY);"
        ));
    }
    Sqlite::script(&source, &script);
    let plugin = hostile_engine().pinned("engine");
    let patterns = tables.join(",");
    let mut arguments = vec![source.as_str(), "--plugin", &plugin];
    if !tables.is_empty() {
        arguments.extend(["--tables", &patterns]);
    }
    site.share(&arguments)
}

fn post(url: &str, path: &str) -> Answer {
    http::request(url, "POST", &format!("/sync/v1/{path}"), None, b"")
}

/// Asks for an answer at once until `done`, and returns the longest time that one took.
fn ping(url: &str, done: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = http::request(url, "GET", "/sync/v1/ping", None, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// What became of one attack: its name, its answer, and how long it took.
type Attacked = (&'static str, Answer, Duration);

fn attack(url: &str, names: &[&'static str]) -> Vec<Attacked> {
    let attacks: Vec<_> = names
        .iter()
        .map(|name| {
            let (url, name) = (url.to_owned(), *name);
            std::thread::spawn(move || {
                let began = Instant::now();
                let answer = post(&url, &format!("attack/{name}"));
                (name, answer, began.elapsed())
            })
        })
        .collect();
    let joined = attacks.into_iter().map(|attack| attack.join().unwrap());
    joined.collect()
}

#[test]
fn every_import_in_a_loop_ends_in_time_and_delays_nobody() {
    let site = Site::new();
    let mut share = share_with_hostile_engine(&site, &[]);
    let done = AtomicBool::new(false);
    let names: Vec<&str> = OF_PEERS.into_iter().chain(OF_PEERS_TOO).collect();
    let (attacked, longest) = std::thread::scope(|scope| {
        let pings = scope.spawn(|| ping(&share.url, &done));
        let attacked: Vec<Attacked> = names
            .chunks(AT_ONCE)
            .flat_map(|names| attack(&share.url, names))
            .collect();
        done.store(true, Ordering::Relaxed);
        (attacked, pings.join().unwrap())
    });
    for (name, answer, took) in &attacked {
        println!("{name}: {took:?} {}", String::from_utf8_lossy(&answer.body));
    }
    println!("the longest ping: {longest:?}");
    for (name, answer, took) in attacked {
        assert_eq!(answer.error(), "plugin", "{name}: {answer:?}");
        assert!(took < LIMIT, "{name}: {took:?}");
    }
    assert!(longest < PATIENCE, "{longest:?}");
    assert!(share.running.is_running(), "{:?}", share.running);
}

#[test]
fn the_operators_imports_in_a_loop_delay_nobody() {
    let site = Site::new();
    let share = share_with_hostile_engine(&site, &OF_THE_OPERATOR);
    let done = AtomicBool::new(false);
    let began = Instant::now();
    let longest = std::thread::scope(|scope| {
        let pings = scope.spawn(|| ping(&share.url, &done));
        let failed = |running: &str| running.matches("failed in events.on-event").count();
        while failed(&format!("{:?}", share.running)) < OF_THE_OPERATOR.len() {
            assert!(began.elapsed() < LIMIT, "{:?}", share.running);
            std::thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::Relaxed);
        pings.join().unwrap()
    });
    println!(
        "the longest ping: {longest:?}, all ended after {:?}",
        began.elapsed()
    );
    assert!(longest < PATIENCE, "{longest:?}");
}
