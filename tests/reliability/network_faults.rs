//! Connections that fail between any two frames: the receiver reports it within 30 s, resumes by itself, and at most
//! one chunk is sent twice.

use std::time::{Duration, Instant};

use crate::support::faulty_proxy::{Fault, FaultyProxy};
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, assert_same_table, series};

/// How soon a fault must be reported on a busy machine.
const REPORTED: Duration = Duration::from_secs(30);

/// Rows that fill three frames of at most 1 MiB.
const ROWS: u64 = 500;
const FRAMES: usize = 3;

/// At least as many rows as a chunk has, which is one frame.
const CHUNK: u64 = 210;

/// How many frames may pass before the fault: header, rows and end.
fn boundaries() -> std::ops::RangeInclusive<usize> {
    0..=1 + FRAMES
}

fn check_fault(fault: Fault, frames: usize) {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, text TEXT);
             {} INSERT INTO items SELECT i, hex(randomblob(2600)) FROM n;",
            series(ROWS)
        ),
    );
    let share = site.share(&[&source]);
    let proxy = FaultyProxy::new(&share.url, "items", fault, frames);
    let pull = site.start_pull_with_small_chunks(&proxy.url, &share.code, &["--into", &target]);
    pull.wait_for("interrupted");
    let reported = Instant::now();
    let outcome = pull.wait().expect_exit(0);
    share.running.wait().expect_exit(0);

    let log = proxy.log.lock().unwrap();
    let took = reported
        - log
            .failed
            .unwrap_or_else(|| panic!("the proxy did not fail: {outcome:?}"));
    assert!(
        took <= REPORTED,
        "{fault:?} after {frames} frames was reported after {took:?}"
    );
    let passed: u64 = log.rows.iter().sum();
    assert!(
        (ROWS..=ROWS + CHUNK).contains(&passed),
        "{fault:?} after {frames} frames: {:?} rows in the streams",
        log.rows
    );
    assert_same_table(&source, &target, "items");
}

/// Tests all boundaries in parallel, because they mostly wait.
fn check_every_boundary(fault: Fault) {
    std::thread::scope(|scope| {
        let cases: Vec<_> = boundaries()
            .map(|frames| scope.spawn(move || check_fault(fault, frames)))
            .collect();
        for case in cases {
            case.join().unwrap();
        }
    });
}

#[test]
fn connections_that_close_between_frames() {
    check_every_boundary(Fault::Closed);
}

#[test]
fn connections_that_stall_between_frames() {
    check_every_boundary(Fault::Stalled);
}

#[test]
fn connections_that_are_half_open_between_frames() {
    check_every_boundary(Fault::HalfOpen);
}
