//! Enums of PostgreSQL that are missing in the target and are created with the tables that use them.

use crate::support::guests::hostile;
use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::assert_same_image;
use crate::support::site::Site;

const TYPES: &str = r#"
    CREATE TYPE mpaa_rating AS ENUM ('G', 'PG-13', 'it''s "ok"', 'größer, {als}', 'a\''b\', '', 'NULL');
    CREATE TYPE "Größen Typ-2" AS ENUM ('z', 'a', 'M'); ALTER TYPE "Größen Typ-2" ADD VALUE 'first' BEFORE 'z';
    CREATE TYPE "select" AS ENUM ();
    CREATE TYPE unused AS ENUM ('x');"#;

const FILM: &str = r#"
    CREATE TABLE film (id integer PRIMARY KEY, rating mpaa_rating DEFAULT 'it''s "ok"', ratings mpaa_rating[] DEFAULT '{G,NULL}',
        size "Größen Typ-2" NOT NULL, sizes "Größen Typ-2"[], nothing "select");
    INSERT INTO film VALUES (1, 'größer, {als}', '{"it''s \"ok\"",NULL,"NULL",""}', 'first', '[0:1]={M,a}', NULL),
        (2, 'a\''b\', '{}', 'z', NULL, NULL), (3, NULL, NULL, 'M', '{}', NULL), (4, '', '{"größer, {als}"}', 'a', '{z}', NULL)"#;

/// Selects the names of the enums and their labels in order.
const ENUMS: &str = "SELECT format_type(t.oid, NULL), array_agg(e.enumlabel::text ORDER BY e.enumsortorder)::text
    FROM pg_type t LEFT JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typtype = 'e' GROUP BY t.oid ORDER BY 1";

const DEFAULTS: &str = "SELECT adrelid::regclass::text, adnum::text, pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'film'::regclass ORDER BY 1, 2";

#[test]
fn missing_enums_are_created_in_postgres_with_defaults_and_arrays() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(TYPES);
    source.run(FILM);
    let site = Site::new();
    let share = site.share(&[&source.url()]);
    let into = target.url();

    let planned = site
        .pull(&share, &["--into", &into, "--dry-run"])
        .expect_exit(0);
    let plan = planned.events_of("planned")[0]["tables"][0].clone();
    assert_eq!(plan["not_carried"], serde_json::json!([]));
    let statements: Vec<&str> = plan["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|statement| statement.as_str().unwrap())
        .collect();
    assert_eq!(statements.len(), 4, "{statements:?}");
    assert_eq!(
        statements[0],
        "CREATE TYPE \"Größen Typ-2\" AS ENUM ('first', 'z', 'a', 'M')"
    );
    assert!(target.rows(ENUMS).is_empty(), "a dry run writes nothing");

    let report = site.pull(&share, &["--into", &into]).done();
    assert_eq!(report.counts("film").created, 4);
    assert_same_image(&source, &target, "film");
    source.run("DROP TYPE unused");
    assert_eq!(source.rows(ENUMS), target.rows(ENUMS));
    assert_eq!(source.rows(DEFAULTS), target.rows(DEFAULTS));
    target.run("INSERT INTO film (id, size) VALUES (5, 'a')");

    let again = site.transfer(&source.url(), &into, &["--strategy", "overwrite"]);
    assert_eq!(
        (again.counts("film").same, again.counts("film").updated),
        (4, 0)
    );

    // Another table that uses an enum that now exists.
    source.run("CREATE TABLE actor (id integer PRIMARY KEY, likes mpaa_rating[] NOT NULL); INSERT INTO actor VALUES (1, '{G}')");
    site.transfer(&source.url(), &into, &["actor"]);
    assert_same_image(&source, &target, "actor");
    assert_eq!(source.rows(ENUMS), target.rows(ENUMS));
}

#[test]
fn tables_with_the_same_enum_are_created_in_postgres_in_parallel() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(TYPES);
    let tables: Vec<String> = (0..8).map(|number| format!("film {number}")).collect();
    for table in &tables {
        source.run(&format!(
            "CREATE TABLE \"{table}\" (id integer PRIMARY KEY, rating mpaa_rating, size \"Größen Typ-2\");
             INSERT INTO \"{table}\" SELECT n, 'G', 'a' FROM generate_series(1, 500) n"
        ));
    }
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &["--jobs", "4"]);
    for table in &tables {
        assert_same_image(&source, &target, table);
    }
}

#[test]
fn an_enum_of_another_schema_becomes_text_in_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run("CREATE SCHEMA other; CREATE TYPE other.mood AS ENUM ('far'); CREATE TABLE t (id integer PRIMARY KEY, e other.mood); INSERT INTO t VALUES (1, 'far')");
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &[]);
    assert!(target.rows(ENUMS).is_empty());
    assert_eq!(target.rows("SELECT e FROM t"), [[Some("far".to_owned())]]);
}

#[test]
fn a_plugin_cannot_create_types_in_postgres_that_no_incoming_table_declares() {
    let Some(source) = Database::new() else {
        return;
    };
    source.run(TYPES);
    let site = Site::new();
    let plugin = hostile().pinned("ddl");
    for table in [
        "type-composite",
        "type-range",
        "type-other-labels",
        "type-fewer-labels",
        "type-other-name",
        "type-other-schema",
        "type-as-table",
        "type-twice",
    ] {
        source.run(&format!(
            "CREATE TABLE \"{table}\" (id integer PRIMARY KEY, size \"Größen Typ-2\")"
        ));
        let target = Database::new().unwrap();
        let share = site.share(&[&source.url()]);
        let arguments = [table, "--into", &target.url(), "--plugin", &plugin];
        let failure = site.pull(&share, &arguments).error("plugin");
        failure.names(&[table]);
        let made = "SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = 'public'";
        assert_eq!(target.number(made), 0, "{table}");
    }
}
