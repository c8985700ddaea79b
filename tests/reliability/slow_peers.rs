//! A peer that reads one byte a second delays no writer at the source and holds no snapshot beyond its limit.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::http::{claim, connect, encode_request, token};
use crate::support::postgres::Database;
use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, series};

/// How long a commit of another program may take.
const COMMIT: Duration = Duration::from_secs(1);

/// Requests the rows of a table and reads nothing of the answer.
fn request_rows(share: &Share, table: &str) -> TcpStream {
    let token = token(&claim(&share.url, &share.code, "a slow claimer"));
    let mut socket = connect(&share.url);
    let path = format!("/sync/v1/tables/{table}/rows?run=slow");
    let request = encode_request("GET", &path, Some(&token), b"");
    socket.write_all(&request).unwrap();
    socket
}

/// Reads one byte a second for `times` seconds.
fn read_slowly(socket: &mut TcpStream, times: u32) {
    for _ in 0..times {
        socket.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A program that writes continuously and measures its commits.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Duration, u32)>,
}

impl Writer {
    fn start(path: &str, sql: &'static str) -> Self {
        let mut connection = Sqlite::create(path);
        // The test measures waiting for locks, not for the disk.
        connection.run("PRAGMA synchronous = OFF; PRAGMA busy_timeout = 30000");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut slowest, mut commits) = (Duration::ZERO, 0);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                connection.run(sql);
                slowest = slowest.max(began.elapsed());
                commits += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            (slowest, commits)
        });
        Self { stop, thread }
    }

    /// Stops it; returns the duration of its slowest commit and the number of commits.
    fn end(self) -> (Duration, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Measures commits while a peer slowly reads a table of 60 MB.
fn check_commits(journal: &str) {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF;
             CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
             CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT);
             {} INSERT INTO large SELECT i, hex(randomblob(500)) FROM n;",
            series(60_000)
        ),
    );
    let share = site.share(&[&source, "--tables", "large"]);
    let writer = Writer::start(&source, "INSERT INTO log (text) VALUES ('written')");
    let mut socket = request_rows(&share, "large");
    read_slowly(&mut socket, 8);
    let (slowest, commits) = writer.end();
    eprintln!("{journal}: {commits} commits, the slowest took {slowest:?}");
    assert!(commits > 20, "{commits}");
    assert!(slowest < COMMIT, "{journal}: a commit took {slowest:?}");
}

#[test]
fn a_transfer_during_writes_copies_one_consistent_state() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
         CREATE TABLE one (id INTEGER PRIMARY KEY, text TEXT);
         CREATE TABLE other (id INTEGER PRIMARY KEY, one INTEGER NOT NULL REFERENCES one (id));
         {} INSERT INTO large SELECT i, hex(randomblob(2000)) FROM n;",
            series(20_000)
        ),
    );
    // Pages in all parts of the file change.
    let writer = Writer::start(
        &source,
        "BEGIN; INSERT INTO one (text) VALUES (hex(randomblob(3000)));
         UPDATE large SET text = upper(text) WHERE id = abs(random() % 20000);
         INSERT INTO other (one) VALUES (last_insert_rowid()); COMMIT;",
    );
    std::thread::sleep(Duration::from_millis(300));
    site.transfer(&source, &target, &[]);
    let (slowest, _) = writer.end();
    assert!(slowest < COMMIT, "a commit took {slowest:?}");
    let mut target = Sqlite::open(&target);
    let (one, other) = ("SELECT count(*) FROM one", "SELECT count(*) FROM other");
    assert!(target.number(one) > 0);
    assert_eq!(target.number(one), target.number(other));
    assert_eq!(target.number("SELECT count(*) FROM large"), 20_000);
}

#[test]
fn a_slow_reader_delays_no_commit_with_a_rollback_journal() {
    check_commits("DELETE");
}

#[test]
fn a_slow_reader_delays_no_commit_with_a_write_ahead_log() {
    check_commits("WAL");
}

#[test]
fn a_slow_reader_holds_no_snapshot_of_postgres_beyond_its_limit() {
    const LIMIT: u32 = 4;
    /// Opening the snapshot, the check for old snapshots every 2 s, and a busy machine.
    const TOLERANCE: u32 = 6;
    let Some(database) = Database::new() else {
        return;
    };
    database.run(
        "CREATE TABLE large (id int PRIMARY KEY, text text);
         INSERT INTO large SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 40000) i;",
    );
    let site = Site::new();
    let limit = format!("{LIMIT}s");
    let share = site.share(&[&database.url(), "--snapshot-limit", &limit]);
    let oldest = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start))::bigint, 0) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut socket = request_rows(&share, "large");
    read_slowly(&mut socket, 1);
    let held = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    assert!(database.number(held) > 0, "a snapshot is held");
    for _ in 0..LIMIT + TOLERANCE {
        read_slowly(&mut socket, 1);
        let age = database.number(oldest);
        assert!(
            age <= i64::from(LIMIT + TOLERANCE),
            "a transaction is {age} s old"
        );
    }
    assert_eq!(database.number(held), 0, "no transaction is left");
    // The rest of the answer says why the stream ended.
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest);
    let end = rest.char_indices().nth_back(300).map_or(0, |(at, _)| at);
    assert!(
        rest[end..].contains("\"snapshot-expired\""),
        "{}",
        &rest[end..]
    );
}
