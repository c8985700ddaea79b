//! The command line: verbs, exit codes, signals, and what people see without `--json`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::compare::Store;
use crate::support::peer;
use crate::support::postgres::Database;
use crate::support::sample_tables::{fill, numbers};
use crate::support::site::{Running, Site};
use crate::support::sqlite::Sqlite;

/// More than one chunk.
const MANY: u32 = 400_000;

#[test]
fn version() {
    let outcome = Site::new().run(&["--version"]).expect_exit(0);
    assert_eq!(
        outcome.stdout,
        [format!("tombolo {}", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn usage_errors() {
    let site = Site::new();
    for arguments in [
        &[] as &[&str],
        &["fly"],
        &["share"],
        &["share", "shop.db", "--expires", "soon"],
        &["share", "shop.db", "--listen", "nowhere"],
        &["share", "mysql://127.0.0.1/shop"],
        &["pull", "http://127.0.0.1:1"],
        &["pull", "http://127.0.0.1:1", "A7X9K2M4"],
        &["count", "shop.db"],
    ] {
        let outcome = site.run(arguments).expect_exit(2);
        assert!(!outcome.stderr.is_empty(), "{outcome:?}");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
}

/// The demo with its own temporary folder.
#[test]
fn demo_succeeds_and_leaves_nothing() {
    let site = Site::new();
    let folder = site.path("temporary");
    std::fs::create_dir(&folder).unwrap();
    let mut command = site.command("data", &["demo"]);
    command.env("TMPDIR", &folder);
    let outcome = Running::start(command).wait().expect_exit(0);
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?} of {outcome:?}");
    let said = format!("{}\n{}", outcome.stdout.join("\n"), outcome.stderr);
    for part in ["share", "pull", "100"] {
        assert!(said.contains(part), "{part:?} is not in {outcome:?}");
    }
}

fn looks_at(store: &Store) {
    fill(
        store,
        "items",
        &[(1, "one", None), (2, "two", Some("b")), (7, "seven", None)],
    );
    store.run(
        "CREATE TABLE apart (id INTEGER PRIMARY KEY); CREATE VIEW shown AS SELECT id FROM items;",
    );
    let (site, location) = (Site::new(), store.location());

    let listed = site
        .run(&["tables", "--json", &location])
        .expect_exit(0)
        .events();
    let table = |name: &str, rows: u64| json!({ "event": "listed", "table": name, "kind": "table", "rows": rows, "exact": true });
    let view = json!({ "event": "listed", "table": "shown", "kind": "view" });
    assert_eq!(listed, [table("apart", 0), table("items", 3), view]);
    let outcome = site.run(&["tables", &location]).expect_exit(0);
    assert_eq!(
        outcome.stdout,
        ["apart\ttable\t0", "items\ttable\t3", "shown\tview\t"]
    );

    let outcome = site
        .run(&["schema", "--json", &location, "items"])
        .expect_exit(0);
    let events = outcome.events();
    let [schema] = events.as_slice() else {
        panic!("{outcome:?}");
    };
    assert_eq!(schema["event"], "schema");
    assert_eq!(schema["table"], "items");
    assert_eq!(schema["primary_key"], json!(["id"]));
    let columns: Vec<_> = (0..3).map(|column| &schema["columns"][column]).collect();
    let of = |field: &str| columns.iter().map(|column| column[field].clone()).collect();
    assert_eq!(Value::Array(of("name")), json!(["id", "name", "note"]));
    assert_eq!(Value::Array(of("type")), json!(["integer", "text", "text"]));
    assert_eq!(columns[1]["nullable"], json!(false));
    assert_eq!(columns[2]["nullable"], json!(true));
    let outcome = site.run(&["schema", &location, "items"]).expect_exit(0);
    let text = outcome.stdout.join("\n");
    assert!(
        ["id", "name", "note"]
            .iter()
            .all(|name| text.contains(name)),
        "{outcome:?}"
    );

    let count = site
        .run(&["count", "--json", &location, "items"])
        .expect_exit(0)
        .events();
    let expected = json!({ "event": "count", "table": "items", "rows": 3, "exact": true });
    assert_eq!(count, [expected]);
    let outcome = site.run(&["count", &location, "items"]).expect_exit(0);
    assert_eq!(outcome.stdout, ["3 rows (exact)"]);
}

#[test]
fn tables_schema_and_count() {
    let site = Site::new();
    looks_at(&Store::Sqlite(site.path("shop.db")));
}

#[test]
fn tables_schema_and_count_of_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    looks_at(&Store::Postgres(database));
}

#[test]
fn own_tables_are_hidden() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, 3);
    site.transfer(&source, &target, &[]);
    let outcome = site.run(&["tables", "--json", &target]).expect_exit(0);
    let text = outcome.stdout.join("\n");
    assert!(
        text.contains("\"numbers\"") && !text.contains("tombolo_"),
        "{outcome:?}"
    );
}

#[test]
fn people_read_code_command_and_counts() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, 1_234);
    let share = site.share(&[&source]);
    let outcome = Running::start(site.command(
        "pull-data",
        &["pull", &share.url, &share.code, "--into", &target, "--yes"],
    ));
    let outcome = outcome.wait().expect_exit(0);
    let text = outcome.stdout.join("\n");
    assert!(
        text.contains("numbers") && text.replace([',', ' ', '_', '\''], "").contains("1234"),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    let ended = share.running.wait().expect_exit(0);
    assert!(
        ended.stdout.join("\n").contains("numbers"),
        "the report of what was sent: {ended:?}"
    );

    // Without --json: the code and the exact command for the other side.
    let share =
        Running::start(site.command("share-data", &["share", &source, "--listen", "127.0.0.1:0"]));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !share.said("tombolo pull http://127.0.0.1:") {
        assert!(Instant::now() < deadline, "{share:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    share.signal("INT");
    share.wait();
}

#[test]
fn a_taken_port_is_followed_by_the_next_free_one() {
    let site = Site::new();
    let source = site.path("source.db");
    numbers(&source, 1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = Running::start(site.command(
        "share-data",
        &["share", "--json", &source, "--listen", &address],
    ));
    let session =
        outcome.wait_until(|event| event["event"] == "session" || event["event"] == "error");
    let session = session.unwrap_or_else(|| panic!("{outcome:?}"));
    assert_eq!(session["event"], "session", "{outcome:?}");
    let url = session["url"].as_str().unwrap();
    assert_ne!(peer::authority(url), address);
}

#[test]
fn share_that_nobody_claimed_ends_on_signals() {
    for signal in ["INT", "TERM"] {
        let site = Site::new();
        let source = site.path("source.db");
        numbers(&source, 10);
        let share = site.share(&[&source]);
        let began = Instant::now();
        share.running.signal(signal);
        share.running.wait().error("cancelled");
        assert!(began.elapsed() < Duration::from_secs(10), "{signal}");
        let target = site.path("target.db");
        site.pull_from(&share.url, &share.code, &["--into", &target])
            .error("unreachable");
    }
}

/// What a pull left of `numbers`: whole frames in the order of the key.
fn whole_chunks(target: &str) -> i64 {
    let mut stored = Sqlite::open(target);
    if stored.tables().is_empty() {
        return 0;
    }
    let count = stored.number("SELECT count(*) FROM numbers");
    assert_eq!(
        stored.number("SELECT coalesce(max(id), 0) FROM numbers"),
        count
    );
    assert!(count < i64::from(MANY) && count % 5_000 == 0, "{count}");
    count
}

#[test]
fn share_that_somebody_claimed_ends_its_streams_on_a_signal() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, MANY);
    let share = site.share(&[&source]);
    let pull = site.start_pull(&share.url, &share.code, &["--into", &target]);
    pull.wait_for("progress");
    share.running.signal("TERM");
    pull.wait().error("sender").has_hint();
    share.running.wait().expect_exit(1);
    whole_chunks(&target);
}

#[test]
fn pull_ends_at_the_end_of_a_chunk_on_signals() {
    for signal in ["INT", "TERM"] {
        let site = Site::new();
        let (source, target) = (site.path("source.db"), site.path("target.db"));
        numbers(&source, MANY);
        let share = site.share(&[&source]);
        let pull = site.start_pull(&share.url, &share.code, &["--into", &target]);
        pull.wait_for("progress");
        pull.signal(signal);
        pull.wait().error("cancelled").has_hint();
        assert!(
            whole_chunks(&target) > 0,
            "the chunk under way was finished"
        );

        // The same site may claim the same code again, and gets the rest; the report is of both.
        let report = site
            .pull(&share, &["--into", &target])
            .done()
            .counts("numbers");
        assert_eq!((report.created, report.skipped), (MANY.into(), 0));
    }
}

#[test]
fn every_event_is_a_line_of_json_and_done_is_the_last() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, 100);
    let share = site.share(&[&source]);
    let outcome = site.pull(&share, &["--into", &target]).expect_exit(0);
    let events = outcome.events();
    let done = events.last().unwrap();
    assert_eq!(done["event"], "done", "{outcome:?}");
    assert!(
        done["run"].as_str().is_some_and(|run| !run.is_empty()),
        "{outcome:?}"
    );
    let table = &done["tables"][0];
    let mut fields: Vec<&str> = table
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "bytes",
            "created",
            "failed",
            "same",
            "skipped",
            "snapshots",
            "stored",
            "table",
            "updated"
        ]
    );
}
