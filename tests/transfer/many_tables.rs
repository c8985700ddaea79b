//! Transfers of many small tables: what a table costs does not depend on how many there are.

use std::time::Duration;

use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

const TABLES: u32 = 120;

fn name(number: u32) -> String {
    format!("t{number:03}")
}

/// Tables of one row; every third one refers to the one before it.
fn small_tables() -> String {
    let tables = (1..=TABLES).map(|number| {
        let parent = match number % 3 {
            0 => format!(", parent INT REFERENCES {} (id)", name(number - 1)),
            _ => String::new(),
        };
        let table = name(number);
        let refers = if number % 3 == 0 { ", 1" } else { "" };
        format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, price NUMERIC(10,2){parent}); \
             INSERT INTO {table} VALUES (1, 'row of {table}', 1.50{refers});"
        )
    });
    tables.collect()
}

/// Tables that cannot be written together with others, and children of theirs.
const OTHERS: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'happy'); \
    CREATE TABLE a_moods (id int PRIMARY KEY, mood mood); INSERT INTO a_moods VALUES (1, 'sad'), (2, NULL); \
    CREATE TABLE child_of_moods (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood int REFERENCES a_moods (id)); \
    INSERT INTO child_of_moods (mood) VALUES (1), (2); \
    CREATE TABLE empty (id int PRIMARY KEY); \
    CREATE TABLE many (id int PRIMARY KEY, child int REFERENCES child_of_moods (id)); \
    INSERT INTO many SELECT i, 1 FROM generate_series(1, 1500) i; \
    CREATE TABLE child_of_many (id bigint PRIMARY KEY, many int REFERENCES many (id), at timestamptz, note json); \
    INSERT INTO child_of_many VALUES (1, 1500, '2026-01-01 00:00+02', '{\"a\":  1}');";

/// Transactions of all sessions that have ended.
fn transactions(database: &Database) -> i64 {
    std::thread::sleep(Duration::from_secs(1));
    database.number(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()",
    )
}

#[test]
fn small_tables_share_transactions_and_questions_to_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(&small_tables());
    source.run(OTHERS);
    let before = (transactions(&source), transactions(&target));
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &[]);
    let read = transactions(&source) - before.0;
    let written = transactions(&target) - before.1;
    assert!(
        read < i64::from(TABLES),
        "{read} transactions at the source"
    );
    assert!(
        written < 2 * i64::from(TABLES),
        "{written} transactions in the target"
    );

    assert_eq!(target.tables(), source.tables());
    for table in source.tables() {
        source.table(&table).assert_same(&target.table(&table));
        assert_eq!(report.entry(&table)["stored"], "verified", "{table}");
    }
    assert_eq!(report.counts("many"), Counts::created(1_500));
    assert_eq!(report.counts("child_of_moods"), Counts::created(2));
    // The numbers go on after those that arrived.
    target.run("INSERT INTO child_of_moods (mood) VALUES (1)");
    assert_eq!(target.number("SELECT max(id) FROM child_of_moods"), 3);
    let incomplete = "SELECT count(*) FROM tombolo.ledger WHERE NOT done OR direct";
    assert_eq!(target.number(incomplete), 0);
    let rows = i64::from(TABLES) + 5;
    assert_eq!(target.number("SELECT count(*) FROM tombolo.ledger"), rows);
}

#[test]
fn a_table_that_cannot_be_completed_leaves_the_other_small_ones_complete_in_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    let mut file = Sqlite::create(&source);
    for number in 1..=9 {
        let table = name(number);
        file.run(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, day DATE); INSERT INTO {table} VALUES (1, '2026-01-0{number}')"
        ));
    }
    target.run("CREATE SEQUENCE t005");
    let share = site.share(&[&source]);
    // Its name is taken by something that is no table.
    site.pull(&share, &["--into", &target.url()]).failure();
    for number in (1..=9).filter(|number| *number != 5) {
        assert_eq!(target.table(&name(number)).len(), 1, "t{number:03}");
    }
}

#[test]
fn small_tables_are_copied_between_sqlite_and_postgres() {
    let Some(middle) = Database::new() else {
        return;
    };
    let site = Site::new();
    let (source, copy, back) = (
        site.path("source.db"),
        site.path("copy.db"),
        site.path("back.db"),
    );
    let mut file = Sqlite::create(&source);
    file.run(&small_tables());
    let tables = file.tables();
    for (from, to) in [
        (source.clone(), copy.clone()),
        (source.clone(), middle.url()),
        (middle.url(), back.clone()),
    ] {
        let report = site.transfer(&from, &to, &[]);
        for table in &tables {
            assert_eq!(report.counts(table), Counts::created(1), "{table}");
            assert_eq!(report.entry(table)["stored"], "verified", "{table}");
        }
    }
    let mut same = Sqlite::open(&copy);
    let mut returned = Sqlite::open(&back);
    assert_eq!(same.tables(), tables);
    assert_eq!(returned.tables(), tables);
    for table in &tables {
        file.table(table).assert_same(&same.table(table));
        let rows = format!("SELECT name FROM {table}");
        assert_eq!(returned.rows(&rows), file.rows(&rows));
    }
    let violated = Sqlite::open(&copy).rows("PRAGMA foreign_key_check").len();
    assert_eq!(violated, 0);
}
