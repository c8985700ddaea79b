//! Interrupted pulls that resume in the same process or in a new one, with the same code or another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::support::frames::frames;
use crate::support::outcome::{Counts, Outcome};
use crate::support::sample_tables::create_numbers;
use crate::support::site::{Share, Site};
use crate::support::sqlite::{Sqlite, assert_same_table, series};
use crate::support::tampering_proxy::{Body, TamperingProxy};

const ROWS: u32 = 20_000;

/// The first `count` frames of a stream, or the complete stream if it has no more.
fn cut_off(stream: Vec<u8>, count: usize) -> Body {
    match frames(&stream).get(count) {
        Some((end, _)) => Body::CutOff(stream[..*end].to_vec()),
        None => Body::Complete(stream),
    }
}

/// A connection that breaks in the middle of the first stream of `numbers`, and at the start of all others until it is
/// repaired.
struct BrokenConnection {
    share: Share,
    proxy: TamperingProxy,
    repaired: Arc<AtomicBool>,
}

impl BrokenConnection {
    fn to(share: Share) -> Self {
        let repaired = Arc::new(AtomicBool::new(false));
        let (streams, whole) = (AtomicU32::new(0), Arc::clone(&repaired));
        let proxy = TamperingProxy::new(&share.url, "numbers", move |stream| {
            if whole.load(Ordering::Relaxed) {
                return Body::Complete(stream);
            }
            match streams.fetch_add(1, Ordering::Relaxed) {
                0 => cut_off(stream, 3),
                _ => Body::CutOff(Vec::new()),
            }
        });
        Self {
            share,
            proxy,
            repaired,
        }
    }

    fn repair(&self) {
        self.repaired.store(true, Ordering::Relaxed);
    }

    fn pull(&self, site: &Site, target: &str, strategy: &str) -> Outcome {
        pull(site, &self.proxy.url, &self.share.code, target, strategy)
    }
}

fn pull(site: &Site, url: &str, code: &str, target: &str, strategy: &str) -> Outcome {
    site.pull_from(url, code, &["--into", target, "--strategy", strategy])
}

#[test]
fn an_interrupted_stream_is_requested_again_in_the_same_process() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    let share = site.share(&[&source]);
    let proxy = TamperingProxy::new(&share.url, "numbers", |stream| cut_off(stream, 3));
    let outcome = pull(&site, &proxy.url, &share.code, &target, "append");
    let interrupted = outcome.events_of("interrupted");
    assert!(!interrupted.is_empty(), "{outcome:?}");
    assert_eq!(interrupted[0]["code"], "truncated");
    let report = outcome.done();
    assert_eq!(report.counts("numbers"), Counts::created(ROWS.into()));
    assert_eq!(report.0["tables"][0]["snapshots"], 1);
    assert_same_table(&source, &target, "numbers");
    share.running.wait().expect_exit(0);
}

/// Interrupts a pull in the middle, and repairs the connection; the share goes on.
fn interrupted_pull(site: &Site, source: &str, target: &str, strategy: &str) -> BrokenConnection {
    let connection = BrokenConnection::to(site.share(&[source]));
    connection.pull(site, target, strategy).error("truncated");
    let rows = Sqlite::open(target).number("SELECT count(*) FROM numbers");
    assert!(rows > 0 && rows < i64::from(ROWS), "{rows}");
    connection.repair();
    connection
}

#[test]
fn a_pull_resumes_with_the_same_code() {
    for strategy in ["skip", "overwrite", "merge", "append"] {
        let (site, source, target) = Site::with_files();
        create_numbers(&source, ROWS);
        let connection = interrupted_pull(&site, &source, &target, strategy);
        let outcome = connection.pull(&site, &target, strategy);
        let planned = outcome.events_of("planned").remove(0);
        assert_eq!(planned["tables"][0]["continued"], true, "{strategy}");
        let report = outcome.done();
        assert_eq!(
            report.counts("numbers").created,
            u64::from(ROWS),
            "{strategy}"
        );
        assert_eq!(report.0["tables"][0]["snapshots"], 2, "{strategy}");
        assert_same_table(&source, &target, "numbers");
        connection.share.running.wait().expect_exit(0);
    }
}

#[test]
fn an_interrupted_pull_resumes_with_a_new_code_and_a_complete_one_does_not() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    drop(interrupted_pull(&site, &source, &target, "append"));
    let report = site.transfer(&source, &target, &["--strategy", "append"]);
    assert_eq!(report.counts("numbers"), Counts::created(ROWS.into()));
    let count = || Sqlite::open(&target).number("SELECT count(*) FROM numbers");
    assert_eq!(count(), i64::from(ROWS));
    site.transfer(&source, &target, &["--strategy", "append"]);
    assert_eq!(count(), i64::from(ROWS) * 2);
}

#[test]
fn rows_that_changed_between_two_snapshots_are_transferred_at_the_end() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    Sqlite::script(
        &source,
        "CREATE TABLE children (id INTEGER PRIMARY KEY, number INTEGER NOT NULL REFERENCES numbers (id));
         INSERT INTO children SELECT id, id FROM numbers WHERE id <= 10;",
    );
    let connection = interrupted_pull(&site, &source, &target, "overwrite");
    // Changes after and before the last row that arrived, and a child of a parent before it.
    Sqlite::script(
        &source,
        "UPDATE numbers SET text = 'changed' WHERE id IN (5, 19990);
         INSERT INTO numbers VALUES (-1, 'new, before'), (30000, 'new, after');
         INSERT INTO children VALUES (11, -1);",
    );
    let report = connection.pull(&site, &target, "overwrite").done();
    for table in ["numbers", "children"] {
        assert_same_table(&source, &target, table);
    }
    assert_eq!(report.0["tables"][0]["snapshots"], 2);
    connection.share.running.wait().expect_exit(0);
}

#[test]
fn a_table_without_a_key_is_committed_as_a_whole() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE numbers (text);
             {} INSERT INTO numbers SELECT 'number ' || (i % 100) FROM n;",
            series(ROWS)
        ),
    );
    let connection = BrokenConnection::to(site.share(&[&source]));
    connection.pull(&site, &target, "append").error("truncated");
    let count = || Sqlite::open(&target).number("SELECT count(*) FROM numbers");
    assert_eq!(count(), 0);
    connection.repair();
    let report = connection.pull(&site, &target, "append").done();
    assert_eq!(report.counts("numbers"), Counts::created(ROWS.into()));
    assert_eq!(count(), i64::from(ROWS));
    connection.share.running.wait().expect_exit(0);
}
