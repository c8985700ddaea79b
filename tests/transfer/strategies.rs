//! Each strategy against a half-filled target, with the counts, for every pair of databases.

use crate::support::compare::Store;
use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::sample_tables::{Item, fill, items, owned};
use crate::support::site::Site;

/// What is shared: ten rows.
const SOURCE: [Item<'static>; 10] = [
    (1, "one", Some("a")),
    (2, "two", None),
    (3, "three", Some("c")),
    (4, "four", Some("d")),
    (5, "five", None),
    (6, "six", Some("f")),
    (7, "seven", Some("g")),
    (8, "eight", None),
    (9, "nine", Some("i")),
    (10, "ten", Some("j")),
];

/// What stands in the target: three rows alike, three that differ, two of its own.
const TARGET: [Item<'static>; 8] = [
    (1, "one", Some("a")),
    (2, "two", None),
    (3, "three", Some("c")),
    (4, "four", Some("local")),
    (5, "five", Some("local")),
    (6, "SIX", None),
    (20, "twenty", Some("mine")),
    (21, "twenty-one", None),
];

const NONE: Counts = Counts {
    created: 0,
    updated: 0,
    same: 0,
    skipped: 0,
    failed: 0,
};

/// One table a strategy, so that one run shows them all; skip is the default.
const STRATEGIES: [&str; 4] = ["skip", "overwrite", "merge", "append"];

fn all_strategies(site: &Site, source: &Store, target: &Store) {
    for strategy in STRATEGIES {
        fill(source, &format!("items_{strategy}"), &SOURCE);
        fill(target, &format!("items_{strategy}"), &TARGET);
    }
    let report = site.transfer(
        &source.location(),
        &target.location(),
        &[
            "--strategy",
            "items_overwrite=overwrite",
            "--strategy",
            "items_merge=merge",
            "--strategy",
            "items_append=append",
        ],
    );
    for strategy in STRATEGIES {
        let sent = items(source, &format!("items_{strategy}"));
        assert_eq!(sent, owned(&SOURCE), "a source is never written");
    }

    let skip = Counts {
        created: 4,
        skipped: 6,
        ..NONE
    };
    assert_eq!(report.counts("items_skip"), skip);
    assert_eq!(items(target, "items_skip"), target_with(&SOURCE[6..]));

    let overwrite = Counts {
        created: 4,
        updated: 3,
        same: 3,
        ..NONE
    };
    assert_eq!(report.counts("items_overwrite"), overwrite);
    assert_eq!(items(target, "items_overwrite"), target_with(&SOURCE));

    let merge = Counts {
        created: 4,
        updated: 2,
        same: 4,
        ..NONE
    };
    assert_eq!(report.counts("items_merge"), merge);
    let mut merged = SOURCE;
    // The incoming NULL leaves what stands here.
    merged[4].2 = Some("local");
    assert_eq!(items(target, "items_merge"), target_with(&merged));

    let append = Counts {
        created: 10,
        ..NONE
    };
    assert_eq!(report.counts("items_append"), append);
    let mut appended: Vec<Item<'static>> = TARGET.to_vec();
    appended.extend(
        (22..)
            .zip(SOURCE)
            .map(|(id, (_, name, note))| (id, name, note)),
    );
    assert_eq!(items(target, "items_append"), owned(&appended));
    target.run("INSERT INTO items_append (name) VALUES ('next')");
    let last = items(target, "items_append").pop().unwrap();
    assert_eq!(last, (32, "next".to_owned(), None), "the numbering goes on");

    let again = ["items_overwrite", "--strategy", "overwrite"];
    let report = site.transfer(&source.location(), &target.location(), &again);
    assert_eq!(
        report.counts("items_overwrite"),
        Counts { same: 10, ..NONE }
    );
}

/// The target's rows, with these instead of its own or beside them.
fn target_with(changes: &[Item<'static>]) -> Vec<(i64, String, Option<String>)> {
    let mut rows = TARGET.to_vec();
    rows.retain(|(id, ..)| changes.iter().all(|(changed, ..)| changed != id));
    rows.extend(changes);
    rows.sort_by_key(|(id, ..)| *id);
    owned(&rows)
}

#[test]
fn from_sqlite_to_sqlite() {
    let site = Site::new();
    let source = Store::Sqlite(site.path("source.db"));
    let target = Store::Sqlite(site.path("target.db"));
    all_strategies(&site, &source, &target);
}

#[test]
fn from_sqlite_to_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = Store::Sqlite(site.path("source.db"));
    all_strategies(&site, &source, &Store::Postgres(target));
}

#[test]
fn from_postgres_to_sqlite() {
    let Some(source) = Database::new() else {
        return;
    };
    let site = Site::new();
    let target = Store::Sqlite(site.path("target.db"));
    all_strategies(&site, &Store::Postgres(source), &target);
}

#[test]
fn from_postgres_to_postgres() {
    let (Some(source), Some(target)) = (Database::new(), Database::new()) else {
        return;
    };
    all_strategies(
        &Site::new(),
        &Store::Postgres(source),
        &Store::Postgres(target),
    );
}

#[test]
fn a_table_may_have_a_strategy_of_its_own() {
    let site = Site::new();
    let (source, target) = (
        Store::Sqlite(site.path("source.db")),
        Store::Sqlite(site.path("target.db")),
    );
    for store in [&source, &target] {
        fill(store, "items", &SOURCE[..3]);
        store.run("CREATE TABLE others (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO others VALUES (1, 'x'), (2, 'y');");
    }
    source.run("UPDATE items SET note = 'new'; UPDATE others SET name = 'new';");
    let arguments = ["--strategy", "items=overwrite", "--strategy", "skip"];
    let report = site.transfer(&source.location(), &target.location(), &arguments);
    assert_eq!(report.counts("items"), Counts { updated: 3, ..NONE });
    assert_eq!(report.counts("others"), Counts { skipped: 2, ..NONE });
    let others = target.rows("SELECT name FROM others ORDER BY id");
    assert_eq!(others, [[Some("x".to_owned())], [Some("y".to_owned())]]);
    assert!(
        items(&target, "items")
            .iter()
            .all(|(_, _, note)| note.as_deref() == Some("new"))
    );
}

/// Two tables that append cannot number.
const UNNUMBERED: [(&str, &str, &str); 2] = [
    ("pairs", "a TEXT, b BIGINT, PRIMARY KEY (a, b)", "2 columns"),
    ("named", "a TEXT PRIMARY KEY, b BIGINT", "integer"),
];

fn append_refuses(target: &Store) {
    let site = Site::new();
    let source = Store::Sqlite(site.path("source.db"));
    for (table, columns, _) in UNNUMBERED {
        source.run(&format!(
            "CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ('a', 1), ('b', 2);"
        ));
    }
    target.run("CREATE TABLE apart (id INTEGER PRIMARY KEY)");
    let share = site.share(&[&source.location()]);
    for (table, columns, reason) in UNNUMBERED {
        let pull = || {
            let arguments = [table, "--into", &target.location(), "--strategy", "append"];
            let outcome = site.pull(&share, &arguments);
            outcome
                .error("unsuitable-table")
                .names(&[table, reason])
                .has_hint();
        };
        // The table is missing in the target: it is not created.
        let before = target.tables();
        pull();
        assert_eq!(target.tables(), before);

        // The table exists: no row is added.
        target.run(&format!(
            "CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ('c', 3);"
        ));
        pull();
        let rows = target.rows(&format!("SELECT a FROM {table}"));
        assert_eq!(rows, [[Some("c".to_owned())]]);
    }
}

#[test]
fn append_refuses_composite_and_text_keys() {
    let site = Site::new();
    append_refuses(&Store::Sqlite(site.path("target.db")));
}

#[test]
fn append_refuses_composite_and_text_keys_in_postgres() {
    if let Some(database) = Database::new() {
        append_refuses(&Store::Postgres(database));
    }
}

#[test]
fn a_table_without_a_key_needs_append() {
    let site = Site::new();
    let (source, target) = (
        Store::Sqlite(site.path("source.db")),
        Store::Sqlite(site.path("target.db")),
    );
    for store in [&source, &target] {
        store.run("CREATE TABLE log (at TEXT, what TEXT); INSERT INTO log VALUES ('1', 'a');");
    }
    let share = site.share(&[&source.location()]);
    let outcome = site.pull(
        &share,
        &["--into", &target.location(), "--strategy", "overwrite"],
    );
    outcome
        .error("unsuitable-table")
        .names(&["log", "append"])
        .has_hint();
    assert_eq!(target.rows("SELECT at FROM log").len(), 1);

    let report = site.transfer(
        &source.location(),
        &target.location(),
        &["--strategy", "append"],
    );
    assert_eq!(report.counts("log"), Counts { created: 1, ..NONE });
    assert_eq!(target.rows("SELECT at FROM log").len(), 2);
}
