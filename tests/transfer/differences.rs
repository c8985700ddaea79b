//! `diff`, `pull --dry-run`, and pulls that transfer only the rows that differ.

use crate::support::outcome::{Counts, Outcome};
use crate::support::postgres::{Database, databases};
use crate::support::sample_tables::create_numbers;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

const ROWS: u32 = 20_000;

/// The counts of `diff` for the table `numbers`: remote, local, new, changed, same, local only.
fn numbers_of(outcome: &Outcome) -> [u64; 6] {
    let event = outcome.events_of("differences").remove(0);
    let table = &event["tables"][0];
    assert_eq!(table["table"], "numbers");
    ["remote", "local", "new", "changed", "same", "local_only"]
        .map(|name| table[name].as_u64().unwrap())
}

/// Changes 3 rows, deletes 2 and inserts 1.
const CHANGES: &str = "UPDATE numbers SET text = 'changed' WHERE id IN (7, 8, 19999);
     DELETE FROM numbers WHERE id IN (100, 20000);
     INSERT INTO numbers (id, text) VALUES (30000, 'only here');";

/// The keys of the differences of one kind.
fn keys(outcome: &Outcome, kind: &str) -> Vec<u64> {
    let events = outcome.events_of("difference");
    let wanted = events.iter().filter(|event| event["kind"] == kind);
    let mut keys: Vec<u64> = wanted
        .map(|event| event["key"].as_str().unwrap().parse().unwrap())
        .collect();
    keys.sort_unstable();
    keys
}

fn check_every_difference_is_found(site: &Site, source: &str, target: &str, change: impl Fn(&str)) {
    site.transfer(source, target, &[]);
    let share = site.share(&[source]);
    let all = u64::from(ROWS);
    let equal = site.diff(&share, &["--with", target]).expect_exit(0);
    assert_eq!(numbers_of(&equal), [all, all, 0, 0, all, 0]);
    assert!(equal.events_of("difference").is_empty());

    change(CHANGES);
    let differs = site
        .diff(&share, &["--with", target, "--rows"])
        .expect_exit(3);
    assert_eq!(numbers_of(&differs), [all, all - 1, 2, 3, all - 5, 1]);
    assert_eq!(keys(&differs, "new"), [100, 20_000]);
    assert_eq!(keys(&differs, "changed"), [7, 8, 19_999]);
    assert_eq!(keys(&differs, "local_only"), [30_000]);

    // The same code can still pull, and few bytes are transferred.
    let report = site
        .pull(&share, &["--into", target, "--strategy", "overwrite"])
        .done();
    assert_eq!(
        report.counts("numbers"),
        Counts {
            created: 2,
            updated: 3,
            same: all - 5,
            ..Counts::default()
        }
    );
    let bytes = report.bytes("numbers");
    assert!(bytes < 130_000, "{bytes} bytes for 5 rows");
    share.running.wait().expect_exit(0);
    let share = site.share(&[source]);
    let rest = site
        .diff(&share, &["numbers", "--with", target])
        .expect_exit(3);
    assert_eq!(numbers_of(&rest), [all, all + 1, 0, 0, all, 1]);
}

#[test]
fn diff_finds_every_difference_between_sqlite_files() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    check_every_difference_is_found(&site, &source, &target, |sql| Sqlite::script(&target, sql));
}

#[test]
fn diff_finds_every_difference_between_sqlite_and_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    create_numbers(&source, ROWS);
    check_every_difference_is_found(&site, &source, &database.url(), |sql| database.run(sql));
}

#[test]
fn diff_compares_whole_rows_of_a_table_without_a_key() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE numbers (a, b); INSERT INTO numbers VALUES (1, 'x'), (1, 'x'), (2, 'y');",
    );
    Sqlite::script(
        &target,
        "CREATE TABLE numbers (a, b); INSERT INTO numbers VALUES (1, 'x'), (2, 'y'), (3, 'z');",
    );
    let share = site.share(&[&source]);
    let outcome = site.diff(&share, &["--with", &target]).expect_exit(3);
    assert_eq!(numbers_of(&outcome), [3, 3, 1, 0, 2, 1]);
}

#[test]
fn diff_and_dry_run_write_nothing() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 100);
    Sqlite::script(
        &source,
        "CREATE TABLE other (id INTEGER PRIMARY KEY, name VARCHAR(20));",
    );
    Sqlite::script(
        &target,
        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, text TEXT NOT NULL);",
    );
    let before = std::fs::read(&target).unwrap();
    let share = site.share(&[&source]);
    site.diff(&share, &["--with", &target]).expect_exit(3);
    let dry = site
        .pull(&share, &["--into", &target, "--dry-run"])
        .expect_exit(0);
    assert_eq!(std::fs::read(&target).unwrap(), before);
    let planned = dry.events_of("planned").remove(0);
    let other = planned["tables"].as_array().unwrap().iter();
    let other = other
        .clone()
        .find(|table| table["table"] == "other")
        .unwrap();
    let statement = other["statements"][0].as_str().unwrap();
    assert!(
        statement.starts_with("CREATE TABLE") && statement.contains("VARCHAR(20)"),
        "{statement}"
    );
    assert_eq!(numbers_of(&dry), [100, 0, 100, 0, 0, 0]);

    site.pull(&share, &["--into", &target]).done();
    share.running.wait().expect_exit(0);
}

#[test]
fn a_dry_run_creates_no_file() {
    let site = Site::new();
    let (source, missing) = (site.path("source.db"), site.path("missing.db"));
    create_numbers(&source, 100);
    let share = site.share(&[&source]);
    let dry = site
        .pull(&share, &["--into", &missing, "--dry-run"])
        .expect_exit(0);
    assert_eq!(numbers_of(&dry), [100, 0, 100, 0, 0, 0]);
    assert!(!std::path::Path::new(&missing).exists());
    site.diff(&share, &["--with", &missing]).expect_exit(1);
}

#[test]
fn few_bytes_are_transferred_for_an_unchanged_table() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    site.transfer(&source, &target, &[]);
    for (strategy, same, skipped) in [
        ("overwrite", ROWS, 0),
        ("merge", ROWS, 0),
        ("skip", 0, ROWS),
    ] {
        let report = site.transfer(&source, &target, &["--strategy", strategy]);
        assert_eq!(
            report.counts("numbers"),
            Counts {
                same: same.into(),
                skipped: skipped.into(),
                ..Counts::default()
            },
            "{strategy}"
        );
        let bytes = report.bytes("numbers");
        assert!(bytes < 8_000, "{strategy}: {bytes} bytes");
    }
}

#[test]
fn clean_removes_the_tables_of_tombolo() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 10);
    site.transfer(&source, &target, &[]);
    let own = "SELECT name FROM sqlite_schema WHERE name LIKE 'tombolo%'";
    assert_eq!(Sqlite::open(&target).rows(own).len(), 3);
    let removed = site.run(&["clean", "--json", &target]).expect_exit(0);
    assert_eq!(removed.events_of("removed").len(), 3);
    assert!(Sqlite::open(&target).rows(own).is_empty());
    let again = site.run(&["clean", "--json", &target]).expect_exit(0);
    assert!(again.events().is_empty());
    assert_eq!(
        Sqlite::open(&target).number("SELECT count(*) FROM numbers"),
        10
    );
}

#[test]
fn a_sample_of_rows_is_not_reported_as_sent() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    site.transfer(&source, &target, &[]);
    let pull = |expected: usize| {
        let share = site.share(&[&source]);
        site.pull(&share, &["--into", &target, "--strategy", "overwrite"])
            .done();
        let sent = share.running.wait().expect_exit(0).events_of("sent");
        assert_eq!(sent.len(), expected, "{sent:?}");
    };
    // A sample and digests are read: the table is the same on both sides.
    pull(0);
    Sqlite::script(
        &source,
        "UPDATE numbers SET text = 'changed' WHERE id = 19999",
    );
    // Of the rows, those of one bucket follow the sample.
    pull(1);
}

/// A column of a key, a value of it, and how PostgreSQL prints it.
const KEYS: [(&str, &str, &str); 14] = [
    ("date", "'2030-01-01'", "2030-01-01"),
    ("date", "'-infinity'", "-infinity"),
    (
        "timestamp",
        "'2030-01-01 10:00:00.25'",
        "2030-01-01 10:00:00.25",
    ),
    (
        "timestamptz",
        "'0044-03-15 12:00+00 BC'",
        "0044-03-15 12:00:00+00 BC",
    ),
    ("time", "'23:59:59.000001'", "23:59:59.000001"),
    ("bytea", "'\\xff00'", "\\xff00"),
    (
        "uuid",
        "'0190aaaa-0000-7000-8000-00000000000a'",
        "0190aaaa-0000-7000-8000-00000000000a",
    ),
    ("numeric(8,3)", "1.5", "1.500"),
    ("text[]", "'{a,NULL,\"b c\"}'", "{a,NULL,\"b c\"}"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("boolean", "true", "t"),
    ("float8", "1e20", "1e+20"),
    ("real", "0.1", "0.1"),
    ("interval", "'1 mon 2 days'", "1 mon 2 days"),
];

#[test]
fn keys_are_shown_as_postgres_prints_them_in_differences_and_rejects() {
    let Some([source, target]) = databases() else {
        return;
    };
    let site = Site::new();
    for (number, (kind, value, _)) in KEYS.iter().enumerate() {
        source.run(&format!("CREATE TABLE k{number} (id {kind} PRIMARY KEY, n int); INSERT INTO k{number} VALUES ({value}, 1)"));
        // Another number makes a difference, and no number is a reason to reject.
        target.run(&format!(
            "CREATE TABLE k{number} (id {kind} PRIMARY KEY, n int CHECK (n > 1))"
        ));
    }
    source.run("CREATE TABLE pairs (a date, b text, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES ('2030-01-01', 'x, y')");
    target.run("CREATE TABLE pairs (a date, b text, PRIMARY KEY (a, b), CHECK (b = 'z'))");
    let share = site.share(&[&source.url()]);
    let differs = site
        .diff(&share, &["--with", &target.url(), "--rows"])
        .expect_exit(3);
    let report = site.pull(&share, &["--into", &target.url()]).expect_exit(5);
    for (what, events) in [
        ("difference", differs.events_of("difference")),
        ("rejected", site.rejects(&target.url())),
    ] {
        let key = |table: &str| {
            let found = events.iter().find(|event| event["table"] == table);
            found.unwrap_or_else(|| panic!("{what} {table}: {report:?}"))["key"].clone()
        };
        for (number, (kind, _, expected)) in KEYS.iter().enumerate() {
            assert_eq!(key(&format!("k{number}")), *expected, "{what} {kind}");
        }
        assert_eq!(key("pairs"), "2030-01-01, \"x, y\"", "{what}");
    }
    let people = site.run(&["rejects", &target.url()]).expect_exit(0);
    assert!(
        people
            .stdout
            .iter()
            .any(|line| line.contains("\t0044-03-15 12:00:00+00 BC\t")),
        "{people:?}"
    );
}
