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
        assert!(rejected(&site, &location).is_empty());
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
