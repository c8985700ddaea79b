//! Each strategy against a half-filled target, with the counts, for every pair of databases.

use crate::support::binary::Site;
use crate::support::compare::Store;
use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::sample::{Item, fill, items, owned};

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

/// Two stores of the kinds asked for, filled; none without PostgreSQL.
type Pair = dyn Fn(&Site) -> Option<(Store, Store)>;

/// Runs all strategies on fresh pairs.
fn all_strategies(pair: &Pair) {
    for check in [skip, overwrite, merge, append] {
        let site = Site::new();
        let Some((source, target)) = pair(&site) else {
            return;
        };
        fill(&source, &SOURCE);
        fill(&target, &TARGET);
        check(&site, &source, &target);
        assert_eq!(items(&source), owned(&SOURCE), "a source is never written");
    }
}

/// The target's rows, with these instead of its own or beside them.
fn target_with(changes: &[Item<'static>]) -> Vec<(i64, String, Option<String>)> {
    let mut rows = TARGET.to_vec();
    rows.retain(|(id, ..)| changes.iter().all(|(changed, ..)| changed != id));
    rows.extend(changes);
    rows.sort_by_key(|(id, ..)| *id);
    owned(&rows)
}

fn transfer(site: &Site, source: &Store, target: &Store, strategy: &str) -> Counts {
    let arguments = ["--strategy", strategy];
    let report = site.transfer(&source.location(), &target.location(), &arguments);
    report.counts("items")
}

fn skip(site: &Site, source: &Store, target: &Store) {
    let counts = transfer(site, source, target, "skip");
    assert_eq!(
        counts,
        Counts {
            created: 4,
            skipped: 6,
            ..NONE
        },
        "skip"
    );
    assert_eq!(items(target), target_with(&SOURCE[6..]), "skip");
}

fn overwrite(site: &Site, source: &Store, target: &Store) {
    let counts = transfer(site, source, target, "overwrite");
    assert_eq!(
        counts,
        Counts {
            created: 4,
            updated: 3,
            same: 3,
            ..NONE
        },
        "overwrite"
    );
    assert_eq!(items(target), target_with(&SOURCE), "overwrite");
    let counts = transfer(site, source, target, "overwrite");
    assert_eq!(counts, Counts { same: 10, ..NONE }, "overwrite, and again");
}

fn merge(site: &Site, source: &Store, target: &Store) {
    let counts = transfer(site, source, target, "merge");
    assert_eq!(
        counts,
        Counts {
            created: 4,
            updated: 2,
            same: 4,
            ..NONE
        },
        "merge"
    );
    let mut merged = SOURCE;
    // The incoming NULL leaves what stands here.
    merged[4].2 = Some("local");
    assert_eq!(items(target), target_with(&merged), "merge");
}

fn append(site: &Site, source: &Store, target: &Store) {
    let counts = transfer(site, source, target, "append");
    assert_eq!(
        counts,
        Counts {
            created: 10,
            ..NONE
        },
        "append"
    );
    let mut appended: Vec<Item<'static>> = TARGET.to_vec();
    appended.extend(
        (22..)
            .zip(SOURCE)
            .map(|(id, (_, name, note))| (id, name, note)),
    );
    assert_eq!(items(target), owned(&appended), "append");
    target.run("INSERT INTO items (name) VALUES ('next')");
    let last = items(target).pop().unwrap();
    assert_eq!(last, (32, "next".to_owned(), None), "the numbering goes on");
}

#[test]
fn from_sqlite_to_sqlite() {
    all_strategies(&|site| {
        let (source, target) = (site.path("source.db"), site.path("target.db"));
        Some((Store::Sqlite(source), Store::Sqlite(target)))
    });
}

#[test]
fn from_sqlite_to_postgres() {
    all_strategies(&|site| {
        let target = Database::new()?;
        Some((
            Store::Sqlite(site.path("source.db")),
            Store::Postgres(target),
        ))
    });
}

#[test]
fn from_postgres_to_sqlite() {
    all_strategies(&|site| {
        let source = Database::new()?;
        Some((
            Store::Postgres(source),
            Store::Sqlite(site.path("target.db")),
        ))
    });
}

#[test]
fn from_postgres_to_postgres() {
    all_strategies(&|_| {
        let (source, target) = (Database::new()?, Database::new()?);
        Some((Store::Postgres(source), Store::Postgres(target)))
    });
}

#[test]
fn a_table_may_have_a_strategy_of_its_own() {
    let site = Site::new();
    let (source, target) = (
        Store::Sqlite(site.path("source.db")),
        Store::Sqlite(site.path("target.db")),
    );
    for store in [&source, &target] {
        fill(store, &SOURCE[..3]);
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
        items(&target)
            .iter()
            .all(|(_, _, note)| note.as_deref() == Some("new"))
    );
}

#[test]
fn the_default_strategy_is_skip() {
    let site = Site::new();
    let (source, target) = (
        Store::Sqlite(site.path("source.db")),
        Store::Sqlite(site.path("target.db")),
    );
    fill(&source, &SOURCE);
    fill(&target, &TARGET);
    let report = site.transfer(&source.location(), &target.location(), &[]);
    assert_eq!(
        report.counts("items"),
        Counts {
            created: 4,
            skipped: 6,
            ..NONE
        }
    );
}

/// A table that append cannot number, with one row, and a second that differs.
fn append_is_refused(target: &Store, table: &str, columns: &str, reason: &str) {
    let site = Site::new();
    let source = Store::Sqlite(site.path("source.db"));
    source.run(&format!(
        "CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ('a', 1), ('b', 2);"
    ));
    let pull = |target: &str| {
        let share = site.share(&[&source.location()]);
        let outcome = site.pull(&share, &["--into", target, "--strategy", "append"]);
        let failure = outcome.error("unsuitable-table").names(&[table]).has_hint();
        assert!(
            failure.message.to_lowercase().contains(reason),
            "{reason:?} is no reason in {failure:?}"
        );
    };

    // The table is missing in the target: it is not created.
    let before = target.tables();
    pull(&target.location());
    assert_eq!(target.tables(), before);

    // The table exists: no row is added.
    target.run(&format!(
        "CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ('c', 3);"
    ));
    pull(&target.location());
    let rows = target.rows(&format!("SELECT a FROM {table}"));
    assert_eq!(rows, [[Some("c".to_owned())]]);
}

#[test]
fn append_refuses_composite_and_text_keys() {
    let site = Site::new();
    let target = Store::Sqlite(site.path("target.db"));
    target.run("CREATE TABLE other (id INTEGER PRIMARY KEY)");
    append_is_refused(
        &target,
        "pairs",
        "a TEXT, b INTEGER, PRIMARY KEY (a, b)",
        "column",
    );
    append_is_refused(&target, "named", "a TEXT PRIMARY KEY, b INTEGER", "integer");
}

#[test]
fn append_refuses_composite_and_text_keys_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    let target = Store::Postgres(database);
    append_is_refused(
        &target,
        "pairs",
        "a TEXT, b bigint, PRIMARY KEY (a, b)",
        "column",
    );
    append_is_refused(&target, "named", "a TEXT PRIMARY KEY, b bigint", "integer");
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
