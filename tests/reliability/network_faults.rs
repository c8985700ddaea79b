//! A line that fails at every boundary of frames: the receiver says so within 30 s, goes on by itself when the line is back,
//! and at most one chunk comes twice.

use std::time::{Duration, Instant};

use crate::support::faulty_proxy::{Fault, Line};
use crate::support::site::{Running, Site};
use crate::support::sqlite::Sqlite;

/// How soon a fault has to be told, on a machine that has much else to do.
const TOLD: Duration = Duration::from_secs(30);

/// Three frames of rows of a MiB each at most.
const ROWS: u64 = 500;
const FRAMES: usize = 3;

/// A frame is a chunk here.
const CHUNK: u64 = 210;

/// The frames of such a stream: header, rows, end.
fn boundaries() -> std::ops::RangeInclusive<usize> {
    0..=1 + FRAMES
}

fn fails_once(fault: Fault, at: usize) {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO items SELECT i, hex(randomblob(2600)) FROM n;"
        ),
    );
    let share = site.share(&[&source]);
    let line = Line::new(&share.url, "items", fault, at);
    let arguments = ["pull", "--json", &line.url, &share.code, "--into", &target];
    let mut command = site.command("pull-data", &arguments);
    command.env("TOMBOLO_CHUNK_ROWS", "1");
    let pull = Running::start(command);
    pull.wait_for("interrupted");
    let told = Instant::now();
    let outcome = pull.wait().expect_exit(0);
    share.running.wait().expect_exit(0);

    let log = line.log.lock().unwrap();
    let took = told
        - log
            .failed
            .unwrap_or_else(|| panic!("the line did not fail: {outcome:?}"));
    assert!(took <= TOLD, "{fault:?} at {at} was told after {took:?}");
    let passed: u64 = log.rows.iter().sum();
    assert!(
        (ROWS..=ROWS + CHUNK).contains(&passed),
        "{fault:?} at {at}: {:?} rows in the streams",
        log.rows
    );
    let (source, target) = (
        Sqlite::open(&source).table("items"),
        Sqlite::open(&target).table("items"),
    );
    target.assert_same(&source);
}

/// All boundaries at once: most of the time is waiting.
fn everywhere(fault: Fault) {
    std::thread::scope(|scope| {
        let cases: Vec<_> = boundaries()
            .map(|at| scope.spawn(move || fails_once(fault, at)))
            .collect();
        for case in cases {
            case.join().unwrap();
        }
    });
}

#[test]
fn the_line_is_cut() {
    everywhere(Fault::Cut);
}

#[test]
fn the_line_stalls() {
    everywhere(Fault::Stall);
}

#[test]
fn the_line_is_half_open() {
    everywhere(Fault::HalfOpen);
}
