//! The result and the counts of each conflict strategy, for every pair of databases.

use crate::support::any_database::AnyDatabase;
use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::sample_tables::{Item, create_items, items, owned};
use crate::support::site::Site;

/// The ten rows of the source.
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

/// The rows of the target: three are the same in the source, three differ, two are only here.
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

/// The strategies, each tested with a table of its own in one run; `skip` is the default.
const STRATEGIES: [&str; 4] = ["skip", "overwrite", "merge", "append"];

fn check_all_strategies(site: &Site, source: &AnyDatabase, target: &AnyDatabase) {
    for strategy in STRATEGIES {
        create_items(source, &format!("items_{strategy}"), &SOURCE);
        create_items(target, &format!("items_{strategy}"), &TARGET);
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
        ..Counts::default()
    };
    assert_eq!(report.counts("items_skip"), skip);
    assert_eq!(items(target, "items_skip"), target_with(&SOURCE[6..]));

    let overwrite = Counts {
        created: 4,
        updated: 3,
        same: 3,
        ..Counts::default()
    };
    assert_eq!(report.counts("items_overwrite"), overwrite);
    assert_eq!(items(target, "items_overwrite"), target_with(&SOURCE));

    let merge = Counts {
        created: 4,
        updated: 2,
        same: 4,
        ..Counts::default()
    };
    assert_eq!(report.counts("items_merge"), merge);
    let mut merged = SOURCE;
    // An incoming NULL does not replace a value.
    merged[4].2 = Some("local");
    assert_eq!(items(target, "items_merge"), target_with(&merged));

    let append = Counts::created(10);
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
    assert_eq!(
        last,
        (32, "next".to_owned(), None),
        "the numbering continues"
    );

    let again = ["items_overwrite", "--strategy", "overwrite"];
    let report = site.transfer(&source.location(), &target.location(), &again);
    assert_eq!(report.counts("items_overwrite"), Counts::same(10));
}

/// The rows of the target after these were written.
fn target_with(changes: &[Item<'static>]) -> Vec<(i64, String, Option<String>)> {
    let mut rows = TARGET.to_vec();
    rows.retain(|(id, ..)| changes.iter().all(|(changed, ..)| changed != id));
    rows.extend(changes);
    rows.sort_by_key(|(id, ..)| *id);
    owned(&rows)
}

#[test]
fn all_strategies_from_sqlite_to_sqlite() {
    let site = Site::new();
    let source = AnyDatabase::file(&site, "source.db");
    let target = AnyDatabase::file(&site, "target.db");
    check_all_strategies(&site, &source, &target);
}

#[test]
fn all_strategies_from_sqlite_to_postgres() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = AnyDatabase::file(&site, "source.db");
    check_all_strategies(&site, &source, &AnyDatabase::Postgres(target));
}

#[test]
fn all_strategies_from_postgres_to_sqlite() {
    let Some(source) = Database::new() else {
        return;
    };
    let site = Site::new();
    let target = AnyDatabase::file(&site, "target.db");
    check_all_strategies(&site, &AnyDatabase::Postgres(source), &target);
}

#[test]
fn all_strategies_from_postgres_to_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    check_all_strategies(
        &Site::new(),
        &AnyDatabase::Postgres(source),
        &AnyDatabase::Postgres(target),
    );
}

#[test]
fn a_table_can_have_its_own_strategy() {
    let site = Site::new();
    let (source, target) = (
        AnyDatabase::file(&site, "source.db"),
        AnyDatabase::file(&site, "target.db"),
    );
    for database in [&source, &target] {
        create_items(database, "items", &SOURCE[..3]);
        database.run("CREATE TABLE others (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO others VALUES (1, 'x'), (2, 'y');");
    }
    source.run("UPDATE items SET note = 'new'; UPDATE others SET name = 'new';");
    let arguments = ["--strategy", "items=overwrite", "--strategy", "skip"];
    let report = site.transfer(&source.location(), &target.location(), &arguments);
    assert_eq!(report.counts("items"), Counts::updated(3));
    assert_eq!(report.counts("others"), Counts::skipped(2));
    let others = target.rows("SELECT name FROM others ORDER BY id");
    assert_eq!(others, [[Some("x".to_owned())], [Some("y".to_owned())]]);
    assert!(
        items(&target, "items")
            .iter()
            .all(|(_, _, note)| note.as_deref() == Some("new"))
    );
}

/// Tables whose keys append cannot number, their columns, and a part of the reason.
const UNNUMBERED: [(&str, &str, &str); 2] = [
    ("pairs", "a TEXT, b BIGINT, PRIMARY KEY (a, b)", "2 columns"),
    ("named", "a TEXT PRIMARY KEY, b BIGINT", "integer"),
];

fn check_append_refuses(target: &AnyDatabase) {
    let site = Site::new();
    let source = AnyDatabase::file(&site, "source.db");
    for (table, columns, _) in UNNUMBERED {
        source.run(&format!(
            "CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ('a', 1), ('b', 2);"
        ));
    }
    target.run("CREATE TABLE unrelated (id INTEGER PRIMARY KEY)");
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
        // A table that is missing in the target is not created.
        let before = target.tables();
        pull();
        assert_eq!(target.tables(), before);

        // No row is added to an existing table.
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
    check_append_refuses(&AnyDatabase::file(&site, "target.db"));
}

#[test]
fn append_refuses_composite_and_text_keys_in_postgres() {
    if let Some(database) = Database::new() {
        check_append_refuses(&AnyDatabase::Postgres(database));
    }
}

#[test]
fn a_table_without_a_key_needs_append() {
    let site = Site::new();
    let (source, target) = (
        AnyDatabase::file(&site, "source.db"),
        AnyDatabase::file(&site, "target.db"),
    );
    for database in [&source, &target] {
        database.run("CREATE TABLE log (at TEXT, what TEXT); INSERT INTO log VALUES ('1', 'a');");
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
    assert_eq!(report.counts("log"), Counts::created(1));
    assert_eq!(target.rows("SELECT at FROM log").len(), 2);
}
