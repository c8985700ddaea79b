//! Rows whose parents are not what they were at the other site.

use crate::support::any_database::AnyDatabase;
use crate::support::postgres::Database;
use crate::support::site::{Running, Site};

/// A file, and a PostgreSQL database where there is one.
fn databases(site: &Site, name: &str) -> Vec<AnyDatabase> {
    let file = AnyDatabase::file(site, &format!("{name}.db"));
    let database = Database::new().map(AnyDatabase::Postgres);
    std::iter::once(file).chain(database).collect()
}

const SOURCE: &str = "
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(20));
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), note VARCHAR(20));
    CREATE TABLE items (id INTEGER PRIMARY KEY, sold INTEGER REFERENCES orders);
    CREATE TABLE rooms (house INTEGER, number INTEGER, name VARCHAR(20), PRIMARY KEY (house, number));
    CREATE TABLE beds (id INTEGER PRIMARY KEY, number INTEGER, house INTEGER,
        FOREIGN KEY (house, number) REFERENCES rooms (house, number));
    CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id), name VARCHAR(20));
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben');
    INSERT INTO orders VALUES (10, 1, 'x'), (11, 1, 'new'), (12, 2, 'x'), (13, NULL, 'x');
    INSERT INTO items VALUES (100, 10), (101, 11), (102, 12), (103, 10);
    INSERT INTO rooms VALUES (1, 1, 'red'), (1, 2, 'blue'), (2, 1, 'tin');
    INSERT INTO beds VALUES (1, 1, 1), (2, 2, 1), (3, 1, 2), (4, NULL, 1);
    INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 2, 'b'), (4, NULL, 'c'), (5, 4, 'd');";

/// Local, different rows have the keys of customer 1, room 1/1 and node 1, and others their names.
fn fill(target: &AnyDatabase, keys: bool) {
    let refer = |to: &str| match keys {
        true => format!("REFERENCES {to}"),
        false => String::new(),
    };
    let pair = match keys {
        true => ", FOREIGN KEY (house, number) REFERENCES rooms (house, number)",
        false => "",
    };
    target.run(&format!(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(20) UNIQUE);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER {}, note VARCHAR(20));
         CREATE TABLE items (id INTEGER PRIMARY KEY, sold INTEGER {});
         CREATE TABLE rooms (house INTEGER, number INTEGER, name VARCHAR(20) UNIQUE, PRIMARY KEY (house, number));
         CREATE TABLE beds (id INTEGER PRIMARY KEY, number INTEGER, house INTEGER{pair});
         CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER {}, name VARCHAR(20) UNIQUE);
         INSERT INTO customers VALUES (1, 'Zoe'), (7, 'Ann');
         INSERT INTO orders VALUES (11, 1, 'old');
         INSERT INTO rooms VALUES (1, 1, 'mine'), (8, 8, 'red');
         INSERT INTO tree VALUES (1, NULL, 'local'), (9, NULL, 'root');",
        refer("customers (id)"),
        refer("orders (id)"),
        refer("tree (id)"),
    ));
}

/// Table, key and reason of the rejected rows.
fn rejected(site: &Site, target: &str) -> Vec<[String; 3]> {
    let mut rows: Vec<[String; 3]> = site
        .rejects(target)
        .iter()
        .map(|row| ["table", "key", "reason"].map(|name| row[name].as_str().unwrap().to_owned()))
        .collect();
    rows.sort();
    rows
}

const REJECTED: [(&str, &str, &str); 9] = [
    ("beds", "1", "\"rooms\""),
    ("customers", "1", ""),
    ("items", "100", "\"orders\""),
    ("items", "103", "\"orders\""),
    ("orders", "10", "\"customers\""),
    ("rooms", "1, 1", ""),
    ("tree", "1", ""),
    ("tree", "2", "\"tree\""),
    ("tree", "3", "\"tree\""),
];

fn check_rejects(site: &Site, location: &str) {
    let found = rejected(site, location);
    let names: Vec<(&str, &str)> = found
        .iter()
        .map(|[table, key, _]| (table.as_str(), key.as_str()))
        .collect();
    let wanted: Vec<(&str, &str)> = REJECTED
        .iter()
        .map(|(table, key, _)| (*table, *key))
        .collect();
    assert_eq!(names, wanted, "{location}: {found:#?}");
    for ([table, key, reason], (.., parent)) in found.iter().zip(REJECTED) {
        let is_child = reason.contains("refers to was rejected");
        assert_eq!(
            is_child,
            !parent.is_empty(),
            "{location}: {table} {key}: {reason}"
        );
        assert!(
            reason.contains(parent),
            "{location}: {table} {key}: {reason}"
        );
    }
}

#[test]
fn children_of_rejected_rows_are_rejected_between_sqlite_and_postgres() {
    let site = Site::new();
    for source in databases(&site, "source") {
        source.run(SOURCE);
        for keys in [true, false] {
            for target in databases(&site, &format!("target-{keys}-{}", source.location().len())) {
                fill(&target, keys);
                let location = target.location();
                let share = site.share(&[&source.location()]);
                let arguments = ["--into", &location, "--strategy", "overwrite"];
                // The first attempt ends between the tables.
                let few = [&arguments[..], &["--max-rows", "5"]].concat();
                let stopped = site.start_pull_with_small_chunks(&share.url, &share.code, &few);
                stopped.wait().error("limit");
                let again = site.start_pull_with_small_chunks(&share.url, &share.code, &arguments);
                let report = again.wait().expect_exit(5).done();
                assert_eq!(report.0["rejected"], 9, "{location}: {report:?}");
                check_rejects(&site, &location);
                // What was attached already stays so, and is updated.
                let notes = target.rows("SELECT note FROM orders WHERE id = 11");
                assert_eq!(notes, [[Some("new".to_owned())]], "{location}");

                target.run("DELETE FROM customers WHERE id = 7; DELETE FROM rooms WHERE house = 8; DELETE FROM tree WHERE id = 9");
                let run = site.rejects(&location)[0]["run"].clone();
                let retry = [
                    "rejects",
                    "--json",
                    &location,
                    "--retry",
                    run.as_str().unwrap(),
                ];
                site.run(&retry).expect_exit(0).done();
                let trees = target.rows("SELECT name FROM tree ORDER BY id");
                assert_eq!(trees.len(), 5, "{location}");
                assert!(rejected(&site, &location).is_empty());
            }
        }
    }
}

#[test]
fn descendants_in_a_new_table_are_rejected_with_their_ancestor_in_sqlite_and_postgres() {
    let site = Site::new();
    for source in databases(&site, "source") {
        source.run(
            "CREATE TABLE owners (id INTEGER PRIMARY KEY, name VARCHAR(20));
             CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id), owner INTEGER REFERENCES owners (id));
             INSERT INTO owners VALUES (1, 'Ann'), (2, 'Ben');
             INSERT INTO tree VALUES (5, NULL, 1), (6, 5, 2), (7, 6, 2), (8, NULL, 2);",
        );
        for target in databases(&site, &format!("new-{}", source.location().len())) {
            target.run("CREATE TABLE owners (id INTEGER PRIMARY KEY, name VARCHAR(20) UNIQUE); INSERT INTO owners VALUES (9, 'Ann')");
            let location = target.location();
            let share = site.share(&[&source.location()]);
            let report = site
                .pull(&share, &["--into", &location])
                .expect_exit(5)
                .done();
            assert_eq!(report.0["rejected"], 4, "{report:?}");
            let found = rejected(&site, &location);
            let keys: Vec<&str> = found.iter().map(|[_, key, _]| key.as_str()).collect();
            assert_eq!(keys, ["1", "5", "6", "7"], "{found:#?}");
            let reasons = found.iter().skip(1).map(|[.., reason]| reason);
            let wanted = ["\"owners\"", "\"tree\"", "\"tree\""];
            for (reason, parent) in reasons.zip(wanted) {
                assert!(reason.contains(parent), "{reason}");
                assert!(reason.contains("refers to was rejected"), "{reason}");
            }
            Running::wait(share.running).expect_exit(0);
        }
    }
}

#[test]
fn keys_that_rows_of_the_pull_refer_to_are_not_regenerated_in_sqlite_and_postgres() {
    let site = Site::new();
    for source in databases(&site, "source") {
        let numbered = match &source {
            AnyDatabase::Sqlite(_) => "INTEGER PRIMARY KEY",
            AnyDatabase::Postgres(_) => "integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        };
        source.run(&format!(
            "CREATE TABLE customers (id {numbered}, name VARCHAR(20));
             CREATE TABLE orders (id {numbered}, customer INTEGER REFERENCES customers (id));
             CREATE TABLE tree (id {numbered}, parent INTEGER REFERENCES tree (id));
             INSERT INTO customers VALUES (1, 'Ann'); INSERT INTO orders VALUES (1, 1);
             INSERT INTO tree VALUES (1, NULL), (2, 1);"
        ));
        for target in databases(&site, &format!("append-{}", source.location().len())) {
            let numbered = match &target {
                AnyDatabase::Sqlite(_) => "INTEGER PRIMARY KEY",
                AnyDatabase::Postgres(_) => "integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            };
            target.run(&format!(
                "CREATE TABLE customers (id {numbered}, name VARCHAR(20));
                 CREATE TABLE orders (id {numbered}, customer INTEGER);
                 CREATE TABLE tree (id {numbered}, parent INTEGER);
                 INSERT INTO customers (name) VALUES ('Zoe');"
            ));
            let location = target.location();
            let share = site.share(&[&source.location()]);
            let pull = |tables: &[&str], strategies: &[&str]| {
                let mut all = tables.to_vec();
                all.extend(["--into", &location]);
                for strategy in strategies {
                    all.extend(["--strategy", strategy]);
                }
                site.pull(&share, &all)
            };
            for (tables, strategies, parent, child) in [
                (
                    &["customers", "orders"][..],
                    &["append"][..],
                    "customers",
                    "orders",
                ),
                (
                    &["customers", "orders"],
                    &["customers=append"],
                    "customers",
                    "orders",
                ),
                (&["tree"], &["append"], "tree", "tree"),
            ] {
                let failure = pull(tables, strategies)
                    .error("unsuitable-table")
                    .has_hint();
                failure.names(&[parent, child, "new values of id"]);
                assert_eq!(target.rows("SELECT name FROM customers").len(), 1);
                assert!(target.rows("SELECT 'x' FROM orders").is_empty());
                assert!(target.rows("SELECT 'x' FROM tree").is_empty());
            }
            let report = pull(&["customers", "orders"], &["orders=append"]).done();
            assert_eq!(report.counts("orders").created, 1, "{location}");
            assert_eq!(report.counts("customers").skipped, 1, "{location}");
            let share = site.share(&[&source.location()]);
            let report = site.pull(
                &share,
                &["customers", "--into", &location, "--strategy", "append"],
            );
            assert_eq!(report.done().counts("customers").created, 1, "{location}");
        }
    }
}
