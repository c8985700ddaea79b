//! Values and types of every built-in type of PostgreSQL, from PostgreSQL to PostgreSQL.

use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::assert_same_image;
use crate::support::postgres_types::{self, TABLES};
use crate::support::site::Site;
use crate::support::sqlite::quote;

fn assert_same(source: &Database, target: &Database) {
    for (table, _) in TABLES {
        assert_same_image(source, target, table);
    }
}

#[test]
fn every_built_in_type_arrives_in_new_tables_of_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    postgres_types::fill(&source);
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &[]);
    assert_same(&source, &target);
}

#[test]
fn every_built_in_type_overwrites_rows_of_existing_tables_of_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    postgres_types::fill(&source);
    for (table, kinds) in TABLES {
        target.run(&postgres_types::create(table, kinds));
        target.run(&format!("INSERT INTO {} VALUES (0), (2)", quote(table)));
    }
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    assert_same(&source, &target);
    let counts = report.counts("select");
    assert_eq!((counts.updated, counts.same, counts.skipped), (2, 0, 0));
    let again = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    for (table, _) in TABLES {
        let counts = again.counts(table);
        assert_eq!(
            (counts.created, counts.updated),
            (0, 0),
            "{table}: the same bytes are not an update"
        );
    }
}

#[test]
fn references_to_no_catalog_object_arrive_in_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    let kinds = [
        "class",
        "collation",
        "config",
        "dictionary",
        "namespace",
        "oper",
        "operator",
        "proc",
        "procedure",
        "role",
        "type",
    ];
    let columns: String = kinds
        .iter()
        .map(|kind| format!(", r{kind} reg{kind}, a{kind} reg{kind}[]"))
        .collect();
    let values = ", '0', '{0,NULL,0}'".repeat(kinds.len());
    source.run(&format!(
        "CREATE DOMAIN relation AS regclass CHECK (VALUE IS NOT NULL);
         CREATE TABLE named (id integer PRIMARY KEY, d relation{columns});
         INSERT INTO named VALUES (1, '0'{values}), (2, 'pg_class'{values})"
    ));
    let site = Site::new();
    for arguments in [&[][..], &["--strategy", "overwrite"]] {
        let report = site.transfer(&source.url(), &target.url(), arguments);
        assert_eq!(report.counts("named").failed, 0);
    }
    let text = "SELECT row_to_json(named)::text FROM named ORDER BY id";
    assert_eq!(source.rows(text), target.rows(text));
    let types = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = 'named'::regclass AND attnum > 2 ORDER BY attnum";
    assert_eq!(source.rows(types), target.rows(types));
}
