//! Errors of commands: the message, the error code, the exit code, and that nothing was written.

use std::path::Path;

use crate::support::http;
use crate::support::outcome::Counts;
use crate::support::postgres::{Database, databases};
use crate::support::sample_tables::{create_numbers, create_one_row};
use crate::support::site::{Running, Site};
use crate::support::sqlite::{Sqlite, assert_same_table};

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let site = Site::new();
    let path = site.path("notes.txt");
    std::fs::write(&path, "not a database at all ".repeat(1_000)).unwrap();
    site.run(&["share", "--json", &path])
        .error("not-a-database")
        .names(&["notes.txt"])
        .has_hint();
    site.run(&["tables", "--json", &path])
        .error("not-a-database");

    // It is refused as a target as well, and not changed.
    let source = create_one_row(&site, "source.db");
    let share = site.share(&[&source]);
    site.pull(&share, &["--into", &path])
        .error("not-a-database")
        .names(&["notes.txt"]);
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("not a database at all ")
    );
}

#[test]
fn share_never_creates_a_file() {
    let site = Site::new();
    let path = site.path("missing.db");
    site.run(&["share", "--json", &path])
        .error("unreachable")
        .names(&["missing.db"])
        .has_hint();
    for verb in [
        &["tables", "--json", &path] as &[_],
        &["schema", "--json", &path, "t"],
        &["count", "--json", &path, "t"],
    ] {
        site.run(verb).error("unreachable");
    }
    assert!(!std::fs::exists(&path).unwrap());
}

#[test]
fn unreachable_servers_are_reported() {
    let site = Site::new();
    let target = site.path("target.db");
    let outcome = site.pull_from("http://127.0.0.1:1", "A7X9K2M4", &["--into", &target]);
    outcome
        .error("unreachable")
        .names(&["127.0.0.1:1"])
        .has_hint();

    let database = format!(
        "postgres://nobody:{}@127.0.0.1:1/shop",
        crate::support::SECRET
    );
    site.run(&["share", "--json", &database])
        .error("unreachable")
        .has_hint();
    let source = create_one_row(&site, "source.db");
    let share = site.share(&[&source]);
    site.pull(&share, &["--into", &database])
        .error("unreachable")
        .has_hint();
}

#[test]
fn a_postgres_database_is_never_created_and_its_password_never_shown() {
    let Some(database) = Database::new() else {
        return;
    };
    let site = Site::new();
    let missing = format!("{}_missing", database.url());
    // Every outcome is checked for the password.
    site.run(&["share", "--json", &missing])
        .error("unreachable");
    site.run(&["tables", &missing]).expect_exit(1);
    let source = create_one_row(&site, "source.db");
    let share = site.share(&[&source]);
    site.pull(&share, &["--into", &missing])
        .error("unreachable");
    let known =
        "SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '\\_missing'";
    assert_eq!(database.number(known), 0);
}

#[test]
fn a_missing_table_is_reported() {
    let site = Site::new();
    let (source, target) = (create_one_row(&site, "source.db"), site.path("target.db"));
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["customers", "--into", &target]);
    outcome
        .error("no-such-table")
        .names(&["customers"])
        .has_hint();
    site.run(&["schema", "--json", &source, "customers"])
        .error("no-such-table")
        .names(&["customers"])
        .has_hint();
    site.run(&["count", "--json", &source, "customers"])
        .error("no-such-table");
}

#[test]
fn a_table_outside_the_scope_is_denied() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE TABLE secrets (id INTEGER PRIMARY KEY, body TEXT);
         INSERT INTO secrets VALUES (1, 'x');",
    );
    let share = site.share(&[&source, "--tables", "order*"]);
    let outcome = site.pull(&share, &["orders", "secrets", "--into", &target]);
    outcome.error("denied").names(&["secrets"]).has_hint();

    // A peer that sends its own requests is denied as well.
    let share = site.share(&[&source, "--tables", "order*"]);
    let token = http::token(&http::claim(
        &share.url,
        &share.code,
        "a secret of the claimer",
    ));
    let list = http::tables(&share.url, &token);
    let text = String::from_utf8(list.body).unwrap();
    assert!(
        text.contains("orders") && !text.contains("secrets"),
        "{text}"
    );
    for path in [
        "/sync/v1/tables/secrets",
        "/sync/v1/tables/secrets/rows?run=r1",
    ] {
        let answer = http::request(&share.url, "GET", path, Some(&token), b"");
        assert_eq!(answer.error(), "denied", "{path}");
    }
    // Without a token, every request is refused.
    for path in [
        "/sync/v1/tables",
        "/sync/v1/tables/orders",
        "/sync/v1/tables/orders/rows?run=r1",
    ] {
        let answer = http::request(&share.url, "GET", path, None, b"");
        assert_eq!(answer.error(), "unauthorized", "{path}");
    }
}

#[test]
fn a_view_is_refused() {
    let site = Site::new();
    let (source, target) = (create_one_row(&site, "source.db"), site.path("target.db"));
    Sqlite::create(&source).run("CREATE VIEW shown AS SELECT id FROM t");
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["shown", "--into", &target]);
    outcome.error("not-a-table").names(&["shown"]).has_hint();

    // A view of the target is refused as well.
    let source = create_one_row(&site, "other.db");
    Sqlite::script(&target, "CREATE VIEW t AS SELECT 1 AS id, 'a' AS name");
    let share = site.share(&[&source]);
    site.pull(&share, &["--into", &target])
        .error("not-a-table")
        .names(&["\"t\""]);
}

#[test]
fn an_existing_table_with_other_columns_is_refused() {
    let site = Site::new();
    let (source, target) = (create_one_row(&site, "source.db"), site.path("target.db"));
    Sqlite::create(&source)
        .run("CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);");
    let other = "CREATE TABLE t (id INTEGER PRIMARY KEY, title TEXT NOT NULL); INSERT INTO t VALUES (7, 'local');";
    Sqlite::script(&target, other);
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["--into", &target, "--strategy", "overwrite"]);
    outcome
        .error("columns-differ")
        .names(&["\"t\"", "title"])
        .has_hint();
    // The missing table was not created either.
    let mut target = Sqlite::open(&target);
    assert_eq!(target.tables(), ["t"]);
    let rows = target.rows("SELECT CAST(id AS TEXT), title FROM t");
    assert_eq!(rows, [[Some("7".to_owned()), Some("local".to_owned())]]);
}

#[test]
fn an_existing_table_with_other_columns_is_refused_in_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    database.run("CREATE TABLE t (id bigint PRIMARY KEY, name text, born date NOT NULL)");
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    Sqlite::create(&source)
        .run("CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);");
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["--into", &database.url()]);
    outcome
        .error("columns-differ")
        .names(&["\"t\"", "born"])
        .has_hint();
    assert_eq!(database.tables(), ["t"]);
    assert_eq!(database.number("SELECT count(*) FROM t"), 0);
}

#[test]
fn a_missing_table_is_not_created_with_no_create() {
    let site = Site::new();
    let (source, target) = (create_one_row(&site, "source.db"), site.path("target.db"));
    Sqlite::script(&target, "CREATE TABLE other (id INTEGER PRIMARY KEY)");
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["--into", &target, "--no-create"]);
    outcome.error("missing-table").names(&["\"t\""]).has_hint();
    assert_eq!(Sqlite::open(&target).tables(), ["other"]);
}

const CYCLE: &str =
    "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INTEGER NOT NULL REFERENCES staff (id));
     CREATE TABLE staff (id INTEGER PRIMARY KEY, store INTEGER NOT NULL REFERENCES store (id));";

#[test]
fn a_cycle_of_existing_tables_is_refused() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(&source, CYCLE);
    Sqlite::create(&source).run(
        "PRAGMA foreign_keys = OFF; INSERT INTO store VALUES (1, 1); INSERT INTO staff VALUES (1, 1);
         CREATE TABLE apart (id INTEGER PRIMARY KEY); INSERT INTO apart VALUES (1);",
    );
    Sqlite::script(&target, CYCLE);
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["--into", &target]);
    outcome.error("cycle").names(&["store", "staff"]).has_hint();
    let mut target = Sqlite::open(&target);
    assert_eq!(target.tables(), ["staff", "store"], "nothing was created");
    assert_eq!(target.number("SELECT count(*) FROM store"), 0);
}

#[test]
fn a_cycle_of_missing_tables_is_created() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(&source, CYCLE);
    Sqlite::create(&source).run("PRAGMA foreign_keys = OFF; INSERT INTO store VALUES (1, 1); INSERT INTO staff VALUES (1, 1);");
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(report.counts("store"), Counts::created(1));
    assert_eq!(report.counts("staff"), Counts::created(1));
}

/// Rows of which some refer to later ones.
const TREE_ROWS: &str = "INSERT INTO tree VALUES (1, 5), (2, 1), (3, 3), (4, NULL), (5, 4)";

#[test]
fn a_table_that_references_itself_is_pulled() {
    let (site, source, target) = Site::with_files();
    let schema = "CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id));";
    Sqlite::script(&source, schema);
    Sqlite::create(&source).run(&format!("PRAGMA foreign_keys = OFF; {TREE_ROWS}"));
    Sqlite::script(&target, schema);
    let report = site.transfer(&source, &target, &[]);
    assert_eq!(report.counts("tree"), Counts::created(5));
    assert_same_table(&source, &target, "tree");
}

#[test]
fn a_postgres_table_that_references_itself_is_pulled() {
    let Some([source, target]) = databases() else {
        return;
    };
    let schema = "CREATE TABLE tree (id integer PRIMARY KEY, parent integer REFERENCES tree (id));";
    for database in [&source, &target] {
        database.run(schema);
    }
    source.run(TREE_ROWS);
    let site = Site::new();
    let report = site.transfer(&source.url(), &target.url(), &[]);
    assert_eq!(report.counts("tree"), Counts::created(5));
    source.table("tree").assert_same(&target.table("tree"));
}

#[test]
fn an_expiry_has_bounds() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    for expiry in ["5ms", "169h", "720h"] {
        let outcome = site.run(&["share", "--json", "--expires", expiry, &source]);
        let failure = outcome.error("bad-request").has_hint();
        let (_, bounds) = failure.message.split_once(" must be ").unwrap();
        assert_eq!(bounds, "between 1 s and 7 days");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
        let page = std::fs::read_to_string(page).unwrap();
        let row = page.lines().find(|line| line.starts_with("| `--expires "));
        assert!(row.unwrap().contains(bounds), "docs/cli.md: {bounds}");
    }
}

#[test]
fn a_file_that_cannot_be_created_is_named_with_its_folder() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let share = site.share(&[&source]);
    let missing = site.path("missing/copy.db");
    let failure = site
        .pull(&share, &["--into", &missing])
        .error("unreachable");
    let failure = failure.names(&["cannot create copy.db in ", "missing/", "no such folder"]);
    assert!(failure.hint.contains("create the folder"), "{failure:?}");

    let folder = site.path("ro");
    std::fs::create_dir(&folder).unwrap();
    crate::support::set_mode(&folder, 0o555);
    let file = format!("{folder}/copy.db");
    let command =
        site.command_of_nobody(&["pull", "--json", &share.url, &share.code, "--into", &file]);
    let failure = Running::start(command).wait().error("unreachable");
    let failure = failure.names(&["cannot create copy.db in ", "ro/"]);
    assert!(failure.hint.contains("writable"), "{failure:?}");
}

#[test]
fn a_pull_that_the_sender_ends_says_what_is_in_and_asks_for_a_new_code() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 400_000);
    let share = site.share(&[&source]);
    let pull = site.start_pull_with_small_chunks(&share.url, &share.code, &["--into", &target]);
    pull.wait_for("progress");
    share.running.signal("INT");
    let failure = pull.wait().error("sender");
    assert!(
        failure
            .message
            .contains(" of 400,000 rows of numbers are in"),
        "{failure:?}"
    );
    assert!(
        failure.hint.contains("with a new code from the other site"),
        "{failure:?}"
    );
}
