//! A peer that reads one byte a second: it holds up no application at the source, and no snapshot for ever.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::peer::{claim, connect, encode, token};
use crate::support::postgres::Database;
use crate::support::site::{Share, Site};
use crate::support::sqlite::Sqlite;

/// How long a write of an application may take.
const WRITE: Duration = Duration::from_secs(1);

/// Asks for the rows of a table, and reads nothing of the answer yet.
fn ask(share: &Share, table: &str) -> TcpStream {
    let token = token(&claim(&share.url, &share.code, "a slow one"));
    let mut socket = connect(&share.url);
    let path = format!("/sync/v1/tables/{table}/rows?run=slow");
    let request = encode("GET", &path, Some(&token), b"");
    socket.write_all(&request).unwrap();
    socket
}

/// Reads one byte a second, so many times.
fn sip(socket: &mut TcpStream, times: u32) {
    for _ in 0..times {
        socket.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// An application that writes all the time; gives its slowest commit and how many it made.
struct Application {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Duration, u32)>,
}

impl Application {
    fn start(path: &str, sql: &'static str) -> Self {
        let mut connection = Sqlite::create(path);
        // What is measured are locks, not the disk.
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

    fn end(self) -> (Duration, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Measures an application's writes while somebody reads a table of 60 MB slowly.
fn writes_go_on(journal: &str) {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF;
             CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
             CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
             INSERT INTO large SELECT i, hex(randomblob(500)) FROM n;"
        ),
    );
    let share = site.share(&[&source, "--tables", "large"]);
    let application = Application::start(&source, "INSERT INTO log (text) VALUES ('written')");
    let mut socket = ask(&share, "large");
    sip(&mut socket, 8);
    let (slowest, commits) = application.end();
    eprintln!("{journal}: {commits} commits, the slowest took {slowest:?}");
    assert!(commits > 20, "{commits}");
    assert!(slowest < WRITE, "{journal}: a commit took {slowest:?}");
}

#[test]
fn what_is_copied_among_writes_is_one_state() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        "CREATE TABLE large (id INTEGER PRIMARY KEY, text TEXT);
         CREATE TABLE one (id INTEGER PRIMARY KEY, text TEXT);
         CREATE TABLE other (id INTEGER PRIMARY KEY, one INTEGER NOT NULL REFERENCES one (id));
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO large SELECT i, hex(randomblob(2000)) FROM n;",
    );
    // All of the file changes all the time.
    let application = Application::start(
        &source,
        "BEGIN; INSERT INTO one (text) VALUES (hex(randomblob(3000)));
         UPDATE large SET text = upper(text) WHERE id = abs(random() % 20000);
         INSERT INTO other (one) VALUES (last_insert_rowid()); COMMIT;",
    );
    std::thread::sleep(Duration::from_millis(300));
    site.transfer(&source, &target, &[]);
    let (slowest, _) = application.end();
    assert!(slowest < WRITE, "a commit took {slowest:?}");
    let mut target = Sqlite::open(&target);
    let (one, other) = ("SELECT count(*) FROM one", "SELECT count(*) FROM other");
    assert!(target.number(one) > 0);
    assert_eq!(target.number(one), target.number(other));
    assert_eq!(target.number("SELECT count(*) FROM large"), 20_000);
}

#[test]
fn a_slow_reader_delays_no_write_with_a_rollback_journal() {
    writes_go_on("DELETE");
}

#[test]
fn a_slow_reader_delays_no_write_in_wal_mode() {
    writes_go_on("WAL");
}

#[test]
fn a_slow_reader_does_not_hold_a_snapshot_of_postgres_beyond_its_limit() {
    const LIMIT: u32 = 4;
    /// Opening, the look for old snapshots every 2 s, and a busy machine.
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
    let mut socket = ask(&share, "large");
    sip(&mut socket, 1);
    let held = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    assert!(database.number(held) > 0, "a snapshot is held");
    for _ in 0..LIMIT + TOLERANCE {
        sip(&mut socket, 1);
        let age = database.number(oldest);
        assert!(
            age <= i64::from(LIMIT + TOLERANCE),
            "a transaction is {age} s old"
        );
    }
    assert_eq!(database.number(held), 0, "no transaction is left");
    // Now in a hurry, it learns why there is no more.
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
