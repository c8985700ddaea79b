//! Tables that exist in the target and differ from the peer's.

use crate::support::postgres::databases;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// Transfers a table, again, and compares it; the plan's phrases are returned.
fn transferred(site: &Site, source: &str, target: &str, rows: u64) -> Vec<String> {
    let share = site.share(&[source]);
    let outcome = site.pull(&share, &["t", "--into", target, "--strategy", "overwrite"]);
    let planned = outcome.events_of("planned");
    let phrases = planned[0]["tables"][0]["not_carried"].clone();
    let counts = outcome.done().counts("t");
    let arrived = counts.created + counts.updated;
    assert_eq!((arrived, counts.failed), (rows, 0), "{counts:?}");
    let again = site.transfer(source, target, &["t", "--strategy", "overwrite"]);
    let counts = again.counts("t");
    assert_eq!((counts.created, counts.updated, counts.failed), (0, 0, 0));
    let share = site.share(&[source]);
    let same = site.diff(&share, &["t", "--with", target]);
    same.expect_exit(0);
    let phrases = phrases.as_array().unwrap().iter();
    phrases
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn columns_of_one_side_and_names_in_another_case_do_not_refuse_a_postgres_table() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE t (\"ID\" int PRIMARY KEY, \"Name\" text, extra text NOT NULL, \"Größe\" int);
         INSERT INTO t SELECT i, 'n' || i, 'x', i FROM generate_series(1, 300) i",
    );
    target.run(
        "CREATE TABLE t (own text DEFAULT 'mine', size int GENERATED ALWAYS AS (größe * 2) STORED, größe int, id int PRIMARY KEY, name text);
         INSERT INTO t (id, name, own, größe) VALUES (1, 'old', 'kept', 1)",
    );
    let site = Site::new();
    let phrases = transferred(&site, &source.url(), &target.url(), 300);
    assert_eq!(phrases.len(), 1, "{phrases:?}");
    assert!(phrases[0].contains("\"extra\""), "{phrases:?}");
    let rows = target
        .rows("SELECT name, own, größe::text, size::text FROM t WHERE id IN (1, 2) ORDER BY id");
    let row = |values: [&str; 4]| values.map(|value| Some(value.to_owned()));
    assert_eq!(
        rows,
        [row(["n1", "kept", "1", "2"]), row(["n2", "mine", "2", "4"])]
    );
    // Few differences move by their buckets.
    source.run("UPDATE t SET \"Name\" = 'new' WHERE \"ID\" = 7; UPDATE t SET extra = 'y'");
    let again = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    assert_eq!(again.counts("t").updated, 1);
    // A column that the target has to have cannot be left to it.
    target.run("ALTER TABLE t ALTER own DROP DEFAULT, ALTER own SET NOT NULL");
    let share = site.share(&[&source.url()]);
    let refused = site.pull(&share, &["--into", &target.url()]);
    refused.error("columns-differ").names(&["own"]).has_hint();
}

#[test]
fn columns_of_one_side_and_names_in_another_case_do_not_refuse_a_sqlite_table() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE t (ID INTEGER PRIMARY KEY, Name TEXT, extra, \"ÄÖ\" INTEGER); INSERT INTO t VALUES (1, 'a', x'00', 7), (2, 'b', 5, 8)",
    );
    Sqlite::script(
        &target,
        "CREATE TABLE t (own TEXT DEFAULT 'mine', \"äö\" INTEGER, id INTEGER PRIMARY KEY, name TEXT)",
    );
    let phrases = transferred(&site, &source, &target, 2);
    assert!(phrases[0].contains("\"extra\""), "{phrases:?}");
    let rows = Sqlite::open(&target).rows("SELECT own || name || äö FROM t ORDER BY id");
    assert_eq!(
        rows,
        [[Some("minea7".to_owned())], [Some("mineb8".to_owned())]]
    );
}

#[test]
fn postgres_types_that_hold_the_same_values_do_not_refuse_a_table() {
    let Some([source, target]) = databases() else {
        return;
    };
    let types = [
        ("int", "bigint", "7"),
        ("bigint", "int", "7"),
        ("int", "numeric", "-7"),
        ("numeric", "int", "7"),
        ("int", "double precision", "7"),
        ("double precision", "int", "7"),
        ("int", "text", "7"),
        ("real", "double precision", "0.5"),
        ("double precision", "real", "0.5"),
        ("numeric", "numeric(12,3)", "1.500"),
        ("varchar(9)", "text", "x"),
        ("text", "varchar(9)", "x"),
        ("int[]", "bigint[]", "{1,NULL}"),
        ("int[]", "text", "{1,2}"),
        ("mood", "text", "sad"),
        ("text", "mood", "sad"),
        ("text", "jsonb", "{\"a\": 1}"),
        ("jsonb", "text", "{\"a\": 1}"),
        ("text", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("date", "timestamp", "2024-02-29"),
        ("timestamp", "date", "1999-01-01"),
        ("inet", "text", "10.0.0.1"),
        ("boolean", "int", "true"),
        ("text", "short", "x"),
        ("short", "text", "x"),
    ];
    for database in [&source, &target] {
        database.run(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)",
        );
    }
    let columns = |of: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        let numbered = types.iter().enumerate();
        let columns: Vec<String> = numbered
            .map(|(number, types)| format!("c{number} {}", of(types)))
            .collect();
        columns.join(", ")
    };
    source.run(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, {})",
        columns(|types| types.0)
    ));
    target.run(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, {})",
        columns(|types| types.1)
    ));
    let values: Vec<String> = types.iter().map(|types| format!("'{}'", types.2)).collect();
    source.run(&format!(
        "INSERT INTO t VALUES (1, {}); INSERT INTO t (id) VALUES (2)",
        values.join(", ")
    ));
    let site = Site::new();
    transferred(&site, &source.url(), &target.url(), 2);
    // What a column cannot hold exactly is a reject of its own.
    source.run(
        "INSERT INTO t (id, c1) VALUES (3, 3000000000); INSERT INTO t (id, c3) VALUES (4, 7.5);
                INSERT INTO t (id, c5) VALUES (5, 0.5); INSERT INTO t (id, c15) VALUES (6, 'glad');
                INSERT INTO t (id, c21) VALUES (7, '2024-02-29 12:00')",
    );
    let report = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    let counts = report.counts("t");
    assert_eq!(
        (counts.created, counts.failed),
        (0, 5),
        "{:?}",
        site.rejects(&target.url())
    );
}
