//! Transfers from SQLite to SQLite.

use crate::support::outcome::Counts;
use crate::support::sample_tables::create_numbers;
use crate::support::shared_data;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, assert_same_table, quote};

/// The tables of Chinook.
pub const CHINOOK: [&str; 11] = [
    "Album",
    "Artist",
    "Customer",
    "Employee",
    "Genre",
    "Invoice",
    "InvoiceLine",
    "MediaType",
    "Playlist",
    "PlaylistTrack",
    "Track",
];

#[test]
fn chinook_is_copied_to_a_new_file() {
    let Some(chinook) = shared_data("chinook", "chinook.sqlite") else {
        return;
    };
    let site = Site::new();
    let (source, target) = (chinook.to_str().unwrap(), site.path("copy.db"));
    let report = site.transfer(source, &target, &[]);

    let (mut one, mut other) = (Sqlite::open(source), Sqlite::open(&target));
    assert_eq!(one.tables(), CHINOOK);
    assert_eq!(other.tables(), CHINOOK);
    let mut reported = report.tables();
    // A referenced table comes before the tables that refer to it.
    let place = |table: &str| reported.iter().position(|name| name == table);
    assert!(
        place("Artist") < place("Album") && place("Album") < place("Track"),
        "{reported:?}"
    );
    assert!(place("Invoice") < place("InvoiceLine"), "{reported:?}");
    reported.sort();
    assert_eq!(reported, CHINOOK);
    for table in CHINOOK {
        let (sent, stored) = (one.table(table), other.table(table));
        sent.assert_same(&stored);
        let created = sent.len() as u64;
        assert!(created > 0);
        assert_eq!(report.counts(table), Counts::created(created), "{table}");
    }
}

#[test]
fn a_second_pull_of_chinook_changes_nothing() {
    let Some(chinook) = shared_data("chinook", "chinook.sqlite") else {
        return;
    };
    let site = Site::new();
    let (source, target) = (chinook.to_str().unwrap(), site.path("copy.db"));
    site.transfer(source, &target, &[]);
    let overwrite = site.transfer(source, &target, &["--strategy", "overwrite"]);
    let skip = site.transfer(source, &target, &[]);
    let (mut one, mut other) = (Sqlite::open(source), Sqlite::open(&target));
    for table in CHINOOK {
        let sent = one.table(table);
        sent.assert_same(&other.table(table));
        let rows = sent.len() as u64;
        assert_eq!(overwrite.counts(table), Counts::same(rows), "{table}");
        assert_eq!(skip.counts(table), Counts::skipped(rows), "{table}");
    }
}

#[test]
fn values_keep_storage_class_and_bytes() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE \"Größe & \"\"Maß\"\"\" (\"the key\" INTEGER PRIMARY KEY, \"select\" BLOB, \"Ünïcode\" TEXT);
         INSERT INTO \"Größe & \"\"Maß\"\"\" VALUES
             (-9223372036854775808, x'', ''), (-1, x'00FF00', 'tab\tnewline\nquote'' \"'), (0, zeroblob(100000), '🏝'),
             (9223372036854775807, NULL, NULL);
         CREATE TABLE mixed (id INTEGER PRIMARY KEY, free, real REAL, fixed NUMERIC(10,2), flag BOOLEAN NOT NULL DEFAULT 1);
         INSERT INTO mixed VALUES (1, 1, 0.1, 1.5, 0), (2, 'one', 1e308, 12, 1), (3, x'01', -1e-300, NULL, 1), (4, 1.5, NULL, 0, 0);
         CREATE TABLE pairs (a TEXT, b INTEGER, note TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
         INSERT INTO pairs VALUES ('a', 2, 'x'), ('a', 1, 'y'), ('', 0, NULL);
         CREATE TABLE empty (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'nobody');",
    );
    site.transfer(&source, &target, &[]);
    let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&target));
    for table in ["Größe & \"Maß\"", "mixed", "pairs", "empty"] {
        one.table(table).assert_same(&other.table(table));
    }
    drop(other);
    let mut writable = Sqlite::create(&target);
    writable.run("INSERT INTO empty (id) VALUES (1)");
    let default = writable.rows("SELECT name FROM empty");
    assert_eq!(
        default,
        [[Some("nobody".to_owned())]],
        "the literal default is copied"
    );
}

#[test]
fn a_row_larger_than_a_frame_arrives() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE large (id INTEGER PRIMARY KEY, body BLOB, text TEXT);
         INSERT INTO large VALUES (1, randomblob(5000000), 'a'), (2, x'', hex(zeroblob(1500000))), (3, randomblob(10), 'c');",
    );
    site.transfer(&source, &target, &[]);
    assert_same_table(&source, &target, "large");
}

#[test]
fn many_rows_arrive_in_many_frames() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 20_001);
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(report.counts("numbers"), Counts::created(20_001));
    assert_same_table(&source, &target, "numbers");
}

#[test]
fn a_table_without_a_key_is_created_and_filled() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE log (at TEXT, what TEXT); INSERT INTO log VALUES ('1', 'a'), ('1', 'a'), (NULL, NULL);",
    );
    site.transfer(&source, &target, &["--strategy", "append"]);
    assert_same_table(&source, &target, "log");
}

#[test]
fn rows_in_a_write_ahead_log_are_sent() {
    let (site, source, target) = Site::with_files();
    let mut writer = Sqlite::create(&source);
    writer.run("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2);");
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(
        report.counts("t").created,
        2,
        "rows that are only in the log"
    );
    writer.run("INSERT INTO t VALUES (3)");
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(
        report.counts("t"),
        Counts {
            created: 1,
            skipped: 2,
            ..Counts::default()
        }
    );
    let read = Sqlite::open(&target).rows(&format!("SELECT CAST(id AS TEXT) FROM {}", quote("t")));
    assert_eq!(read.len(), 3);
}

#[test]
fn only_named_tables_are_pulled() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE TABLE order_items (id INTEGER PRIMARY KEY);
         CREATE TABLE secrets (id INTEGER PRIMARY KEY); CREATE VIEW shown AS SELECT id FROM orders;
         INSERT INTO orders VALUES (1); INSERT INTO order_items VALUES (1); INSERT INTO secrets VALUES (1);",
    );
    let share = site.share(&[&source, "--tables", "order*"]);
    let report = site.pull(&share, &["--into", &target]).done();
    let mut tables = report.tables();
    tables.sort();
    assert_eq!(tables, ["order_items", "orders"]);
    assert_eq!(Sqlite::open(&target).tables(), tables);

    let share = site.share(&[&source]);
    let other = site.path("other.db");
    let report = site.pull(&share, &["secrets", "--into", &other]).done();
    assert_eq!(report.tables(), ["secrets"]);
    assert_eq!(Sqlite::open(&other).tables(), ["secrets"]);
}
