//! What is refused instead of changed: views, tables with rewrite rules, and values that PostgreSQL cannot represent.

use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::assert_same_image;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, assert_same_table, quote};

#[test]
fn views_of_postgres_are_refused_on_both_sides() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE t (id integer PRIMARY KEY); CREATE VIEW shown AS SELECT * FROM t;
         CREATE MATERIALIZED VIEW stored AS SELECT * FROM t; CREATE TABLE mine (id integer PRIMARY KEY)",
    );
    target.run(
        "CREATE TABLE hidden (id integer PRIMARY KEY); CREATE VIEW mine AS SELECT * FROM hidden",
    );
    let site = Site::new();
    for name in ["shown", "stored", "mine"] {
        let share = site.share(&[&source.url()]);
        let outcome = site.pull(&share, &[name, "--into", &target.url()]);
        outcome.error("not-a-table").names(&[name]).has_hint();
    }
    let report = site.transfer(&source.url(), &target.url(), &["t"]);
    assert_eq!(report.tables(), ["t"]);
}

#[test]
fn postgres_tables_with_rewrite_rules_are_refused_as_targets_but_not_as_sources() {
    let Some([source, target]) = databases() else {
        return;
    };
    let table = "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE elsewhere (id integer, v text);";
    let rule = "CREATE RULE \"Umleitung\" AS ON INSERT TO t DO INSTEAD INSERT INTO elsewhere VALUES (NEW.*);";
    source.run(&format!("{table} INSERT INTO t VALUES (1, 'a'); {rule}"));
    target.run(&format!("{table} {rule}"));
    let site = Site::new();
    let share = site.share(&[&source.url()]);
    let outcome = site.pull(&share, &["t", "--into", &target.url()]);
    outcome
        .error("unsuitable-table")
        .names(&["\"t\"", "Umleitung"])
        .has_hint();
    assert_eq!(
        target.number("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM elsewhere)"),
        0
    );
    target.run("ALTER TABLE t DISABLE RULE \"Umleitung\"");
    site.transfer(&source.url(), &target.url(), &["t"]);
    source.table("t").assert_same(&target.table("t"));
}

/// A declared type of SQLite, a value in it, and its text in the PostgreSQL column that is created, or `None` if it is
/// rejected.
const CASES: &[(&str, &str, Option<&str>)] = &[
    ("INTEGER", "'x'", None),
    ("INTEGER", "1.5", None),
    ("INTEGER", "x'31'", None),
    (
        "INTEGER",
        "9223372036854775807",
        Some("9223372036854775807"),
    ),
    ("TEXT", "'a' || char(0)", None),
    ("TEXT", "x'61'", None),
    ("TEXT", "'007'", Some("007")),
    ("TEXT", "''", Some("")),
    ("VARCHAR(2)", "'longer than 2'", Some("longer than 2")),
    ("", "1", None),
    ("", "'1'", Some("1")),
    ("REAL", "9e999", Some("Infinity")),
    ("REAL", "-9e999", Some("-Infinity")),
    ("REAL", "7", Some("7")),
    ("REAL", "5e-324", Some("5e-324")),
    ("REAL", "'x'", None),
    ("BOOLEAN", "1", Some("true")),
    ("BOOLEAN", "0", Some("false")),
    ("BOOLEAN", "2", None),
    ("BOOLEAN", "'yes'", None),
    ("NUMERIC", "0.1", Some("0.1")),
    (
        "DECIMAL(10,2)",
        "12345678901234567",
        Some("12345678901234567"),
    ),
    ("NUMERIC", "9e999", None),
    ("NUMERIC", "'Infinity'", Some("Infinity")),
    ("NUMERIC", "'abc'", None),
    ("BLOB", "x'00ff'", Some("\\x00ff")),
    ("BLOB", "'text'", None),
    ("BLOB", "1", None),
    ("DATETIME", "'2024-02-29 12:00'", Some("2024-02-29 12:00")),
    ("DATETIME", "1709208000", None),
    ("DATE", "'not a date'", Some("not a date")),
];

#[test]
fn each_cell_of_sqlite_arrives_in_postgres_unchanged_or_is_rejected() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    for (number, (declared, value, _)) in CASES.iter().enumerate() {
        Sqlite::script(
            &source,
            &format!(
                "CREATE TABLE \"T {number}\" (id INTEGER PRIMARY KEY, \"der Wert\" {declared});
                 INSERT INTO \"T {number}\" VALUES (1, NULL), (5, {value})"
            ),
        );
    }
    let fitting: Vec<String> = CASES
        .iter()
        .enumerate()
        .filter(|(_, case)| case.2.is_some())
        .map(|(number, _)| format!("T {number}"))
        .collect();
    let names: Vec<&str> = fitting.iter().map(String::as_str).collect();
    site.transfer(&source, &target.url(), &names);
    let back = site.path("back.db");
    for (number, (declared, value, expected)) in CASES.iter().enumerate() {
        let table = format!("T {number}");
        let case = format!("{declared} {value}");
        let rows = format!("SELECT \"der Wert\"::text FROM \"{table}\" WHERE id = 5");
        if let Some(expected) = expected {
            assert_eq!(
                target.rows(&rows),
                [[Some((*expected).to_owned())]],
                "{case}"
            );
            continue;
        }
        // A table that the pull creates has a type that fits.
        let sql_type = match *declared {
            "INTEGER" => "bigint",
            "REAL" => "double precision",
            "BOOLEAN" => "boolean",
            "NUMERIC" => "numeric",
            "BLOB" => "bytea",
            _ => "text",
        };
        target.run(&format!(
            "CREATE TABLE \"{table}\" (id bigint PRIMARY KEY, \"der Wert\" {sql_type})"
        ));
        let share = site.share(&[&source]);
        let report = site.pull(&share, &[&table, "--into", &target.url()]).done();
        let counts = report.counts(&table);
        assert_eq!((counts.created, counts.failed), (1, 1), "{case}");
        let rejected = site.rejects(&target.url());
        let found = rejected.iter().find(|reject| reject["table"] == *table);
        let found = found.unwrap_or_else(|| panic!("{case}: {rejected:?}"));
        assert_eq!(
            (&found["row"], &found["key"]),
            (&2.into(), &"5".into()),
            "{case}"
        );
        let reason = found["reason"].as_str().unwrap();
        assert!(reason.contains("\"der Wert\""), "{case}: {reason}");
        assert!(target.rows(&rows).is_empty(), "{case}");
    }
    site.transfer(&target.url(), &back, &names);
    for table in names {
        assert_same_table(&source, &back, table);
    }
}

#[test]
fn any_name_of_a_table_or_column_passes_between_postgres_and_sqlite() {
    let Some([source, target]) = databases() else {
        return;
    };
    let names = [
        "select",
        "Mixed Case",
        "größe",
        "таблица",
        "列",
        "a\"b",
        "a'b",
        "a.b",
        "semi;colon",
        " leading",
        "tab\there",
        "🏝",
        "%s",
        "$1",
        "\\",
    ];
    for (number, name) in names.iter().enumerate() {
        let columns = names.map(|column| format!("{} text", quote(column)));
        source.run(&format!(
            "CREATE TABLE {0} (\"Primary\" integer, {1}, PRIMARY KEY (\"Primary\", {2})); INSERT INTO {0} VALUES ({number}{3})",
            quote(name),
            columns.join(", "),
            quote(names[number]),
            ", 'v'".repeat(names.len())
        ));
    }
    let site = Site::new();
    let file = site.path("Größe & Maß.db");
    site.transfer(&source.url(), &file, &[]);
    site.transfer(&file, &target.url(), &[]);
    site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    for name in names {
        assert_same_image(&source, &target, name);
    }
}
