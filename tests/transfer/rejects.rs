//! Rows that a target rejects: they are counted, listed and retried.

use crate::support::any_database::AnyDatabase;
use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, series};

/// A target of each kind of database that is available.
fn targets(site: &Site) -> Vec<AnyDatabase> {
    let file = AnyDatabase::file(site, "target.db");
    let database = Database::new().map(AnyDatabase::Postgres);
    std::iter::once(file).chain(database).collect()
}

const TARGET: &str = "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL);
     CREATE TABLE home (id INTEGER PRIMARY KEY, city INTEGER REFERENCES city (id), number INTEGER CHECK (number < 100), name TEXT UNIQUE);
     INSERT INTO city VALUES (1, 'one');";

/// The keys and reasons of the rejected rows.
fn rejected(site: &Site, target: &str) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = site
        .rejects(target)
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("key"), text("reason"))
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn a_reject_affects_only_its_row_and_can_be_retried_in_sqlite_and_postgres() {
    let site = Site::new();
    for (number, target) in targets(&site).into_iter().enumerate() {
        let source = site.path(&format!("source-{number}.db"));
        Sqlite::script(
            &source,
            &format!(
                "CREATE TABLE home (id INTEGER PRIMARY KEY, city INTEGER, number INTEGER, name TEXT);
             {} INSERT INTO home SELECT i, 1, i % 100, 'home ' || i FROM n;
             UPDATE home SET city = 2 WHERE id = 10;
             UPDATE home SET number = 100 WHERE id = 6000;
             UPDATE home SET name = 'home 1' WHERE id = 7000;
             UPDATE home SET number = 'many' WHERE id = 12000;",
                series(12_000)
            ),
        );
        target.run(TARGET);
        let location = target.location();
        let report = site.transfer(&source, &location, &[]);
        let counts = report.counts("home");
        assert_eq!(
            counts,
            Counts {
                created: 11_996,
                failed: 4,
                ..Counts::default()
            },
            "{location}"
        );
        let rows = rejected(&site, &location);
        let keys: Vec<&str> = rows.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["10", "12000", "6000", "7000"], "{rows:?}");

        target.run("INSERT INTO city VALUES (2, 'two')");
        let run = site.rejects(&location)[0]["run"].clone();
        let run = run.as_str().unwrap();
        let again = site
            .run(&["rejects", "--json", &location, "--retry", &run[..8]])
            .done();
        let counts = again.counts("home");
        assert_eq!((counts.created, counts.failed), (1, 3), "{location}");
        assert_eq!(rejected(&site, &location).len(), 3);
        let home = target.rows("SELECT name FROM home WHERE id = 10");
        assert_eq!(home, [[Some("home 10".to_owned())]]);
    }
}

#[test]
fn too_many_rejects_end_a_pull_into_sqlite_and_postgres() {
    let site = Site::new();
    for (number, target) in targets(&site).into_iter().enumerate() {
        let source = site.path(&format!("source-{number}.db"));
        Sqlite::script(
            &source,
            &format!(
                "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT);
             {} INSERT INTO city SELECT i, CASE i % 100 WHEN 7 THEN NULL ELSE 'c ' || i END FROM n WHERE i > 1;",
                series(5_000)
            ),
        );
        target.run(TARGET);
        let location = target.location();
        let share = site.share(&[&source]);
        let few = ["--into", location.as_str(), "--reject-limit", "49"];
        site.pull(&share, &few).error("too-many-rejects").has_hint();
        // The chunk is rolled back, and people can see why.
        let sample = rejected(&site, &location);
        assert!((1..50).contains(&sample.len()), "{location}: {sample:?}");
        let report = site
            .pull(&share, &["--into", &location, "--reject-limit", "50"])
            .done();
        assert_eq!(report.counts("city").failed, 50, "{location}");
        assert_eq!(rejected(&site, &location).len(), 50);
        share.running.wait().expect_exit(0);
    }
}

#[test]
fn a_verified_table_stays_verified_when_its_run_resumes_in_sqlite_and_postgres() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT);
         {} INSERT INTO city SELECT i, 'city ' || i FROM n;
         CREATE TABLE home (id INTEGER PRIMARY KEY, number INTEGER); INSERT INTO home VALUES (1, 1), (2, 100);",
            series(3_000)
        ),
    );
    for target in targets(&site) {
        target.run(
            "CREATE TABLE home (id INTEGER PRIMARY KEY, number INTEGER CHECK (number < 100));",
        );
        let location = target.location();
        let share = site.share(&[&source]);
        let few = ["--into", location.as_str(), "--reject-limit", "0"];
        site.pull(&share, &few).error("too-many-rejects");
        // A change of another program between the attempts does not fail the run.
        target.run("UPDATE city SET name = 'changed locally' WHERE id = 7;");
        let report = site.pull(&share, &["--into", &location]).done();
        assert_eq!(report.tables(), ["city", "home"]);
        for table in report.0["tables"].as_array().unwrap() {
            assert_eq!(table["stored"], "verified", "{location}: {table}");
        }
        assert_eq!(
            target.rows("SELECT name FROM city WHERE id = 7"),
            [[Some("changed locally".to_owned())]]
        );
    }
}

#[test]
fn rejected_rows_show_in_the_exit_code_the_total_and_the_report_in_sqlite_and_postgres() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT);
         CREATE TABLE home (id INTEGER PRIMARY KEY, number INTEGER);
         INSERT INTO city VALUES (1, 'one'), (2, NULL);
         INSERT INTO home VALUES (1, 100), (2, 200), (3, 300);",
    );
    for target in targets(&site) {
        target.run(
            "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL);
             CREATE TABLE home (id INTEGER PRIMARY KEY, number INTEGER CHECK (number < 100));",
        );
        let location = target.location();
        let share = site.share(&[&source]);
        let arguments = ["--into", location.as_str()];
        let report = site.pull(&share, &arguments).expect_exit(5).done();
        assert_eq!(report.0["rejected"], 4, "{location}");
        assert_eq!(report.entry("home")["stored"], "nothing-arrived");
        assert_eq!(report.entry("city")["stored"], "verified");
        let sent = share.running.wait().expect_exit(0).done();
        assert_eq!(sent.0["rejected"], 4);
        assert_eq!(sent.entry("home")["stored"], "nothing-arrived");

        let retry = ["rejects", "--json", &location, "--retry"];
        let run = site.rejects(&location)[0]["run"].clone();
        let run = run.as_str().unwrap();
        let again = [&retry[..], &[run]].concat();
        let still = site.run(&again).expect_exit(5).done();
        assert_eq!(still.entry("home")["stored"], "nothing-arrived");
        let constraint = match &target {
            AnyDatabase::Postgres(_) => {
                "ALTER TABLE home DROP CONSTRAINT home_number_check; ALTER TABLE city ALTER name DROP NOT NULL"
            }
            _ => {
                "DROP TABLE home; CREATE TABLE home (id INTEGER PRIMARY KEY, number INTEGER);
                 DROP TABLE city; CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT)"
            }
        };
        target.run(constraint);
        let complete = site.run(&again).expect_exit(0).done();
        assert_eq!(complete.0["rejected"], 0, "{location}");
        assert_eq!(complete.entry("home")["stored"], "verified");
    }
}

#[test]
fn a_retry_reads_the_columns_of_postgres_as_they_are_now() {
    let Some(database) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, m INTEGER);
         INSERT INTO t VALUES (1, 7, 1), (2, 'abc', 2), (3, 'de', 3);
         CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO u VALUES (1, 100), (2, 3);",
    );
    let target = AnyDatabase::Postgres(database);
    target.run("CREATE TABLE t (id bigint PRIMARY KEY, n bigint, m bigint); CREATE TABLE u (id bigint PRIMARY KEY, n bigint CHECK (n < 100))");
    let location = target.location();
    let share = site.share(&[&source]);
    let report = site
        .pull(&share, &["--into", &location])
        .expect_exit(5)
        .done();
    assert_eq!(report.0["rejected"], 3, "{report:?}");
    target.run("ALTER TABLE t ALTER n TYPE text; ALTER TABLE u DROP CONSTRAINT u_n_check; ALTER TABLE u RENAME n TO number");
    let run = site.rejects(&location)[0]["run"].clone();
    let retry = [
        "rejects",
        "--json",
        &location,
        "--retry",
        run.as_str().unwrap(),
    ];
    site.run(&retry).expect_exit(0).done();
    let rows = target.rows("SELECT n FROM t ORDER BY id");
    let rows: Vec<_> = rows.iter().flatten().flatten().collect();
    assert_eq!(rows, ["7", "abc", "de"]);
    assert_eq!(
        target.rows("SELECT number::text FROM u WHERE id = 1"),
        [[Some("100".to_owned())]]
    );
}

#[test]
fn rows_that_arrive_another_way_leave_the_list_in_sqlite_and_postgres() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO city VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, NULL);",
    );
    for target in targets(&site) {
        target.run(
            "CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL UNIQUE);
             INSERT INTO city VALUES (11, 'one'), (12, 'two'), (13, 'three');",
        );
        let location = target.location();
        let pull = || {
            let share = site.share(&[&source]);
            let report = site.pull(&share, &["--into", &location]).done();
            share.running.wait().expect_exit(0);
            report
        };
        assert_eq!(pull().0["rejected"], 4, "{location}");
        // The second pull rejects the same rows; they are listed once.
        assert_eq!(pull().0["rejected"], 4, "{location}");
        assert_eq!(rejected(&site, &location).len(), 4, "{location}");
        target.run("DELETE FROM city WHERE id IN (11, 12); INSERT INTO city VALUES (2, 'two')");
        assert_eq!(pull().0["rejected"], 2, "{location}");
        let left = rejected(&site, &location);
        let keys: Vec<&str> = left.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["3", "4"], "{location}: {left:?}");

        let refused = site.run(&["clean", "--json", &location]).error("cancelled");
        refused.has_hint().names(&["2 rows"]);
        assert_eq!(rejected(&site, &location).len(), 2, "{location}");
        site.run(&["clean", "--json", "--yes", &location])
            .expect_exit(0);
        assert!(rejected(&site, &location).is_empty(), "{location}");
    }
}

#[test]
fn a_unique_key_without_null_finds_rows_in_sqlite_and_postgres() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE Items (code TEXT NOT NULL UNIQUE, name TEXT); INSERT INTO Items VALUES ('a', 'new'), ('b', 'same'), ('c', 'more');",
    );
    for target in targets(&site) {
        let name = "\"Items\"";
        target.run(&format!(
            "CREATE TABLE {name} (code TEXT NOT NULL UNIQUE, name TEXT); INSERT INTO {name} VALUES ('a', 'old'), ('b', 'same'), ('z', 'mine');"
        ));
        let location = target.location();
        let report = site.transfer(&source, &location, &["--strategy", "overwrite"]);
        let counts = report.counts("Items");
        assert_eq!(
            (counts.created, counts.updated, counts.same),
            (1, 1, 1),
            "{location}"
        );
        let rows = target.rows(&format!("SELECT name FROM {name} ORDER BY code"));
        let rows: Vec<_> = rows.iter().flatten().flatten().collect();
        assert_eq!(rows, ["new", "same", "more", "mine"], "{location}");
    }
}
