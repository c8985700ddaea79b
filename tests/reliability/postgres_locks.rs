//! What the sharing side's sessions lock in PostgreSQL: nothing once a run is over, whatever ended it, and nothing between
//! two reads.

use std::time::{Duration, Instant};

use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// How long a lock may outlive the last byte.
const SOON: Duration = Duration::from_secs(1);

const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, pad text);
    INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i;";

/// Fails unless nothing of the sharing side is in a transaction soon.
fn expect_no_transaction(database: &Database, after: &str) {
    let ended = Instant::now();
    while database.open_transactions() > 0 {
        assert!(
            ended.elapsed() < SOON,
            "a transaction outlives {after}: {:?}",
            database.rows(
                "SELECT state, query FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
            )
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    alter(database);
}

/// Takes the strongest lock on the table; fails if it does not get it soon.
fn alter(database: &Database) {
    database.run("SET lock_timeout = '1s'; ALTER TABLE t ADD COLUMN extra integer; ALTER TABLE t DROP COLUMN extra");
}

#[test]
fn a_snapshot_of_postgres_ends_with_a_comparison_a_dry_run_and_a_failed_pull() {
    let Some([source, other]) = databases() else {
        return;
    };
    source.run(TABLE);
    other.run(
        "CREATE TABLE t (id integer PRIMARY KEY, pad text CHECK (pad <> 'x'));
               INSERT INTO t VALUES (1, 'y'), (2000, 'z')",
    );
    let (site, copy) = (Site::new(), "copy.db");
    let target = site.path(copy);

    let share = site.share(&[&source.url()]);
    let compared = site.diff(&share, &["--with", &other.url()]);
    assert_eq!(compared.status.code(), Some(3), "{compared:?}");
    expect_no_transaction(&source, "a comparison");
    drop(share);

    let share = site.share(&[&source.url()]);
    let dry = ["--into", &target, "--dry-run"];
    site.pull(&share, &dry).expect_exit(0);
    expect_no_transaction(&source, "a dry run");
    drop(share);

    // A code belongs to the target that used it first.
    for (ended, limits) in [
        ("a pull with a limit of rows", ["--max-rows", "10"]),
        ("a pull with a limit of bytes", ["--max-bytes", "10"]),
    ] {
        let share = site.share(&[&source.url()]);
        let mut arguments = vec!["--into", &target];
        arguments.extend(limits);
        let failed = site.pull(&share, &arguments);
        assert_ne!(failed.status.code(), Some(0), "{failed:?}");
        expect_no_transaction(&source, ended);
    }

    let share = site.share(&[&source.url()]);
    site.pull(&share, &["--into", &target]).done();
    share.running.wait().expect_exit(0);
    expect_no_transaction(&source, "a pull");
}

#[test]
fn a_receiver_that_is_killed_leaves_no_lock_in_postgres() {
    let Some(source) = Database::new() else {
        return;
    };
    source.run(TABLE);
    source.run(
        "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1001, 400000) i;
         CREATE TABLE s (id integer PRIMARY KEY); INSERT INTO s VALUES (1)",
    );
    let site = Site::new();
    let target = site.path("copy.db");
    let share = site.share(&[&source.url()]);
    let pull = site.start_pull_with_small_chunks(&share.url, &share.code, &["--into", &target]);
    pull.wait_until(|event| event["event"] == "progress" && event["table"] == "t")
        .unwrap();
    source.run("SET lock_timeout = '1s'; ALTER TABLE s ADD COLUMN extra integer; ALTER TABLE s DROP COLUMN extra");
    pull.signal("KILL");
    let _ = pull.wait();
    let killed = Instant::now();
    // The COPY under way ends when the sender notices.
    while source.number("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass") > 0 {
        assert!(killed.elapsed() < SOON, "the table is locked");
        std::thread::sleep(Duration::from_millis(20));
    }
    alter(&source);
    let report = site.pull(&share, &["--into", &target]).done();
    share.running.wait().expect_exit(0);
    assert_eq!(report.counts("s").failed, 0);
    assert_eq!(
        Sqlite::open(&target).number("SELECT count(*) FROM t"),
        400_000
    );
}

#[test]
fn rows_of_a_table_that_is_emptied_meanwhile_are_not_taken_for_none_in_postgres() {
    let Some(source) = Database::new() else {
        return;
    };
    // Large enough that the first table is still under way when the second one is emptied.
    source.run(
        "CREATE TABLE a (id integer PRIMARY KEY, pad text); CREATE TABLE b (id integer PRIMARY KEY, pad text);
         INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 400000) i;
         INSERT INTO b SELECT i, 'before' FROM generate_series(1, 10) i;",
    );
    let site = Site::new();
    let target = site.path("copy.db");
    let share = site.share(&[&source.url()]);
    let pull = site.start_pull_with_small_chunks(&share.url, &share.code, &["--into", &target]);
    pull.wait_for("progress");
    source.run("TRUNCATE b; INSERT INTO b SELECT i, 'after' FROM generate_series(1, 7) i");
    let report = pull.wait().done();
    assert_eq!(report.counts("b"), Counts::created(7));
    let mut copy = Sqlite::open(&target);
    assert_eq!(copy.number("SELECT count(*) FROM b WHERE pad = 'after'"), 7);
    assert_eq!(copy.number("SELECT count(*) FROM a"), 400_000);
}
