//! Pulls that broke off and go on: in the same process, in a new one, with the same code or another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::support::outcome::{Counts, Outcome};
use crate::support::peer::{Middle, Tampered};
use crate::support::sample_tables::numbers;
use crate::support::site::{Running, Share, Site};
use crate::support::sqlite::Sqlite;

const ROWS: u32 = 20_000;

/// Bytes before the first frame.
const START: usize = 5;

/// A frame's kind, flags, length and checksum.
const PREFIX: usize = 14;

/// The start of a stream up to the end of so many frames; the whole stream if it has fewer.
fn cut(stream: Vec<u8>, frames: usize) -> Tampered {
    let mut at = START;
    for _ in 0..frames {
        if at >= stream.len() {
            return Tampered::Whole(stream);
        }
        let length = u32::from_be_bytes(stream[at + 2..at + 6].try_into().unwrap());
        at += PREFIX + length as usize;
    }
    if at >= stream.len() {
        return Tampered::Whole(stream);
    }
    Tampered::Broken(stream[..at].to_vec())
}

/// A line that breaks in the middle of the first stream of `numbers`, and at the beginning of all others until it is
/// mended.
struct Line {
    share: Share,
    middle: Middle,
    mended: Arc<AtomicBool>,
}

impl Line {
    fn to(share: Share) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let (streams, whole) = (AtomicU32::new(0), Arc::clone(&mended));
        let middle = Middle::new(&share.url, "numbers", move |stream| {
            if whole.load(Ordering::Relaxed) {
                return Tampered::Whole(stream);
            }
            match streams.fetch_add(1, Ordering::Relaxed) {
                0 => cut(stream, 3),
                _ => Tampered::Broken(Vec::new()),
            }
        });
        Self {
            share,
            middle,
            mended,
        }
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    fn pull(&self, site: &Site, target: &str, strategy: &str) -> Outcome {
        pull(site, &self.middle.url, &self.share.code, target, strategy)
    }
}

fn pull(site: &Site, url: &str, code: &str, target: &str, strategy: &str) -> Outcome {
    let line = [
        "pull",
        "--json",
        url,
        code,
        "--into",
        target,
        "--strategy",
        strategy,
    ];
    Running::start(site.command("pull-data", &line)).wait()
}

fn created(rows: u32) -> Counts {
    Counts {
        created: rows.into(),
        ..Counts::default()
    }
}

#[test]
fn a_line_that_breaks_is_mended_by_asking_again() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, ROWS);
    let share = site.share(&[&source]);
    let line = Middle::new(&share.url, "numbers", |stream| cut(stream, 3));
    let outcome = pull(&site, &line.url, &share.code, &target, "append");
    let interrupted = outcome.events_of("interrupted");
    assert!(!interrupted.is_empty(), "{outcome:?}");
    assert_eq!(interrupted[0]["code"], "truncated");
    let report = outcome.done();
    assert_eq!(report.counts("numbers"), created(ROWS));
    assert_eq!(report.0["tables"][0]["snapshots"], 1);
    let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&target));
    one.table("numbers").assert_same(&other.table("numbers"));
    share.running.wait().expect_exit(0);
}

/// Breaks a pull in the middle; then the line is mended, and the share goes on.
fn half_a_pull(site: &Site, source: &str, target: &str, strategy: &str) -> Line {
    let line = Line::to(site.share(&[source]));
    line.pull(site, target, strategy).error("truncated");
    let rows = Sqlite::open(target).number("SELECT count(*) FROM numbers");
    assert!(rows > 0 && rows < i64::from(ROWS), "{rows}");
    line.mend();
    line
}

#[test]
fn a_pull_goes_on_with_the_same_code() {
    for strategy in ["skip", "overwrite", "merge", "append"] {
        let site = Site::new();
        let (source, target) = (site.path("source.db"), site.path("target.db"));
        numbers(&source, ROWS);
        let line = half_a_pull(&site, &source, &target, strategy);
        let outcome = line.pull(&site, &target, strategy);
        let planned = outcome.events_of("planned").remove(0);
        assert_eq!(planned["tables"][0]["continued"], true, "{strategy}");
        let report = outcome.done();
        assert_eq!(
            report.counts("numbers").created,
            u64::from(ROWS),
            "{strategy}"
        );
        assert_eq!(report.0["tables"][0]["snapshots"], 2, "{strategy}");
        let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&target));
        one.table("numbers").assert_same(&other.table("numbers"));
        line.share.running.wait().expect_exit(0);
    }
}

#[test]
fn a_pull_goes_on_with_a_new_code_and_a_finished_one_does_not() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, ROWS);
    drop(half_a_pull(&site, &source, &target, "append"));
    let report = site.transfer(&source, &target, &["--strategy", "append"]);
    assert_eq!(report.counts("numbers"), created(ROWS));
    let count = || Sqlite::open(&target).number("SELECT count(*) FROM numbers");
    assert_eq!(count(), i64::from(ROWS));
    site.transfer(&source, &target, &["--strategy", "append"]);
    assert_eq!(count(), i64::from(ROWS) * 2);
}

#[test]
fn what_changed_between_two_snapshots_is_fetched_at_the_end() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, ROWS);
    Sqlite::script(
        &source,
        "CREATE TABLE children (id INTEGER PRIMARY KEY, number INTEGER NOT NULL REFERENCES numbers (id));
         INSERT INTO children SELECT id, id FROM numbers WHERE id <= 10;",
    );
    let line = half_a_pull(&site, &source, &target, "overwrite");
    // Behind the last row that arrived, before it, and a child of a parent that was passed.
    Sqlite::script(
        &source,
        "UPDATE numbers SET text = 'changed' WHERE id IN (5, 19990);
         INSERT INTO numbers VALUES (-1, 'new and passed'), (30000, 'new and to come');
         INSERT INTO children VALUES (11, -1);",
    );
    let report = line.pull(&site, &target, "overwrite").done();
    let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&target));
    for table in ["numbers", "children"] {
        one.table(table).assert_same(&other.table(table));
    }
    assert_eq!(report.0["tables"][0]["snapshots"], 2);
    line.share.running.wait().expect_exit(0);
}

#[test]
fn a_table_without_a_key_arrives_whole_or_not_at_all() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        "CREATE TABLE numbers (text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO numbers SELECT 'number ' || (i % 100) FROM n;",
    );
    let line = Line::to(site.share(&[&source]));
    line.pull(&site, &target, "append").error("truncated");
    let count = || Sqlite::open(&target).number("SELECT count(*) FROM numbers");
    assert_eq!(count(), 0);
    line.mend();
    let report = line.pull(&site, &target, "append").done();
    assert_eq!(report.counts("numbers"), created(ROWS));
    assert_eq!(count(), i64::from(ROWS));
    line.share.running.wait().expect_exit(0);
}
