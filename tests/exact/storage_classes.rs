//! The storage class and the bytes of each cell, from SQLite to SQLite.

use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, assert_same_table, literal, quote};
use crate::support::table::Table;

/// Every storage class in columns of every affinity.
const CELLS: &str = "
    (1, 1, '1', 1.5, x'', NULL), (2, '007', 'x', '1e5 ', '', ' 7'), (3, 9007199254740993, -9223372036854775808, 9223372036854775807, 0.1, 5e-324),
    (4, 9e999, -9e999, 9e999, -9e999, 1.7976931348623157e308), (5, x'00ff', x'c3', x'', x'31', x'8000000000000000'),
    (6, 'a' || char(0) || 'b', char(0), '1' || char(0), char(0) || '1', 'ü🏝' || char(0)),
    (7, 0.0, -0.0, 1e15, 1e19, -1.0), (8, 'NaN', 'Infinity', 'inf', '0x10', '1_000'), (9, '', ' ', 'true', '2024-02-29', 'NULL'),
    (10, 12345678901234567890, '12345678901234567890', '1.10', '1.10', '0.1')";

/// Copies a database; a second pull changes nothing.
fn copied(sql: &str) -> (Sqlite, Sqlite) {
    let (site, source, target) = Site::with_files();
    Sqlite::script(&source, sql);
    site.transfer(&source, &target, &[]);
    let mut copy = Sqlite::open(&target);
    let mut keyed = copy.tables();
    keyed.retain(|table| {
        copy.number(&format!(
            "SELECT max(pk) FROM pragma_table_info({})",
            literal(table)
        )) > 0
    });
    let mut arguments: Vec<&str> = keyed.iter().map(String::as_str).collect();
    arguments.extend(["--strategy", "overwrite"]);
    let again = site.transfer(&source, &target, &arguments);
    for table in &keyed {
        let counts = again.counts(table);
        assert_eq!(
            (counts.created, counts.updated),
            (0, 0),
            "{table} is the same after the first pull"
        );
    }
    (Sqlite::open(&source), copy)
}

/// Compares only the rows: the declared types of some columns differ in the copy.
fn assert_same_rows(one: &Table, other: &Table) {
    assert_eq!(one.rows(), other.rows());
}

#[test]
fn every_storage_class_is_kept_in_columns_of_every_affinity() {
    let declared = [
        "",
        "INTEGER",
        "BIGINT",
        "TEXT",
        "NVARCHAR(160)",
        "BLOB",
        "REAL",
        "DOUBLE PRECISION",
        "NUMERIC",
        "DECIMAL(10,2)",
        "BOOLEAN",
        "DATETIME",
        "DATE",
        "JSON",
        "ANY",
        "UUID",
        "UNSIGNED BIG INT",
        "\"größe, 2\"",
    ];
    let table = |declared: &&str| {
        let name = quote(&format!("sélect {declared}"));
        let columns =
            ["a", "B c", "from", "Ünï", "e\"f"].map(|name| format!("{} {declared}", quote(name)));
        format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, {}); INSERT INTO {name} VALUES {CELLS};",
            columns.join(", ")
        )
    };
    let script: String = declared.iter().map(table).collect();
    let (mut one, mut other) = copied(&script);
    for declared in declared {
        let name = format!("sélect {declared}");
        assert_same_rows(&one.table(&name), &other.table(&name));
    }
}

#[test]
fn strict_tables_keep_every_cell() {
    let (mut one, mut other) = copied(&format!(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY, b ANY, c ANY, d ANY, e ANY) STRICT; INSERT INTO s VALUES {CELLS};
         CREATE TABLE t (i INT, r REAL, t TEXT, b BLOB, a ANY, PRIMARY KEY (a, i)) STRICT, WITHOUT ROWID;
         INSERT INTO t VALUES (1, 2, '3', x'34', '007'), (2, 0.5, '1e5', x'', 7), (3, NULL, '', NULL, 7.5);"
    ));
    for table in ["s", "t"] {
        assert_same_rows(&one.table(table), &other.table(table));
    }
}

#[test]
fn values_arrive_in_an_existing_strict_table() {
    let (site, source, target) = Site::with_files();
    let table = "CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY, b ANY, c ANY, d ANY, e ANY) STRICT";
    Sqlite::script(&source, &format!("{table}; INSERT INTO s VALUES {CELLS}"));
    Sqlite::script(
        &target,
        &format!("{table}; INSERT INTO s (id, a) VALUES (2, 7)"),
    );
    site.transfer(&source, &target, &["--strategy", "overwrite"]);
    assert_same_table(&source, &target, "s");
}

#[test]
fn keys_of_every_kind_keep_their_values() {
    let (mut one, mut other) = copied(
        "CREATE TABLE alias (\"rowid\" TEXT, _rowid_ TEXT, oid INTEGER PRIMARY KEY); INSERT INTO alias VALUES ('a', 'b', -7), ('c', 'd', 9223372036854775807);
         CREATE TABLE named (\"rowid\" TEXT, \"_rowid_\" TEXT, \"oid\" TEXT); INSERT INTO named VALUES ('1', '2', '3'), (NULL, NULL, NULL);
         CREATE TABLE text_key (k TEXT PRIMARY KEY, v); INSERT INTO text_key VALUES ('007', 1), ('7', 2), ('', 3), ('a' || char(0), 4), ('a', 5);
         CREATE TABLE nocase (k TEXT COLLATE NOCASE PRIMARY KEY, v); INSERT INTO nocase VALUES ('A', 1), ('b', 2);
         CREATE TABLE flags (a BOOLEAN, b INTEGER, v, PRIMARY KEY (a, b)); INSERT INTO flags VALUES (0, 0, 'x'), (1, 0, 'y'), (0, 1, 'z');
         CREATE TABLE free (k PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO free VALUES (1, 'i'), ('1', 't'), (x'31', 'b'), (1.5, 'r');
         CREATE TABLE reals (k REAL PRIMARY KEY, v); INSERT INTO reals VALUES (0.1, 1), (9e999, 2), (1e300, 3);",
    );
    for table in [
        "alias", "named", "text_key", "nocase", "flags", "free", "reals",
    ] {
        one.table(table).assert_same(&other.table(table));
    }
}

#[test]
fn an_integer_key_that_is_not_the_rowid_keeps_values_of_other_classes() {
    let (mut one, mut other) = copied(
        "CREATE TABLE falling (id INTEGER PRIMARY KEY DESC, v); INSERT INTO falling VALUES (1, 'a'), ('x', 'b'), (1.5, 'c'), (x'00', 'd');
         CREATE TABLE without (id INTEGER PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO without VALUES (1, 'a'), ('x', 'b'), (2.5, 'c');",
    );
    for table in ["falling", "without"] {
        assert_same_rows(&one.table(table), &other.table(table));
    }
}

#[test]
fn generated_columns_are_not_copied() {
    let (mut one, mut other) = copied(
        "CREATE TABLE made (id INTEGER PRIMARY KEY, a INTEGER, twice INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL, b TEXT,
             kept TEXT AS (b || '!') STORED, UNIQUE (kept));
         INSERT INTO made (id, a, b) VALUES (1, 2, 'x'), (2, NULL, '');",
    );
    let columns = "SELECT group_concat(name) FROM pragma_table_info('made')";
    assert_eq!(other.rows(columns), [[Some("id,a,b".to_owned())]]);
    let rows = "SELECT quote(id), quote(a), quote(b) FROM made ORDER BY id";
    assert_eq!(one.rows(rows), other.rows(rows));
}

#[test]
fn an_existing_table_computes_its_own_columns() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER AS (a + 1)); INSERT INTO t (id, a) VALUES (1, 2)",
    );
    Sqlite::script(
        &target,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER AS (a * 100) STORED)",
    );
    site.transfer(&source, &target, &[]);
    let rows = Sqlite::open(&target).rows("SELECT quote(a), quote(b) FROM t");
    assert_eq!(rows, [[Some("2".to_owned()), Some("200".to_owned())]]);
}

#[test]
fn virtual_tables_and_views_are_refused_by_name() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE plain (id INTEGER PRIMARY KEY); CREATE VIEW shown AS SELECT id FROM plain;
         CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('a');",
    );
    for name in ["shown", "words"] {
        let share = site.share(&[&source]);
        let outcome = site.pull(&share, &[name, "--into", &site.path("copy.db")]);
        outcome.error("not-a-table").names(&[name]).has_hint();
    }
    let report = site.transfer(&source, &site.path("copy.db"), &[]);
    assert_eq!(
        report.tables(),
        ["plain"],
        "neither the views and virtual tables nor their shadow tables"
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_row_and_column() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'good'), (2, CAST(x'c3287365637265742d' AS TEXT))",
    );
    let share = site.share(&[&source]);
    let failure = site.pull(&share, &["--into", &target]).failure();
    let failure = failure.names(&["\"t\"", "row 2", "\"name\"", "UTF-8"]);
    assert!(!failure.message.contains("secret"), "{failure:?}");
    assert_eq!(Sqlite::open(&target).number("SELECT count(*) FROM t"), 0);
}

#[test]
fn texts_of_utf16_databases_are_copied() {
    let (mut one, mut other) = copied(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE \"ключ\" (id TEXT PRIMARY KEY, v TEXT);
         INSERT INTO \"ключ\" VALUES ('ü🏝', 'e' || char(769)), ('', NULL)",
    );
    one.table("ключ").assert_same(&other.table("ключ"));
}
