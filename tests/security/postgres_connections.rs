//! Connections to a PostgreSQL server: peers and jobs never take more than a share of them, and no transfer waits for
//! ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::private_server::PrivateServer;
use crate::support::site::Site;

/// Counts the most connections of Tombolo's to each database while `work` runs.
fn most_connections(server: &PrivateServer, work: impl FnOnce()) -> u32 {
    let done = AtomicBool::new(false);
    let sql = "SELECT max(n)::text FROM (SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'boss' GROUP BY datname) c";
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let now = server.texts("postgres", sql);
                most = most.max(now.first().map_or(0, |now| now.parse().unwrap()));
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        work();
        done.store(true, Ordering::Relaxed);
        counting.join().unwrap()
    })
}

/// Transfers many tables with many jobs twice, on a server that allows so many connections.
fn transfer_on(allowed: u32, expected: u32) {
    let Some(server) = PrivateServer::start(&format!("-c max_connections={allowed}")) else {
        return;
    };
    server.run("postgres", "postgres", "CREATE ROLE boss LOGIN SUPERUSER");
    for database in ["source", "target"] {
        server.run(
            "postgres",
            "postgres",
            &format!("CREATE DATABASE {database}"),
        );
    }
    let tables: String = (0..12)
        .map(|number| {
            format!(
                "CREATE TABLE t{number} (id integer PRIMARY KEY, pad text);
                 INSERT INTO t{number} SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i;"
            )
        })
        .collect();
    server.run("postgres", "source", &tables);
    let site = Site::new();
    let (source, target) = (server.url("boss", "source"), server.url("boss", "target"));
    let most = most_connections(&server, || {
        for strategy in ["skip", "overwrite"] {
            let report = site.transfer(&source, &target, &["--jobs", "16", "--strategy", strategy]);
            assert_eq!(report.tables().len(), 12);
            server.run(
                "postgres",
                "target",
                "DELETE FROM t3 WHERE id > 10; UPDATE t4 SET pad = ''",
            );
        }
        let share = site.share(&[&source]);
        let compared = site.diff(&share, &["--with", &target]);
        assert_eq!(compared.status.code(), Some(3), "{compared:?}");
    });
    // A backend that ends is counted for a moment longer.
    assert!((1..=expected + 1).contains(&most), "{most} of {allowed}");
}

#[test]
fn transfers_with_many_jobs_take_a_tenth_of_the_connections_of_postgres() {
    transfer_on(40, 4);
}

#[test]
fn transfers_with_many_jobs_work_with_two_connections_of_a_small_postgres() {
    transfer_on(15, 2);
}

/// Transfers on a server whose login may have so many connections.
fn transfer_with_limited_login(limit: u32, elsewhere: u32) {
    let Some(server) = PrivateServer::start("-c max_connections=100") else {
        return;
    };
    server.run(
        "postgres",
        "postgres",
        &format!("CREATE ROLE plain LOGIN CONNECTION LIMIT {limit}"),
    );
    server.run("postgres", "postgres", "CREATE DATABASE shop OWNER plain");
    let tables: String = (0..5)
        .map(|number| {
            format!(
                "CREATE TABLE t{number} (id integer PRIMARY KEY, pad text);
                 INSERT INTO t{number} SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;"
            )
        })
        .collect();
    server.run("plain", "shop", &tables);
    let (site, url) = (Site::new(), server.url("plain", "shop"));
    // Connections of somebody else with the same login.
    let others: Vec<_> = (0..elsewhere)
        .map(|_| server.hold("plain", "shop"))
        .collect();
    let copy = site.path("copy.db");
    let report = site.transfer(&url, &copy, &["--jobs", "4"]);
    assert_eq!(report.tables().len(), 5);
    server.run(
        "postgres",
        "shop",
        "DELETE FROM t1 WHERE id > 10; UPDATE t2 SET pad = ''",
    );
    let report = site.transfer(
        &copy,
        &url,
        &["--jobs", "4", "--strategy", "overwrite", "--yes"],
    );
    assert_eq!(report.counts("t1").created, 1_990);
    assert_eq!(report.counts("t2").updated, 2_000);
    drop(others);
}

#[test]
fn a_login_of_postgres_with_three_connections_is_enough() {
    transfer_with_limited_login(3, 0);
}

#[test]
fn a_login_of_postgres_with_two_connections_is_enough() {
    transfer_with_limited_login(2, 0);
}

#[test]
fn connections_that_others_have_of_a_limited_login_of_postgres_are_missed_by_nobody() {
    transfer_with_limited_login(6, 4);
}
