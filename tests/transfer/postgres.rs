//! Transfers from and to PostgreSQL, and through PostgreSQL or SQLite and back.

use super::sqlite::CHINOOK;
use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::shared_data;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

/// The tables of Sakila with columns of built-in types; `payment` has child tables and rewrite rules.
const SAKILA: [&str; 13] = [
    "actor",
    "address",
    "category",
    "city",
    "country",
    "customer",
    "film_actor",
    "film_category",
    "inventory",
    "language",
    "payment",
    "rental",
    "store",
];

/// Creates a database with the tables of Sakila.
fn sakila(with_data: bool) -> Option<Database> {
    let schema = shared_data("sakila", "sakila-postgres-schema.sql")?;
    let data = shared_data("sakila", "sakila-postgres-data.sql")?;
    let database = Database::new()?;
    database.load(&schema);
    if with_data {
        database.load(&data);
    }
    Some(database)
}

#[test]
fn chinook_comes_back_unchanged_from_postgres() {
    let Some(chinook) = shared_data("chinook", "chinook.sqlite") else {
        return;
    };
    let Some(database) = Database::new() else {
        return;
    };
    let site = Site::new();
    let (source, back) = (chinook.to_str().unwrap(), site.path("back.db"));
    let report = site.transfer(source, &database.url(), &[]);
    assert_eq!(database.tables(), CHINOOK);

    let mut original = Sqlite::open(source);
    for table in CHINOOK {
        let rows = original.table(table).len();
        let created = Counts::created(rows as u64);
        assert_eq!(report.counts(table), created, "{table}");
        assert_eq!(database.table(table).len(), rows, "{table}");
    }
    // PostgreSQL stores the same texts and numbers, not only values that come back unchanged.
    let names = "SELECT \"Name\" || '/' || coalesce(\"Composer\", 'nobody') || '/' || \"Milliseconds\" FROM \"Track\" ORDER BY \"TrackId\"";
    assert_eq!(original.rows(names), database.rows(names));
    let total = "SELECT CAST(CAST(round(sum(\"Total\") * 100) AS BIGINT) AS TEXT) FROM \"Invoice\"";
    assert_eq!(original.rows(total), database.rows(total));

    let report = site.transfer(&database.url(), &back, &[]);
    let mut returned = Sqlite::open(&back);
    assert_eq!(returned.tables(), CHINOOK);
    for table in CHINOOK {
        let sent = original.table(table);
        sent.assert_same(&returned.table(table));
        assert_eq!(report.counts(table).created, sent.len() as u64, "{table}");
    }
}

#[test]
fn sakila_comes_back_unchanged_from_sqlite_to_postgres() {
    let (Some(source), Some(target)) = (sakila(true), Database::new()) else {
        return;
    };
    let site = Site::new();
    let middle = site.path("middle.db");
    site.transfer(&source.url(), &middle, &[]);
    site.transfer(&middle, &target.url(), &[]);
    for table in SAKILA {
        source.table(table).assert_same(&target.table(table));
    }
    // The values of an enum, a domain, an array and a search vector, whatever types they have now.
    let films = "SELECT film::text FROM film ORDER BY film_id";
    assert_eq!(source.rows(films), target.rows(films));
}

#[test]
fn sakila_is_copied_to_an_empty_postgres_database() {
    let (Some(source), Some(target)) = (sakila(true), Database::new()) else {
        return;
    };
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &SAKILA);

    assert_eq!(
        target.tables(),
        SAKILA,
        "neither child tables nor other tables were copied"
    );
    let mut reported = report.tables();
    reported.sort();
    assert_eq!(reported, SAKILA);
    for table in SAKILA {
        let sent = source.table(table);
        sent.assert_same(&target.table(table));
        let created = sent.len() as u64;
        assert!(created > 0, "{table} is empty at the source");
        assert_eq!(report.counts(table), Counts::created(created), "{table}");
    }
    assert_eq!(
        target.number("SELECT count(*) FROM pg_rules WHERE schemaname = 'public'"),
        0
    );
    assert_eq!(target.number("SELECT count(*) FROM pg_inherits"), 0);
    assert_eq!(
        source.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'tombolo'"),
        0,
        "a source is never written"
    );
}

#[test]
fn sakila_is_loaded_into_existing_postgres_tables_in_foreign_key_order() {
    let (Some(source), Some(target)) = (sakila(true), sakila(false)) else {
        return;
    };
    let site = Site::new();
    // The command names referencing tables first.
    let tables = [
        "address", "city", "country", "language", "category", "actor",
    ];
    let report = site.transfer(&source.url(), &target.url(), &tables);
    let reported = report.tables();
    let place = |table: &str| reported.iter().position(|name| name == table).unwrap();
    assert!(
        place("country") < place("city") && place("city") < place("address"),
        "{reported:?}"
    );
    for table in tables {
        let sent = source.table(table);
        sent.assert_same(&target.table(table));
        let created = Counts::created(sent.len() as u64);
        assert_eq!(report.counts(table), created, "{table}");
    }
    // The next number is behind those that arrived.
    target.run("INSERT INTO country (country) VALUES ('Tombolo')");
    assert_eq!(
        target.number("SELECT max(country_id) FROM country"),
        source.number("SELECT max(country_id) FROM country") + 1
    );
}

#[test]
fn sakila_payment_with_rewrite_rules_is_refused_as_postgres_target() {
    let (Some(source), Some(target)) = (sakila(true), sakila(false)) else {
        return;
    };
    let site = Site::new();
    let share = site.share(&[&source.url()]);
    let outcome = site.pull(&share, &["payment", "--into", &target.url()]);
    outcome
        .error("unsuitable-table")
        .names(&["payment", "rule"]);
    assert_eq!(target.number("SELECT count(*) FROM payment"), 0);
}

#[test]
fn common_types_come_back_unchanged_from_sqlite_to_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE kinds (id bigint PRIMARY KEY, small smallint, whole integer NOT NULL, flag boolean, ratio double precision,
             price numeric(12,2), name varchar(40), body text, raw bytea, day date, at timestamp, moment timestamptz, tag uuid);
         INSERT INTO kinds VALUES
             (1, 1, 2147483647, true, 0.1, 12.30, 'Ünï', E'a\\tb\\n', '\\x00ff', '2024-02-29', '2024-02-29 23:59:59.123456',
              '2024-02-29 23:59:59.123456+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
             (-2, -32768, -2147483648, false, -1e300, -0.01, '', '', '', '0001-01-01', '1900-01-01', '1900-01-01 00:00+00',
              '00000000-0000-0000-0000-000000000000'),
             (9223372036854775807, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
    );
    let site = Site::new();
    let file = site.path("between.db");
    site.transfer(&source.url(), &file, &[]);
    let mut between = Sqlite::open(&file);
    assert_eq!(
        between.number(&format!("SELECT count(*) FROM {}", quote("kinds"))),
        3
    );
    let plain = between.rows(
        "SELECT typeof(id), typeof(ratio), typeof(body), typeof(raw) FROM kinds WHERE id = 1",
    );
    let classes = ["integer", "real", "text", "blob"].map(|class| Some(class.to_owned()));
    assert_eq!(plain, [classes]);
    drop(between);
    site.transfer(&file, &target.url(), &[]);
    source.table("kinds").assert_same(&target.table("kinds"));
}

#[test]
fn types_and_values_are_the_same_from_postgres_to_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE \"Odd \"\"Name\"\"\" (a integer, \"B c\" text, padded char(10), amount numeric, single real, doc jsonb, raw json,
             PRIMARY KEY (\"B c\", a));
         INSERT INTO \"Odd \"\"Name\"\"\" VALUES
             (1, 'x', 'ab', 1.500, 0.1, '{\"b\": 1, \"a\": [1.0]}', '{ \"b\":1 }'),
             (2, 'x', '', 'NaN', 'Infinity', 'null', '1.0'),
             (1, 'y', NULL, 123456789012345678901234567890.000001, '-0', NULL, NULL);
         CREATE TABLE moments (at timestamptz PRIMARY KEY, day date, clock time);
         INSERT INTO moments VALUES ('infinity', '-infinity', '24:00'), ('4713-01-01 BC', '4713-01-01 BC', '00:00:00.000001'),
             ('2024-03-10 02:30-05', '294000-12-31', NULL);",
    );
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &[]);
    for table in ["Odd \"Name\"", "moments"] {
        source.table(table).assert_same(&target.table(table));
    }
}

#[test]
fn only_rows_of_the_parent_table_are_sent_with_postgres_inheritance() {
    let Some([source, target]) = databases() else {
        return;
    };
    source.run(
        "CREATE TABLE parent (id integer PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);",
    );
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &["parent"]);
    assert_eq!(report.counts("parent").created, 1);
    assert_eq!(target.number("SELECT count(*) FROM parent"), 1);
}
