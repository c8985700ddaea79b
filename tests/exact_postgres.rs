//! PostgreSQL to PostgreSQL: value and type of every built-in type.

use crate::support::binary::Site;
use crate::support::images::Image;
use crate::support::postgres::Database;
use crate::support::sqlite::quote;
use crate::support::types;

fn assert_same(source: &Database, target: &Database) {
    for (table, _) in types::TABLES {
        Image::of(source, table).assert_same(&Image::of(target, table));
    }
}

#[test]
fn every_built_in_type_arrives_in_new_tables_of_postgres() {
    let (Some(source), Some(target)) = (Database::new(), Database::new()) else {
        return;
    };
    types::fill(&source);
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &[]);
    assert_same(&source, &target);
}

#[test]
fn every_built_in_type_replaces_what_existing_tables_of_postgres_hold() {
    let (Some(source), Some(target)) = (Database::new(), Database::new()) else {
        return;
    };
    types::fill(&source);
    for (table, kinds) in types::TABLES {
        target.run(&types::create(table, kinds));
        target.run(&format!("INSERT INTO {} VALUES (0), (2)", quote(table)));
    }
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    assert_same(&source, &target);
    let counts = report.counts("select");
    assert_eq!((counts.updated, counts.same, counts.skipped), (2, 0, 0));
    let again = site.transfer(&source.url(), &target.url(), &["--strategy", "overwrite"]);
    for (table, _) in types::TABLES {
        let counts = again.counts(table);
        assert_eq!(
            (counts.created, counts.updated),
            (0, 0),
            "{table}: the same image is no change"
        );
    }
}

#[test]
#[ignore = "the cast from text to regclass takes the dash that stands for no object as a name; the staging's casts are rewritten elsewhere"]
fn a_name_of_no_object_arrives_in_postgres() {
    let (Some(source), Some(target)) = (Database::new(), Database::new()) else {
        return;
    };
    source.run(
        "CREATE TABLE named (id integer PRIMARY KEY, r regclass); INSERT INTO named VALUES (1, '0')",
    );
    let site = Site::new();
    site.transfer(&source.url(), &target.url(), &[]);
    Image::of(&source, "named").assert_same(&Image::of(&target, "named"));
}
