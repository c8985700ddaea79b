//! Enums, domains, composite types, ranges and types of extensions.

use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::assert_same_image;
use crate::support::site::Site;
use crate::support::skip;
use crate::support::sqlite::Sqlite;

const TYPES: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'größer, {als}');
    CREATE TYPE "Größen Typ" AS ENUM ('', ' ', 'NULL');
    CREATE TYPE "select" AS (a integer, "B c" text, n numeric, moods mood[]);
    CREATE TYPE spans AS RANGE (subtype = numeric);
    CREATE DOMAIN cents AS numeric(12,2) CHECK (VALUE >= 0);
    CREATE DOMAIN code AS character(5);
    CREATE DOMAIN born AS date;
    CREATE DOMAIN ratio AS double precision;
    CREATE DOMAIN moods AS mood[];
    CREATE DOMAIN stamp AS uuid;
    CREATE SCHEMA other; CREATE TYPE other.mood AS ENUM ('far');"#;

const TABLE: &str = r#"
    CREATE TABLE "Table of types" (id integer PRIMARY KEY, e mood, "E 2" "Größen Typ" DEFAULT 'NULL', ea mood[], eb "Größen Typ"[],
        c "select", ca "select"[], r spans, rm spans_multirange, d cents, dc code, dd born, df ratio, dm moods, du stamp NOT NULL, far other.mood);"#;

const ROWS: &str = r#"
    INSERT INTO "Table of types" VALUES
        (1, 'it''s "ok"', 'NULL', '{sad,NULL,"größer, {als}"}', '{"",NULL,"NULL"," "}', ROW(1, 'a,"b', 1.10, '{sad}'),
         ARRAY[ROW(NULL, '', 'NaN', NULL)::"select", NULL], '[1.10,2)', '{[1.10,2),(5,)}', 12.30, 'ab', '0044-03-15 BC', '-0',
         '{sad}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'far'),
        (2, 'sad', '', '[0:1]={sad,sad}', '{}', ROW(NULL, NULL, NULL, NULL), '{}', 'empty', '{}', 0, '', 'infinity', 'NaN', '{}',
         '00000000-0000-0000-0000-000000000000', NULL),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         'ffffffff-ffff-ffff-ffff-ffffffffffff', NULL);"#;

fn source() -> Option<Database> {
    let source = Database::new()?;
    for sql in [TYPES, TABLE, ROWS] {
        source.run(sql);
    }
    Some(source)
}

/// Pulls everything, and returns what the new tables lose according to the plan.
fn pull(site: &Site, source: &str, target: &str, arguments: &[&str]) -> Vec<String> {
    let share = site.share(&[source]);
    let outcome = site
        .pull(&share, &[&["--into", target], arguments].concat())
        .expect_exit(0);
    let planned = outcome.events_of("planned");
    let tables = planned[0]["tables"].as_array().unwrap();
    let lost = tables
        .iter()
        .flat_map(|table| table["not_carried"].as_array().unwrap());
    lost.map(|lost| lost.as_str().unwrap().to_owned()).collect()
}

#[test]
fn types_that_both_postgres_databases_have_are_kept() {
    let (Some(source), Some(target)) = (source(), Database::new()) else {
        return;
    };
    target.run(TYPES);
    let site = Site::new();
    let lost = pull(&site, &source.url(), &target.url(), &[]);
    assert_eq!(lost, [""; 0]);
    let table = "Table of types";
    assert_same_image(&source, &target, table);
    target.run("INSERT INTO \"Table of types\" (id, du) VALUES (4, 'ffffffff-ffff-ffff-ffff-ffffffffffff')");
    let default = target.rows("SELECT \"E 2\"::text FROM \"Table of types\" WHERE id = 4");
    assert_eq!(default, [[Some("NULL".to_owned())]]);
}

#[test]
fn types_that_a_postgres_target_lacks_become_base_types_or_text_and_are_reported() {
    let (Some(source), Some(target)) = (source(), Database::new()) else {
        return;
    };
    let site = Site::new();
    let lost = pull(&site, &source.url(), &target.url(), &[]);
    for (column, kind, local) in [
        ("c", "\\\"select\\\"", "text"),
        ("r", "spans", "text"),
        ("rm", "spans_multirange", "text"),
        ("d", "cents", "numeric(12,2)"),
        ("dc", "code", "character(5)"),
        ("dd", "born", "date"),
        ("df", "ratio", "double precision"),
        ("dm", "moods", "text"),
        ("du", "stamp", "uuid"),
        ("far", "other.mood", "text"),
    ] {
        let line = format!("of column \"{column}\": its type \"{kind}\" (created as {local})");
        assert!(lost.contains(&line), "{line} in {lost:#?}");
    }
    for column in ["e", "E 2", "ea", "eb"] {
        let line = format!("of column {column:?}");
        assert!(
            !lost.iter().any(|lost| lost.starts_with(&line)),
            "{lost:#?}"
        );
    }
    let text = "SELECT format('%s', row_to_json(t)) FROM (SELECT id, e::text, \"E 2\"::text, ea::text, eb::text, c::text, ca::text,
        r::text, rm::text, d::text, format('%s', dc) AS dc, dd::text, df::text, dm::text, du::text, far::text FROM \"Table of types\") t
        ORDER BY id";
    assert_eq!(source.rows(text), target.rows(text));

    let again = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    let counts = again.counts("Table of types");
    assert_eq!(
        (counts.same, counts.updated),
        (3, 0),
        "the created columns accept the same values again"
    );

    // From there to a database that has the types.
    let third = Database::new().unwrap();
    third.run(TYPES);
    pull(&site, &target.url(), &third.url(), &[]);
    let table = "Table of types";
    assert_same_image(&source, &third, table);
}

#[test]
fn types_come_back_from_sqlite_to_a_postgres_database_that_has_them() {
    let (Some(source), Some(target)) = (source(), Database::new()) else {
        return;
    };
    target.run(TYPES);
    let site = Site::new();
    let file = site.path("between.db");
    pull(&site, &source.url(), &file, &[]);
    let lost = pull(&site, &file, &target.url(), &[]);
    assert_eq!(lost, [""; 0]);
    let table = "Table of types";
    assert_same_image(&source, &target, table);
    let again = site.transfer(&file, &target.url(), &["--strategy", "overwrite"]);
    assert_eq!(again.counts(table).same, 3);

    // In a database without the types they are texts.
    let without = Database::new().unwrap();
    let lost = pull(&site, &file, &without.url(), &[]);
    assert!(
        lost.contains(&"of column \"d\": its type \"cents\" (created as numeric(12,2))".to_owned()),
        "{lost:#?}"
    );
    let prices = "SELECT d::text FROM \"Table of types\" ORDER BY id";
    assert_eq!(source.rows(prices), without.rows(prices));
    let labels = Sqlite::open(&file).rows("SELECT e FROM \"Table of types\" ORDER BY id");
    assert_eq!(
        labels,
        source.rows("SELECT e::text FROM \"Table of types\" ORDER BY id")
    );
}

#[test]
fn a_label_that_a_postgres_enum_lacks_is_rejected() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run("CREATE TYPE mood AS ENUM ('sad', 'secret'); CREATE TABLE t (id integer PRIMARY KEY, e mood); INSERT INTO t VALUES (1, 'sad'), (2, 'secret')");
    target.run("CREATE TYPE mood AS ENUM ('sad', 'happy')");
    let site = Site::new();
    let share = site.share(&[&source.url()]);
    let report = site.pull(&share, &["--into", &target.url()]).done();
    let counts = report.counts("t");
    assert_eq!((counts.created, counts.failed), (1, 1));
    let rejected = site.rejects(&target.url()).pop().unwrap();
    let reason = rejected["reason"].as_str().unwrap();
    assert!(
        reason.contains("enum mood") && !reason.contains("secret"),
        "{reason}"
    );
    assert_eq!(target.number("SELECT count(*) FROM t"), 1);
}

#[test]
fn hstore_and_citext_of_postgres_are_kept_where_the_extensions_are_installed() {
    let Some([source, target, bare]) = databases() else {
        return;
    };
    let available =
        "SELECT count(*) FROM pg_available_extensions WHERE name IN ('hstore', 'citext')";
    if source.number(available) != 2 {
        return skip(
            "postgres",
            "the extensions hstore and citext are not installed",
        );
    }
    let extensions = "CREATE EXTENSION hstore; CREATE EXTENSION citext;";
    source.run(extensions);
    target.run(extensions);
    source.run(
        r#"CREATE TABLE extended (name citext PRIMARY KEY, h hstore, ha hstore[], ca citext[]);
           INSERT INTO extended VALUES ('Ünï', '"a b"=>"1", "n"=>NULL, "q\""=>"\\"', ARRAY['a=>1'::hstore, NULL], '{A,a}'),
               ('', '', '{}', '{}'), ('x', NULL, NULL, NULL)"#,
    );
    let site = Site::new();
    let lost = pull(&site, &source.url(), &target.url(), &[]);
    assert_eq!(lost, [""; 0]);
    assert_same_image(&source, &target, "extended");

    let lost = pull(&site, &source.url(), &bare.url(), &[]);
    assert!(
        lost.contains(&"of column \"h\": its type \"hstore\" (created as text)".to_owned()),
        "{lost:#?}"
    );
    let texts = "SELECT name::text, h::text, ha::text, ca::text FROM extended ORDER BY name::text";
    assert_eq!(source.rows(texts), bare.rows(texts));
}
