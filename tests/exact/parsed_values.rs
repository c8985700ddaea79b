//! The policy `parse`: values of SQLite that denote exactly one value of a PostgreSQL column's type.

use serde_json::json;

use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

/// A type of PostgreSQL, a declared type of SQLite, a value in it, and what is stored; none where the row is rejected.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const WITHOUT_OPTIONS: &[Case] = &[
    (
        "timestamp(6)",
        "datetime(6)",
        "'2024-05-06 07:08:05.680000'",
        Some("2024-05-06 07:08:05.68"),
    ),
    (
        "timestamp",
        "DATETIME",
        "'2024-05-06T07:08'",
        Some("2024-05-06 07:08:00"),
    ),
    (
        "timestamp",
        "DATETIME",
        "'2024-05-06 07:08:09.120000000+00:00'",
        Some("2024-05-06 07:08:09.12"),
    ),
    (
        "timestamp",
        "TEXT",
        "'2024-05-06T07:08:09.000Z'",
        Some("2024-05-06 07:08:09"),
    ),
    (
        "timestamp",
        "TEXT",
        "'2024-05-06'",
        Some("2024-05-06 00:00:00"),
    ),
    ("timestamp", "TEXT", "'2024-05-06T07:08:09+02:00'", None),
    ("timestamp", "TEXT", "'2016-12-31 23:59:60'", None),
    ("timestamp(0)", "TEXT", "'2024-05-06 07:08:09.500'", None),
    (
        "timestamp(3)",
        "TEXT",
        "'2024-05-06 07:08:09.500000'",
        Some("2024-05-06 07:08:09.5"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "'2024-05-06 09:08:09+02:00'",
        Some("2024-05-06 07:08:09+00"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "'2024-05-06T09:08:09.5+0200'",
        Some("2024-05-06 07:08:09.5+00"),
    ),
    (
        "timestamptz",
        "timestamp",
        "'2024-05-06 07:08:09 UTC'",
        Some("2024-05-06 07:08:09+00"),
    ),
    (
        "timestamptz",
        "",
        "'2024-05-06 09:08:09.123 +0200 CEST'",
        Some("2024-05-06 07:08:09.123+00"),
    ),
    ("timestamptz", "DATETIME", "'2024-05-06 07:08:09'", None),
    ("timestamptz", "DATETIME", "1714979289680", None),
    (
        "date",
        "DATE",
        "'2024-05-06 00:00:00.000000'",
        Some("2024-05-06"),
    ),
    (
        "date",
        "DATE",
        "'2024-05-06T00:00:00.000Z'",
        Some("2024-05-06"),
    ),
    ("date", "DATE", "'2024-05-06 00:00:01'", None),
    ("date", "DATE", "'06/05/2024'", None),
    ("date", "DATE", "'0000-00-00'", None),
    ("date", "DATE", "''", None),
    (
        "time",
        "time",
        "'2000-01-01 12:34:56.000000'",
        Some("12:34:56"),
    ),
    ("time", "time", "'12:34'", Some("12:34:00")),
    ("time", "time", "'24:00'", Some("24:00:00")),
    ("time", "time", "'2024-05-06 12:34:56'", None),
    (
        "timetz",
        "TEXT",
        "'12:34:56.50+02:00'",
        Some("12:34:56.5+02"),
    ),
    (
        "uuid",
        "TEXT",
        "'a0eebc999c0b4ef8bb6d6bb9bd380a11'",
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ),
    (
        "uuid",
        "char(36)",
        "'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'",
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ),
    (
        "uuid",
        "BLOB",
        "x'a0eebc999c0b4ef8bb6d6bb9bd380a11'",
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ),
    ("uuid", "BLOB", "x'a0eebc999c0b4ef8bb6d6bb9bd380a'", None),
    ("boolean", "boolean", "'t'", Some("true")),
    ("boolean", "varchar(1)", "'F'", Some("false")),
    ("boolean", "TEXT", "'No'", Some("false")),
    ("boolean", "TEXT", "'1'", Some("true")),
    ("boolean", "INTEGER", "0", Some("false")),
    ("boolean", "", "1.0", Some("true")),
    ("boolean", "INTEGER", "2", None),
    ("boolean", "TEXT", "'maybe'", None),
    ("boolean", "TEXT", "''", None),
    ("integer", "TEXT", "' +0042 '", Some("42")),
    ("integer", "TEXT", "'42.000'", Some("42")),
    ("integer", "TEXT", "'4.2e1'", Some("42")),
    ("integer", "", "42.0", Some("42")),
    ("integer", "TEXT", "'4.2'", None),
    ("integer", "TEXT", "'2147483648'", None),
    ("integer", "TEXT", "'1,000'", None),
    ("smallint", "REAL", "7.0", Some("7")),
    ("numeric(10,2)", "TEXT", "'+1.5e2'", Some("150.00")),
    ("numeric(10,2)", "TEXT", "' .50 '", Some("0.50")),
    ("numeric(10,2)", "TEXT", "'0.505'", None),
    ("numeric", "REAL", "-0.0", Some("0")),
    ("double precision", "TEXT", "'1e3'", Some("1000")),
    ("double precision", "TEXT", "'0.10'", Some("0.1")),
    ("double precision", "TEXT", "'3.14159265358979323846'", None),
    ("real", "REAL", "0.1", Some("0.1")),
    ("real", "REAL", "0.123456789012", None),
    ("text", "INTEGER", "7", Some("7")),
    ("varchar(2)", "INTEGER", "700", None),
    ("text", "REAL", "7.5", None),
    ("text", "BLOB", "x'61'", None),
    ("bytea", "TEXT", "'\\x61'", None),
    ("bytea", "TEXT", "'YQ=='", None),
    (
        "jsonb",
        "TEXT",
        "'{\"b\":1,\"a\":[1.50,\"\\u00e9\"]}'",
        Some("{\"a\": [1.50, \"é\"], \"b\": 1}"),
    ),
    ("jsonb", "TEXT", "'{\"a\":1,\"a\":2}'", None),
    ("jsonb", "json", "5", Some("5")),
    ("json", "json", "1.5", Some("1.5")),
    ("json", "TEXT", "'{a}'", None),
    (
        "interval",
        "TEXT",
        "'P1DT2H3M4.5S'",
        Some("1 day 02:03:04.5"),
    ),
    ("interval", "bigint", "90000000", None),
    (
        "inet",
        "char(39)",
        "'2001:DB8:0:0::1/128'",
        Some("2001:db8::1"),
    ),
    (
        "macaddr",
        "TEXT",
        "'08-00-2B-01-02-03'",
        Some("08:00:2b:01:02:03"),
    ),
];

/// With `--time-zone Europe/Berlin --epoch ms`.
const WITH_OPTIONS: &[Case] = &[
    (
        "timestamptz",
        "DATETIME",
        "'2024-05-06 09:08:09.000'",
        Some("2024-05-06 07:08:09+00"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "'2024-01-06 09:08:09'",
        Some("2024-01-06 08:08:09+00"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "'1900-01-06 09:08:09'",
        Some("1900-01-06 08:08:09+00"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "'2024-05-06T07:08:09Z'",
        Some("2024-05-06 07:08:09+00"),
    ),
    ("timestamptz", "DATETIME", "'2024-03-31 02:30:00'", None),
    ("timestamptz", "DATETIME", "'2024-10-27 02:30:00'", None),
    (
        "timestamptz",
        "DATETIME",
        "'2024-10-27 03:00:00'",
        Some("2024-10-27 02:00:00+00"),
    ),
    (
        "timestamptz",
        "DATETIME",
        "1714979289680",
        Some("2024-05-06 07:08:09.68+00"),
    ),
    ("timestamptz", "BIGINT", "0", Some("1970-01-01 00:00:00+00")),
    (
        "timestamptz",
        "TEXT",
        "'1714979289680'",
        Some("2024-05-06 07:08:09.68+00"),
    ),
    (
        "timestamptz",
        "REAL",
        "1714979289680.25",
        Some("2024-05-06 07:08:09.68025+00"),
    ),
    (
        "timestamp",
        "DATETIME",
        "1714979289680",
        Some("2024-05-06 09:08:09.68"),
    ),
    (
        "timestamp",
        "DATETIME",
        "'2024-05-06T07:08:09+00:00'",
        Some("2024-05-06 09:08:09"),
    ),
    (
        "timestamp",
        "DATETIME",
        "'2024-05-06 07:08:09'",
        Some("2024-05-06 07:08:09"),
    ),
    ("date", "DATE", "1714946400000", Some("2024-05-06")),
    ("date", "DATE", "1714979289680", None),
    ("time", "INTEGER", "45296000", Some("12:34:56")),
    ("interval", "bigint", "90000", Some("00:01:30")),
    ("integer", "INTEGER", "90000", Some("90000")),
];

/// Fills a table for each case on both sides.
fn prepare(source: &str, target: &Database, cases: &[Case]) {
    for (number, (sql_type, declared, value, _)) in cases.iter().enumerate() {
        let table = quote(&format!("T {number}"));
        Sqlite::script(
            source,
            &format!(
                "CREATE TABLE {table} (id INTEGER PRIMARY KEY, v {declared});
                 INSERT INTO {table} VALUES (1, NULL), (2, {value})"
            ),
        );
        target.run(&format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, v {sql_type})"
        ));
    }
}

fn check(cases: &[Case], options: &[&str]) {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    prepare(&source, &target, cases);
    let report = site.transfer(&source, &target.url(), options);
    for (number, case) in cases.iter().enumerate() {
        let table = format!("T {number}");
        // A cast to text adds a prefix to addresses, and only a cast writes truth values out.
        let shown = match case.0 {
            "inet" => "format('%s', v)",
            _ => "v::text",
        };
        let stored = target.rows(&format!(
            "SELECT v #>> '{{}}' FROM (SELECT to_jsonb({shown}) AS v FROM \"{table}\" WHERE id = 2) AS t"
        ));
        let expected: Vec<Vec<Option<String>>> = case
            .3
            .iter()
            .map(|text| vec![Some((*text).to_owned())])
            .collect();
        assert_eq!(stored, expected, "{case:?}");
        let failed = u64::from(case.3.is_none());
        let counts = Counts {
            created: 2 - failed,
            failed,
            ..Counts::default()
        };
        assert_eq!(report.counts(&table), counts, "{case:?}");
        assert!(report.entry(&table)["changed"].is_null(), "{case:?}");
    }
    // The same again changes nothing.
    let again = [options, &["--strategy", "overwrite"]].concat();
    let again = site.transfer(&source, &target.url(), &again);
    for (number, case) in cases.iter().enumerate() {
        let counts = again.counts(&format!("T {number}"));
        assert_eq!((counts.created, counts.updated), (0, 0), "{case:?}");
    }
}

#[test]
fn what_denotes_one_value_is_stored_in_postgres() {
    check(WITHOUT_OPTIONS, &["--conversion", "parse"]);
}

#[test]
fn zones_and_units_tell_postgres_what_values_do_not_say() {
    let options = [
        "--conversion",
        "parse",
        "--time-zone",
        "Europe/Berlin",
        "--epoch",
        "ms",
    ];
    check(WITH_OPTIONS, &options);
}

#[test]
fn parsed_values_are_counted_by_column_and_equal_in_a_postgres_diff() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (id char(32) PRIMARY KEY, at DATETIME, ok boolean, n numeric, doc text);
         INSERT INTO t VALUES
           ('A0EEBC999C0B4EF8BB6D6BB9BD380A11', '2024-05-06 07:08:09.680000', 't', 1.5, '{\"b\":1,\"a\":2}'),
           ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '2024-05-06 07:08:09.68', 0, 2, '{\"a\": 2}'),
           ('{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13}', NULL, NULL, NULL, NULL);",
    );
    target.run(
        "CREATE TABLE t (id uuid PRIMARY KEY, at timestamp(6), ok boolean, n numeric(8,2), doc jsonb)",
    );
    let parse = ["--conversion", "parse"];
    let report = site.transfer(&source, &target.url(), &parse);
    assert_eq!(report.counts("t"), Counts::created(3));
    let entry = report.entry("t");
    assert_eq!(
        entry["parsed"],
        json!([
            {"column": "at", "values": 1},
            {"column": "doc", "values": 1},
            {"column": "id", "values": 2},
            {"column": "ok", "values": 1},
        ])
    );
    assert_eq!(entry["stored"], "verified");

    let share = site.share(&[&source]);
    let with = target.url();
    let diff = |options: &[&str]| {
        let arguments = [options, &["--with", &with, "--rows"]].concat();
        site.diff(&share, &arguments)
    };
    diff(&parse).expect_exit(0);
    // Without the policy the texts are other values.
    let exact = diff(&[]).expect_exit(3);
    let table = exact.events_of("differences")[0]["tables"][0].clone();
    assert_eq!((&table["same"], &table["remote"]), (&json!(1), &json!(3)));
    target.run("UPDATE t SET n = 3 WHERE ok; INSERT INTO t VALUES (gen_random_uuid())");
    let differs = diff(&parse).expect_exit(3);
    let keys = differs.events_of("difference");
    let changed = keys
        .iter()
        .find(|difference| difference["kind"] == "changed");
    let key = changed.map(|difference| difference["key"].clone());
    assert_eq!(key, Some(json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")));
    let table = differs.events_of("differences")[0]["tables"][0].clone();
    for (what, rows) in [("same", 2), ("changed", 1), ("new", 0), ("local_only", 1)] {
        assert_eq!(table[what], rows, "{what}: {table}");
    }
}

#[test]
fn a_rejected_row_names_the_option_that_takes_it_into_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    let cases = [
        (
            "timestamp",
            "'2024-05-06T07:08:09'",
            "add --conversion parse",
        ),
        (
            "timestamptz",
            "'2024-05-06 07:08:09'",
            "add --conversion parse --time-zone ZONE",
        ),
        (
            "timestamptz",
            "1714979289",
            "add --conversion parse --epoch s, ms or us",
        ),
        ("boolean", "'t'", "add --conversion parse"),
        (
            "uuid",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "add --conversion parse",
        ),
        (
            "integer",
            "'many'",
            "--conversion lossy stores the nearest value or NULL",
        ),
    ];
    for (number, (sql_type, value, _)) in cases.iter().enumerate() {
        let table = format!("T{number}");
        Sqlite::script(
            &source,
            &format!(
                "CREATE TABLE {table} (id INTEGER PRIMARY KEY, v ANY); INSERT INTO {table} VALUES (1, {value})"
            ),
        );
        target.run(&format!(
            "CREATE TABLE \"{table}\" (id bigint PRIMARY KEY, v {sql_type})"
        ));
    }
    site.transfer(&source, &target.url(), &[]);
    let rejects = site.rejects(&target.url());
    for (number, case) in cases.iter().enumerate() {
        let table = format!("T{number}");
        let reject = rejects.iter().find(|reject| reject["table"] == *table);
        let reason = reject.map(|reject| reject["reason"].as_str().unwrap().to_owned());
        let reason = reason.unwrap_or_default();
        assert!(reason.ends_with(case.2), "{case:?}: {reason}");
    }
    let options = ["--conversion", "parse", "--strategy", "overwrite"];
    site.transfer(&source, &target.url(), &options);
    let rejects = site.rejects(&target.url());
    let has = |part: &str| {
        rejects
            .iter()
            .any(|reject| reject["reason"].as_str().unwrap().contains(part))
    };
    assert!(
        has("add --time-zone ZONE") && has("add --epoch s, ms or us"),
        "{rejects:?}"
    );
}

#[test]
fn zones_and_units_are_given_by_column_for_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a DATETIME, b DATETIME, c BIGINT, d BIGINT, e BIGINT);
         INSERT INTO t VALUES (1, '2024-05-06 07:08:09', '2024-05-06 07:08:09', 1714979289, 1714979289680, 5)",
    );
    target.run("CREATE TABLE t (id bigint PRIMARY KEY, a timestamptz, b timestamptz, c timestamptz, d timestamp, e interval)");
    let mut options = vec![
        "--conversion",
        "parse",
        "--time-zone",
        "UTC",
        "--epoch",
        "s",
    ];
    options.extend([
        "--time-zone",
        "t.b=-05:30",
        "--epoch",
        "t.d=ms",
        "--epoch",
        "t.e=us",
    ]);
    let report = site.transfer(&source, &target.url(), &options);
    assert_eq!(report.counts("t"), Counts::created(1));
    let stored = target.rows("SELECT a::text, b::text, c::text, d::text, e::text FROM t");
    let expected = [
        "2024-05-06 07:08:09+00",
        "2024-05-06 12:38:09+00",
        "2024-05-06 07:08:09+00",
        "2024-05-06 07:08:09.68",
        "00:00:00.000005",
    ];
    assert_eq!(stored, [expected.map(|text| Some(text.to_owned()))]);
}

#[test]
fn unknown_zones_are_refused_before_anything_is_written_to_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE a (id INTEGER PRIMARY KEY, at DATETIME); INSERT INTO a VALUES (1, '2024-05-06 07:08:09')",
    );
    let into = target.url();
    let share = site.share(&[&source]);
    for zone in ["Europe/Atlantis", "Foo+3", "17:00"] {
        let options = [
            "--conversion",
            "parse",
            "--time-zone",
            zone,
            "--into",
            &into,
        ];
        let outcome = site.pull(&share, &options);
        outcome.error("bad-request").names(&[zone]).has_hint();
        assert!(target.tables().is_empty(), "{zone}");
    }
    for options in [
        &["--time-zone", "UTC"][..],
        &["--epoch", "s"],
        &["--conversion", "lossy", "--epoch", "s"],
        &["--conversion", "parse", "--epoch", "ns"],
    ] {
        let outcome = site.pull(&share, &[options, &["--into", &into]].concat());
        outcome.expect_exit(2);
    }
}

#[test]
fn texts_of_postgres_are_parsed_into_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE t (id integer PRIMARY KEY, at text, n text, ok varchar(5), day timestamp, doc text);
         INSERT INTO t VALUES (1, '2024-05-06T07:08:09Z', '1e2', 'yes', '2024-05-06', '{\"b\":1,\"a\":1}'),
                              (2, 'soon', '1', 'no', '2024-05-06 01:00', '[]')",
    );
    target.run("CREATE TABLE t (id integer PRIMARY KEY, at timestamptz, n integer, ok boolean, day date, doc jsonb)");
    let site = Site::new();
    let share = site.share(&[&source.url()]);
    let refused = site.pull(&share, &["--into", &target.url()]);
    let refused = refused.error("columns-differ");
    assert!(
        refused.hint.contains("--conversion parse"),
        "{}",
        refused.hint
    );
    let report = site.transfer(&source.url(), &target.url(), &["--conversion", "parse"]);
    assert_eq!(
        (report.counts("t").created, report.counts("t").failed),
        (1, 1)
    );
    let stored = target.rows("SELECT at::text, n::text, ok::text, day::text, doc::text FROM t");
    let expected = [
        "2024-05-06 07:08:09+00",
        "100",
        "true",
        "2024-05-06",
        "{\"a\": 1, \"b\": 1}",
    ];
    assert_eq!(stored, [expected.map(|text| Some(text.to_owned()))]);
}
