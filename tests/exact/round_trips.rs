//! Values and types of PostgreSQL after a transfer to SQLite and back.

use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::assert_same_image;
use crate::support::postgres_types::{self, TABLES};
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

#[test]
fn every_built_in_type_comes_back_from_sqlite_to_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    postgres_types::fill(&source);
    let site = Site::new();
    let file = site.path("between.db");
    site.transfer(&source.url(), &file, &[]);
    site.transfer(&file, &target.url(), &[]);
    for (table, _) in TABLES {
        assert_same_image(&source, &target, table);
    }
    let again = site.transfer(&file, &target.url(), &["--strategy", "overwrite"]);
    let back = site.transfer(&target.url(), &file, &["--strategy", "overwrite"]);
    for (table, _) in TABLES {
        for counts in [again.counts(table), back.counts(table)] {
            assert_eq!((counts.created, counts.updated), (0, 0), "{table}");
        }
    }
}

#[test]
fn a_copy_of_postgres_in_sqlite_has_types_for_queries() {
    let Some(source) = Database::new() else {
        return;
    };
    source.run(
        "CREATE TABLE kinds (id integer PRIMARY KEY, whole bigint, flag boolean, ratio double precision, single real, price numeric(12,2),
             name text, padded character(4), raw bytea, day date, moment timestamptz, tag uuid, doc jsonb, list integer[]);
         INSERT INTO kinds VALUES (1, 9007199254740993, true, 0.1, 0.5, 1.10, '007', 'ab', '\\x00ff', '2024-02-29', '2024-02-29 12:00+02',
             'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '[1.10]', '{1,NULL}'),
           (2, NULL, NULL, 'Infinity', '-Infinity', 'NaN', '', NULL, '', 'infinity', NULL, NULL, NULL, NULL),
           (3, NULL, NULL, 'NaN', '-0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let site = Site::new();
    let file = site.path("copy.db");
    site.transfer(&source.url(), &file, &[]);
    let mut copy = Sqlite::open(&file);
    let declared =
        copy.rows("SELECT group_concat(name || ' ' || type, ', ') FROM pragma_table_info('kinds')");
    assert_eq!(
        declared[0][0].as_deref(),
        Some(
            "id INTEGER, whole INTEGER, flag INTEGER, ratio REAL, single REAL, price TEXT, name TEXT, padded TEXT, raw BLOB, \
              day TEXT, moment TEXT, tag TEXT, doc TEXT, list TEXT"
        )
    );
    let stored = copy.rows(
        "SELECT concat_ws('|', quote(whole), quote(flag), quote(ratio), quote(single), quote(price), quote(name), quote(padded),
             quote(raw), quote(day), quote(moment), quote(tag), quote(doc), quote(list)) FROM kinds ORDER BY id",
    );
    let stored: Vec<&str> = stored
        .iter()
        .map(|row| row[0].as_deref().unwrap())
        .collect();
    assert_eq!(
        stored,
        [
            "9007199254740993|1|0.1|0.5|'1.10'|'007'|'ab  '|X'00FF'|'2024-02-29'|'2024-02-29 10:00:00+00'|\
             'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'|'[1.10]'|'{1,NULL}'",
            "NULL|NULL|9.0e+999|-9.0e+999|'NaN'|''|NULL|X''|'infinity'|NULL|NULL|NULL|NULL",
            // SQLite has no NaN, and a REAL column drops the sign of zero: both are stored as their bits.
            "NULL|NULL|X'7FF8000000000000'|X'8000000000000000'|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[test]
fn floats_of_postgres_that_a_real_column_cannot_represent_are_rejected_by_an_existing_sqlite_table()
{
    let Some(source) = Database::new() else {
        return;
    };
    source.run("CREATE TABLE t (id integer PRIMARY KEY, ratio double precision); INSERT INTO t VALUES (1, 0.5), (2, 'NaN')");
    let site = Site::new();
    let file = site.path("own.db");
    Sqlite::script(&file, "CREATE TABLE t (id INTEGER PRIMARY KEY, ratio REAL)");
    let share = site.share(&[&source.url()]);
    let outcome = site.pull(&share, &["--into", &file]);
    assert_eq!(outcome.done().counts("t").failed, 1);
    assert_eq!(Sqlite::open(&file).number("SELECT count(*) FROM t"), 1);
    let rejected = site.rejects(&file);
    let reason = rejected[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("\"ratio\"") && reason.contains("NaN"),
        "{reason}"
    );
}

#[test]
fn domains_cross_sqlite_as_their_base_types_and_come_back_to_postgres() {
    let Some([source, bare, with_types]) = databases() else {
        return;
    };
    let domains = "CREATE DOMAIN yes_no AS boolean; CREATE DOMAIN code AS varchar(9) NOT NULL; CREATE DOMAIN cents AS numeric(12,2);
         CREATE DOMAIN small_cents AS cents CHECK (VALUE < 100); CREATE DOMAIN \"odd Name\" AS integer; CREATE DOMAIN list AS integer[];
         CREATE DOMAIN day AS date";
    source.run(domains);
    source.run(
        "CREATE TABLE d (id int PRIMARY KEY, b yes_no, c code, n cents, m small_cents, i \"odd Name\", l list, t day);
         INSERT INTO d VALUES (1, true, 'x', 1.50, 2.00, 7, '{1,2}', '2024-02-29'), (2, NULL, '', NULL, NULL, NULL, NULL, NULL)",
    );
    with_types.run(domains);
    let site = Site::new();
    let file = site.path("between.db");
    site.transfer(&source.url(), &file, &[]);
    let share = site.share(&[&source.url()]);
    site.diff(&share, &["--with", &file]).expect_exit(0);
    let types = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'd'::regclass AND attnum > 0";
    let rows = "SELECT d::text FROM d ORDER BY id";
    for (target, expected) in [
        (
            &bare,
            "integer, boolean, character varying(9), numeric(12,2), numeric(12,2), integer, integer[], date",
        ),
        (
            &with_types,
            "integer, yes_no, code, cents, small_cents, \"odd Name\", list, day",
        ),
    ] {
        site.transfer(&file, &target.url(), &[]);
        assert_eq!(target.rows(types)[0][0].as_deref(), Some(expected));
        assert_eq!(target.rows(rows), source.rows(rows));
        let share = site.share(&[&file]);
        site.diff(&share, &["--with", &target.url()]).expect_exit(0);
    }
    let again = site.transfer(&bare.url(), &file, &["--strategy", "overwrite"]);
    assert_eq!(
        (again.counts("d").created, again.counts("d").updated),
        (0, 0)
    );
}
