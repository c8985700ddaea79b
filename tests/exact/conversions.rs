//! The policies `widen` and `lossy` for values that PostgreSQL cannot represent exactly.

use serde_json::{Value, json};

use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};
use crate::support::table::Table;

/// Values of every storage class, some of which look like others.
const CELLS: &[&str] = &[
    "NULL",
    "1",
    "'1'",
    "1.0",
    "1.5",
    "'1.5'",
    "x'31'",
    "x''",
    "''",
    "'007'",
    "'\\x31'",
    "'\\'",
    "'\\t1'",
    "9e999",
    "-9e999",
    "'Infinity'",
    "'NaN'",
    "5e-324",
    "9223372036854775807",
    "1e300",
    "'a' || char(0) || 'b'",
    "char(0)",
    "'true'",
    "0",
    "2",
    "'ü🏝'",
    "'2024-02-29'",
];

const DECLARED: &[&str] = &[
    "",
    "INTEGER",
    "TEXT",
    "VARCHAR(2)",
    "BLOB",
    "REAL",
    "NUMERIC",
    "DECIMAL(10,2)",
    "BOOLEAN",
    "DATETIME",
    "ANY",
];

/// Creates a table with a row for each value and a column for each declared type, and tables with other kinds of keys.
fn every_value(path: &str) {
    let columns: Vec<String> = DECLARED
        .iter()
        .enumerate()
        .map(|(number, declared)| format!("\"C {number}\" {declared}"))
        .collect();
    let rows: Vec<String> = CELLS
        .iter()
        .enumerate()
        .map(|(id, cell)| format!("({id}{})", format!(", {cell}").repeat(DECLARED.len())))
        .collect();
    let (columns, rows) = (columns.join(", "), rows.join(", "));
    Sqlite::script(
        path,
        &format!(
            "CREATE TABLE \"every value\" (id INTEGER PRIMARY KEY, {columns}); INSERT INTO \"every value\" VALUES {rows};
             CREATE TABLE free (k PRIMARY KEY, v) WITHOUT ROWID;
             INSERT INTO free VALUES (1, 'i'), ('1', 't'), (x'31', 'b'), (1.5, 'r'), ('1.5', 's'), ('a' || char(0), 'n');
             CREATE TABLE strict (id INT PRIMARY KEY, a ANY) STRICT; INSERT INTO strict VALUES (1, '007'), (2, 7), (3, 7.0), (4, x'37');"
        ),
    );
}

const TABLES: [&str; 3] = ["every value", "free", "strict"];

fn counts(created: u64, failed: u64) -> Counts {
    Counts {
        created,
        failed,
        ..Counts::default()
    }
}

fn rows(path: &str, table: &str) -> Table {
    Sqlite::open(path).table(table)
}

#[test]
fn every_value_comes_back_from_widened_columns_of_postgres() {
    let Some([target, further]) = databases() else {
        return;
    };
    let site = Site::new();
    let (source, back) = (site.path("source.db"), site.path("back.db"));
    every_value(&source);
    let report = site.transfer(&source, &target.url(), &["--conversion", "widen"]);
    for table in TABLES {
        assert_eq!(report.counts(table).failed, 0, "{table}");
        assert_eq!(report.entry(table)["stored"], "verified", "{table}");
    }
    let types = "SELECT DISTINCT format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = '\"every value\"'::regclass AND attnum > 1";
    assert_eq!(target.rows(types), [[Some("text".to_owned())]]);
    let id = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '\"every value\"'::regclass AND attnum = 1";
    assert_eq!(target.rows(id), [[Some("bigint".to_owned())]]);

    // A second pull and a diff find no difference.
    let again = ["--conversion", "widen", "--strategy", "overwrite"];
    let again = site.transfer(&source, &target.url(), &again);
    let share = site.share(&[&source]);
    site.diff(&share, &["--with", &target.url()]).expect_exit(0);
    site.transfer(&target.url(), &further.url(), &["--conversion", "widen"]);
    site.transfer(&further.url(), &back, &[]);
    for table in TABLES {
        let counts = again.counts(table);
        assert_eq!((counts.created, counts.updated), (0, 0), "{table}");
        assert_eq!(
            rows(&source, table).rows(),
            rows(&back, table).rows(),
            "{table}"
        );
    }
    let changed = "UPDATE \"every value\" SET \"C 1\" = 'other' WHERE id = 1";
    Sqlite::script(&source, changed);
    let again = ["--conversion", "widen", "--strategy", "overwrite"];
    let again = site.transfer(&source, &target.url(), &again);
    assert_eq!(again.counts("every value").updated, 1);
}

#[test]
fn one_column_is_widened_in_postgres_and_the_plan_shows_it() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE \"a.b=c\" (id INTEGER PRIMARY KEY, \"n.o\" INTEGER, m INTEGER);
         INSERT INTO \"a.b=c\" VALUES (1, 1, 1), (2, 2, 2)",
    );
    let share = site.share(&[&source]);
    let into = target.url();
    let policy = ["--conversion", "a.b=c.n.o=widen", "--into", &into];
    let outcome = site.pull(&share, &[&policy[..], &["--dry-run"]].concat());
    let planned = outcome.expect_exit(0).events_of("planned");
    let statement = planned[0]["tables"][0]["statements"][0].as_str().unwrap();
    for part in ["\"n.o\" TEXT", "m BIGINT"] {
        let statement = statement.replace('"', "").to_lowercase();
        let part = part.replace('"', "").to_lowercase();
        assert!(statement.contains(&part), "{part}: {statement}");
    }
    assert!(target.tables().is_empty(), "a dry run writes nothing");
    let report = site.pull(&share, &policy).done();
    assert_eq!(report.counts("a.b=c"), counts(2, 0));
    let stored = target.rows("SELECT \"n.o\" FROM \"a.b=c\" ORDER BY id");
    assert_eq!(stored, [[Some("1".to_owned())], [Some("2".to_owned())]]);
}

#[test]
fn existing_postgres_tables_are_not_widened() {
    let Some(target) = Database::new() else {
        return;
    };
    target.run("CREATE TABLE t (id bigint PRIMARY KEY, n bigint)");
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE a (n INTEGER); INSERT INTO a VALUES ('x');
         CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 'x')",
    );
    let share = site.share(&[&source]);
    for policy in ["widen", "t.n=widen"] {
        let outcome = site.pull(&share, &["--conversion", policy, "--into", &target.url()]);
        outcome.error("bad-request").names(&["t", "n"]).has_hint();
    }
    for policy in ["t.x=lossy", "u.n=lossy"] {
        let outcome = site.pull(&share, &["--conversion", policy, "--into", &target.url()]);
        let name = policy.strip_suffix("=lossy").unwrap();
        outcome.error("bad-request").names(&[name]).has_hint();
    }
    assert_eq!(target.tables(), ["t"]);
    let mixed = ["--conversion", "widen", "--conversion", "t.n=lossy"];
    let mut arguments = mixed.to_vec();
    let into = target.url();
    arguments.extend(["--into", &into]);
    let report = site.pull(&share, &arguments).done();
    assert_eq!(report.counts("a"), counts(1, 0));
    let changed = report.entry("t")["changed"].clone();
    assert_eq!(changed, json!([{"column": "n", "values": 1}]));
}

/// A type of PostgreSQL, a declared type of SQLite, a value in it, and the nearest value or `None` for NULL.
const NEAREST: &[(&str, &str, &str, Option<&str>)] = &[
    ("bigint", "INTEGER", "'x'", None),
    ("bigint", "INTEGER", "1.5", None),
    ("bigint", "INTEGER", "9e999", None),
    ("bigint", "INTEGER", "x'31'", None),
    ("bigint", "", "'007'", Some("7")),
    ("smallint", "INTEGER", "70000", None),
    ("smallint", "", "7.0", Some("7")),
    ("text", "TEXT", "'a' || char(0) || 'b'", Some("ab")),
    ("text", "TEXT", "x'61ff62'", Some("a\u{fffd}b")),
    ("text", "", "7", Some("7")),
    ("text", "", "7.0", Some("7.0")),
    ("varchar(3)", "TEXT", "'größer'", Some("grö")),
    ("double precision", "REAL", "'x'", None),
    (
        "double precision",
        "",
        "9007199254740993",
        Some("9.007199254740992e+15"),
    ),
    ("real", "REAL", "0.1", Some("0.1")),
    ("numeric", "NUMERIC", "9e999", None),
    ("numeric", "NUMERIC", "'abc'", None),
    ("numeric(4,2)", "NUMERIC", "1.239", None),
    ("boolean", "BOOLEAN", "2", None),
    ("bytea", "BLOB", "'text'", Some("\\x74657874")),
    ("date", "TEXT", "'not a date'", None),
    ("json", "TEXT", "'{'", None),
];

#[test]
fn the_nearest_value_is_stored_in_postgres_and_counted() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    for (number, (sql_type, declared, value, _)) in NEAREST.iter().enumerate() {
        let table = quote(&format!("T {number}"));
        Sqlite::script(
            &source,
            &format!(
                "CREATE TABLE {table} (id INTEGER PRIMARY KEY, v {declared}); INSERT INTO {table} VALUES (1, NULL), (2, {value})"
            ),
        );
        target.run(&format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, v {sql_type})"
        ));
    }
    let report = site.transfer(&source, &target.url(), &["--conversion", "lossy"]);
    for (number, case) in NEAREST.iter().enumerate() {
        let table = format!("T {number}");
        let rows = format!("SELECT v::text FROM \"{table}\" WHERE id = 2");
        assert_eq!(
            target.rows(&rows),
            [[case.3.map(str::to_owned)]],
            "{case:?}"
        );
        assert_eq!(report.counts(&table), counts(2, 0), "{case:?}");
        let entry = report.entry(&table);
        assert_eq!(entry["stored"], "verified", "{case:?}");
        let one = json!([{"column": "v", "values": 1}]);
        assert_eq!(entry["changed"], one, "{case:?}");
    }
    let share = site.share(&[&source]);
    let compared = site.diff(&share, &["--with", &target.url()]).expect_exit(3);
    let tables = compared.events_of("differences")[0]["tables"].clone();
    for table in tables.as_array().unwrap() {
        assert_eq!(table["changed"], 1, "{table}");
    }
}

#[test]
fn new_postgres_tables_store_the_nearest_value_except_in_keys_and_not_null_columns() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER NOT NULL, v INTEGER, w TEXT);
         INSERT INTO t VALUES ('a', 1, 'x', 'a'), ('b', 'x', 1, 'b'), ('c' || char(0), 1, 1, 'c'), ('d', 1, 1, char(0)), ('e', 2.5, 1, 'e');
         CREATE TABLE plain (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO plain VALUES (1, 1)",
    );
    let report = site.transfer(&source, &target.url(), &["--conversion", "lossy"]);
    assert_eq!(report.counts("t"), counts(2, 3));
    let changed = json!([{"column": "v", "values": 1}, {"column": "w", "values": 1}]);
    assert_eq!(report.entry("t")["changed"], changed);
    assert_eq!(report.entry("t")["stored"], "verified");
    assert_eq!(report.entry("plain")["changed"], Value::Null);
    let stored = target.rows("SELECT k, n::text, v::text, w FROM t ORDER BY k");
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        stored,
        [
            [text("a"), text("1"), None, text("a")],
            [text("d"), text("1"), text("1"), text("")]
        ]
    );
}

#[test]
fn a_policy_changes_nothing_from_postgres_to_postgres_and_is_refused_for_sqlite() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, v varchar(3), n numeric(4,2), d date);
         INSERT INTO t VALUES (1, 'abc', 1.10, '2024-02-29'), (2, NULL, 'NaN', 'infinity')",
    );
    let site = Site::new();
    for strategy in ["skip", "overwrite"] {
        let policy = ["--conversion", "widen", "--strategy", strategy];
        site.transfer(&source.url(), &target.url(), &policy);
        source.table("t").assert_same(&target.table("t"));
    }
    let share = site.share(&[&source.url()]);
    let file = site.path("copy.db");
    for policy in ["widen", "lossy", "t.v=lossy"] {
        let outcome = site.pull(&share, &["--conversion", policy, "--into", &file]);
        outcome.error("bad-request").has_hint();
    }
    site.pull(&share, &["--into", &file]).done();
    let back = Database::new().unwrap();
    site.transfer(&file, &back.url(), &["--conversion", "widen"]);
    source.table("t").assert_same(&back.table("t"));
}
