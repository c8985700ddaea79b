//! Commands, exit codes, signals, and the output with and without `--json`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::any_database::AnyDatabase;
use crate::support::http;
use crate::support::postgres::Database;
use crate::support::sample_tables::{create_items, create_numbers};
use crate::support::site::{Running, Site};
use crate::support::sqlite::Sqlite;

/// Rows of more than one chunk.
const MANY: u32 = 400_000;

#[test]
fn version_prints_name_and_version() {
    let outcome = Site::new().run(&["--version"]).expect_exit(0);
    assert_eq!(
        outcome.stdout,
        [format!("tombolo {}", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn usage_errors_exit_with_code_2() {
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

#[test]
fn wrong_arguments_give_an_error_event() {
    let site = Site::new();
    for (arguments, message, hint) in [
        (&["--json"] as &[&str], "no verb", "tombolo help"),
        (&["fly", "--json"], "'fly'", "tombolo"),
        (&["--json", "shar", "a.db"], "'shar'", "'share'"),
        (&["share", "--json"], "<DB>", "tombolo share"),
        (
            &["share", "a.db", "--expires", "soon", "--json"],
            "soon",
            "--help",
        ),
        (
            &["share", "--json", "mysql://127.0.0.1/shop"],
            "mysql",
            "tombolo share",
        ),
        (
            &["pull", "h:1", "--into", "b.db", "--jsno", "--json"],
            "--jsno",
            "'--json'",
        ),
        (
            &[
                "pull",
                "h:1",
                "C",
                "--into",
                "b.db",
                "--json",
                "--strateg=skip",
            ],
            "--strateg",
            "'--strategy'",
        ),
        (
            &[
                "pull", "--json", "h:1", "C", "--into", "b.db", "--jobs", "99",
            ],
            "99",
            "--help",
        ),
        (
            &[
                "pull",
                "--json",
                "h:1",
                "--into",
                "b.db",
                "--dry-run",
                "--yes",
            ],
            "--yes",
            "tombolo pull",
        ),
        (&["count", "a.db", "--json"], "<TABLE>", "tombolo count"),
        (
            &[
                "tables",
                "--json",
                "postgres://ana:never-shown-9f2c@h/db",
                "x",
            ],
            "'x'",
            "tombolo tables",
        ),
    ] {
        let outcome = site.run(arguments).expect_exit(2);
        let events = outcome.events();
        let [error] = events.as_slice() else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            (&error["event"], &error["code"]),
            (&json!("error"), &json!("bad-request"))
        );
        for (field, part) in [("message", message), ("hint", hint)] {
            let text = error[field].as_str().unwrap();
            assert!(
                text.contains(part) && !text.contains('\n'),
                "{field} {part:?}: {outcome:?}"
            );
        }
        assert!(outcome.stderr.is_empty(), "{outcome:?}");
    }
    // It is no option there: the text is for people.
    let outcome = site.run(&["fly", "--", "--json"]).expect_exit(2);
    assert!(outcome.stdout.is_empty() && !outcome.stderr.is_empty());
}

#[test]
fn demo_succeeds_and_leaves_no_files() {
    let site = Site::new();
    let folder = site.path("temporary");
    std::fs::create_dir(&folder).unwrap();
    crate::support::set_mode(&folder, 0o700);
    let mut command = site.command("data", &["demo"]);
    command.env("TMPDIR", &folder);
    let outcome = Running::start(command).wait().expect_exit(0);
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?} of {outcome:?}");
    let output = format!("{}\n{}", outcome.stdout.join("\n"), outcome.stderr);
    for part in ["share", "pull", "100"] {
        assert!(output.contains(part), "{part:?} is not in {outcome:?}");
    }
}

fn check_tables_schema_and_count(database: &AnyDatabase) {
    create_items(
        database,
        "items",
        &[(1, "one", None), (2, "two", Some("b")), (7, "seven", None)],
    );
    database.run(
        "CREATE TABLE apart (id INTEGER PRIMARY KEY); CREATE VIEW shown AS SELECT id FROM items;",
    );
    let (site, location) = (Site::new(), database.location());

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
    check_tables_schema_and_count(&AnyDatabase::file(&site, "shop.db"));
}

#[test]
fn tables_schema_and_count_of_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    check_tables_schema_and_count(&AnyDatabase::Postgres(database));
}

#[test]
fn tables_of_tombolo_are_hidden() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 3);
    site.transfer(&source, &target, &[]);
    let outcome = site.run(&["tables", "--json", &target]).expect_exit(0);
    let text = outcome.stdout.join("\n");
    assert!(
        text.contains("\"numbers\"") && !text.contains("tombolo_"),
        "{outcome:?}"
    );
}

#[test]
fn output_for_people_has_the_code_the_command_and_the_counts() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 1_234);
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

    // Without `--json`, `share` prints the exact command for the other side.
    let share =
        Running::start(site.command("share-data", &["share", &source, "--listen", "127.0.0.1:0"]));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !share.has_printed("tombolo pull http://127.0.0.1:") {
        assert!(Instant::now() < deadline, "{share:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    share.signal("INT");
    share.wait();
}

#[test]
fn share_uses_another_port_if_its_port_is_taken() {
    let site = Site::new();
    let source = site.path("source.db");
    create_numbers(&source, 1);
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
    assert_ne!(http::authority(url), address);
}

#[test]
fn an_unclaimed_share_ends_on_signals() {
    for signal in ["INT", "TERM"] {
        let site = Site::new();
        let source = site.path("source.db");
        create_numbers(&source, 10);
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

/// Checks that a cancelled pull left whole frames in key order, and returns the number of rows.
fn check_whole_frames(target: &str) -> i64 {
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
fn a_claimed_share_ends_its_streams_on_a_signal() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, MANY);
    let share = site.share(&[&source]);
    let pull = site.start_pull(&share.url, &share.code, &["--into", &target]);
    pull.wait_for("progress");
    share.running.signal("TERM");
    pull.wait().error("sender").has_hint();
    share.running.wait().expect_exit(1);
    check_whole_frames(&target);
}

#[test]
fn a_pull_completes_its_chunk_on_signals() {
    for signal in ["INT", "TERM"] {
        let (site, source, target) = Site::with_files();
        create_numbers(&source, MANY);
        let share = site.share(&[&source]);
        let pull = site.start_pull(&share.url, &share.code, &["--into", &target]);
        pull.wait_for("progress");
        pull.signal(signal);
        pull.wait().error("cancelled").has_hint();
        assert!(
            check_whole_frames(&target) > 0,
            "the current chunk was completed"
        );

        // The same site can claim the code again and gets the missing rows; the report counts both pulls.
        let report = site
            .pull(&share, &["--into", &target])
            .done()
            .counts("numbers");
        assert_eq!((report.created, report.skipped), (MANY.into(), 0));
    }
}

#[test]
fn events_are_lines_of_json_and_the_last_is_done() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 100);
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

#[test]
fn the_bytes_of_a_table_are_the_same_number_at_both_ends() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 20_000);
    create_items(
        &AnyDatabase::Sqlite(source.clone()),
        "items",
        &[(1, "one", None)],
    );
    let share = site.share(&[&source]);
    let report = site.pull(&share, &["--into", &target]).done();
    let ended = share.running.wait().expect_exit(0);
    for table in ["numbers", "items"] {
        let sent = ended.events_of("sent");
        let sent = sent.iter().find(|event| event["table"] == table).unwrap();
        assert_eq!(sent["bytes"], report.bytes(table), "{table}");
    }
}

#[test]
fn tables_are_chosen_by_patterns_lists_and_exceptions_on_both_sides() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        "CREATE TABLE track (id INTEGER PRIMARY KEY); CREATE TABLE trace (id INTEGER PRIMARY KEY);
         CREATE TABLE album (id INTEGER PRIMARY KEY); CREATE TABLE secret (id INTEGER PRIMARY KEY);
         CREATE TABLE artist (id INTEGER PRIMARY KEY); CREATE VIEW trap AS SELECT 1 AS id;",
    );
    let share = site.share(&[&source, "--exclude", "sec*"]);
    let url = share.url.strip_prefix("http://").unwrap().to_owned();
    let dry = |arguments: &[&str]| {
        let all = [arguments, &["--into", &target, "--dry-run"]].concat();
        site.pull_from(&url, &share.code, &all)
    };
    let tables = |arguments: &[&str]| {
        let planned = dry(arguments).expect_exit(0).events_of("planned").remove(0);
        let tables = planned["tables"].as_array().unwrap().iter();
        let mut names: Vec<String> = tables
            .map(|table| table["table"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(tables(&[]), ["album", "artist", "trace", "track"]);
    assert_eq!(tables(&["tra*"]), ["trace", "track"]);
    assert_eq!(tables(&["album,track"]), ["album", "track"]);
    assert_eq!(
        tables(&["a{lbum,rtist},t?ace"]),
        ["album", "artist", "trace"]
    );
    assert_eq!(tables(&["--exclude", "tra*,album"]), ["artist"]);
    assert_eq!(tables(&["t*", "--exclude", "*k"]), ["trace"]);
    for pattern in [&["x*"] as &[&str], &["tra*", "--exclude", "x*"]] {
        dry(pattern)
            .error("no-such-table")
            .names(&["x*"])
            .has_hint();
    }
    // What is left out at the sharing side does not exist for the other one.
    dry(&["secret"]).error("denied");
    let misspelt = dry(&["artits"]).failure();
    assert!(misspelt.hint.contains("\"artist\""), "{misspelt:?}");

    let typed = site.run(&["share", "--json", &source, "--tables", "artst"]);
    let failure = typed.error("no-such-table");
    assert!(failure.hint.contains("\"artist\""), "{failure:?}");
    let nothing = site.run(&["share", "--json", &source, "--exclude", "*"]);
    nothing.error("no-such-table").names(&["--exclude"]);
    for verb in ["schema", "count"] {
        let failure = site
            .run(&[verb, "--json", &source, "albun"])
            .error("no-such-table");
        assert!(failure.hint.contains("\"album\""), "{failure:?}");
    }
    let strategy = dry(&["--strategy", "overwritte"]).error("no-such-strategy");
    assert!(
        strategy.hint.contains("did you mean overwrite?"),
        "{strategy:?}"
    );
}

#[test]
fn tables_says_how_many_are_in_other_schemas_of_postgres() {
    let Some(database) = Database::new() else {
        return;
    };
    database.run(
        "CREATE TABLE here (id int); CREATE SCHEMA sales; CREATE TABLE sales.a (id int); CREATE TABLE sales.b (id int);
         CREATE TABLE sales.p (id int) PARTITION BY LIST (id); CREATE TABLE sales.q PARTITION OF sales.p DEFAULT;
         CREATE VIEW sales.v AS SELECT 1; CREATE SCHEMA empty; CREATE SCHEMA stock; CREATE TABLE stock.c (id int);",
    );
    let site = Site::new();
    let listed = site
        .run(&["tables", "--json", &database.url()])
        .expect_exit(0);
    let elsewhere = |schema: &str, tables: u64| json!({ "event": "elsewhere", "schema": schema, "tables": tables });
    assert_eq!(
        listed.events_of("elsewhere"),
        [elsewhere("sales", 3), elsewhere("stock", 1)]
    );
    let people = site.run(&["tables", &database.url()]).expect_exit(0);
    let expected = "4 tables are in 2 other schemas: sales (3), stock (1)";
    assert!(
        people.stderr.contains(expected) && people.stdout.len() == 1,
        "{people:?}"
    );
}

#[test]
fn hints_have_the_names_of_their_command() {
    let site = Site::new();
    let source = site.path("a source.db");
    create_numbers(&source, 1);
    let failure = site
        .run(&["rejects", "--json", &source, "--retry", "abc"])
        .failure();
    let command = format!("`tombolo rejects '{source}'`");
    assert!(failure.hint.contains(&command), "{failure:?}");
    for hint in [
        site.run(&["share", "--json", &source, "--tables", "xyz"])
            .failure()
            .hint,
        site.run(&["count", "--json", &source, "xyz"])
            .failure()
            .hint,
    ] {
        assert!(
            !hint.contains("DB") && hint.contains(&format!("'{source}'")),
            "{hint}"
        );
    }
}
