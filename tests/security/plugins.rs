//! Replacing a role: session codes of another alphabet, a strategy that judges rows, and digests that are kept.

use std::time::{Duration, Instant};

use crate::support::compare::Store;
use crate::support::guests::{digit_codes, newest_wins};
use crate::support::outcome::Counts;
use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

const STANDARD_ALPHABET: &str = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";

fn one_row(site: &Site) -> String {
    let path = site.path("source.db");
    Sqlite::script(
        &path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);",
    );
    path
}

#[test]
fn the_standard_code() {
    let site = Site::new();
    let share = site.share(&[&one_row(&site)]);
    assert_eq!(share.code.len(), 8, "{}", share.code);
    assert!(
        share
            .code
            .chars()
            .all(|character| STANDARD_ALPHABET.contains(character)),
        "{}",
        share.code
    );
    // As people type it.
    let (one, other) = share.code.split_at(4);
    let typed = format!("{}-{}", one.to_lowercase(), other.to_lowercase());
    site.pull_from(&share.url, &typed, &["--into", &site.path("target.db")])
        .done();
}

#[test]
fn session_rules_with_another_alphabet_change_the_code() {
    let site = Site::new();
    let rules = digit_codes().pinned("sessions");
    let share = site.share(&[&one_row(&site), "--plugin", &rules]);
    assert_eq!(share.code.len(), 10, "{}", share.code);
    assert!(
        share
            .code
            .chars()
            .all(|character| character.is_ascii_digit()),
        "{}",
        share.code
    );
    let report = site
        .pull(&share, &["--into", &site.path("target.db")])
        .done();
    assert_eq!(report.counts("t").created, 1);
    share.running.wait().expect_exit(0);
}

/// Four rows on both sides: the incoming one newer, older, as old but different, and equal; and one new row.
fn newest_wins_decides(source: &Store, target: &Store) {
    let site = Site::new();
    let schema = "CREATE TABLE notes (id bigint PRIMARY KEY, body text, updated_at text);
                  CREATE TABLE plain (id bigint PRIMARY KEY, body text);";
    source.run(schema);
    target.run(schema);
    source.run(
        "INSERT INTO notes VALUES (1, 'in', '2024-02-01'), (2, 'in', '2024-01-01'), (3, 'in', '2024-01-01'), (4, 'x', '2024-01-01'),
            (5, 'in', NULL);
         INSERT INTO plain VALUES (1, 'in');",
    );
    target.run(
        "INSERT INTO notes VALUES (1, 'here', '2024-01-01'), (2, 'here', '2024-02-01'), (3, 'here', '2024-01-01'), (4, 'x', '2024-01-01'),
            (6, 'here', NULL);
         INSERT INTO plain VALUES (1, 'here');",
    );
    let plugin = newest_wins().pinned("conflicts");
    let share = site.share(&[&source.location()]);
    let arguments = [
        "--plugin",
        &plugin,
        "--strategy",
        "newest-wins",
        "--strategy",
        "plain=overwrite",
        "--into",
        &target.location(),
    ];
    let report = site.pull(&share, &arguments).done();
    let expected = Counts {
        created: 1,
        updated: 1,
        same: 1,
        skipped: 2,
        failed: 0,
    };
    assert_eq!(report.counts("notes"), expected);
    let standard = Counts {
        updated: 1,
        ..Counts::default()
    };
    assert_eq!(
        report.counts("plain"),
        standard,
        "the standard strategies stay available"
    );
    let bodies: Vec<String> = target
        .rows("SELECT body FROM notes ORDER BY id")
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(bodies, ["in", "here", "here", "x", "in", "here"]);
}

#[test]
fn a_row_by_row_strategy_decides_conflicts() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    newest_wins_decides(&Store::Sqlite(source), &Store::Sqlite(target));
}

#[test]
fn a_row_by_row_strategy_decides_conflicts_in_postgres() {
    let (Some(source), Some(target)) = (Database::new(), Database::new()) else {
        return;
    };
    newest_wins_decides(&Store::Postgres(source), &Store::Postgres(target));
}

#[test]
fn a_row_by_row_strategy_sees_every_page() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    // Every third incoming row is newer, the others are older.
    for (path, body, age) in [
        (&source, "in", "CASE WHEN i % 3 = 0 THEN 9 ELSE 1 END"),
        (&target, "here", "5"),
    ] {
        Sqlite::script(
            path,
            &format!(
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, updated_at INTEGER);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2100)
                 INSERT INTO notes SELECT i, '{body}', {age} FROM n;"
            ),
        );
    }
    let plugin = newest_wins().pinned("conflicts");
    let report = site.transfer(
        &source,
        &target,
        &["--strategy", "newest-wins", "--plugin", &plugin],
    );
    assert_eq!(
        report.counts("notes"),
        Counts {
            updated: 700,
            skipped: 1_400,
            ..Counts::default()
        }
    );
    let mut stored = Sqlite::open(&target);
    assert_eq!(
        stored.number("SELECT count(*) FROM notes WHERE body = 'in' AND id % 3 = 0"),
        700
    );
    assert_eq!(
        stored.number("SELECT count(*) FROM notes WHERE body = 'here' AND id % 3 <> 0"),
        1_400
    );
}

#[test]
fn an_unknown_strategy_lists_all_names() {
    let site = Site::new();
    let source = one_row(&site);
    let target = site.path("target.db");
    let share = site.share(&[&source]);
    let plugin = newest_wins().pinned("conflicts");
    let arguments = [
        "--into",
        &target,
        "--strategy",
        "oldest-wins",
        "--plugin",
        &plugin,
    ];
    let failure = site
        .pull(&share, &arguments)
        .error("no-such-strategy")
        .names(&["oldest-wins"]);
    for name in ["newest-wins", "skip", "overwrite", "merge", "append"] {
        assert!(
            failure.hint.contains(name),
            "{name} is not listed: {failure:?}"
        );
    }
    assert!(!std::fs::exists(&target).unwrap() || Sqlite::open(&target).tables().is_empty());
}

#[test]
fn a_wrong_digest_is_refused_before_compiling() {
    let site = Site::new();
    let source = one_row(&site);
    let guest = digit_codes();
    let wrong = "0".repeat(64);
    let plugin = guest.pinned_as("sessions", &wrong);
    let failure = site
        .run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin-digest");
    failure.names(&["digit_codes.wasm"]).has_hint();

    // Bytes that no compiler would take are refused for their digest, too: nothing looked at them.
    let garbage = site.path("garbage.wasm");
    std::fs::write(&garbage, b"\0asm garbage").unwrap();
    let plugin = format!("sessions={garbage}@sha256:{wrong}");
    site.run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin-digest");
}

#[test]
fn a_file_that_is_no_component() {
    use sha2::{Digest as _, Sha256};

    let site = Site::new();
    let source = one_row(&site);
    let garbage = site.path("garbage.wasm");
    std::fs::write(&garbage, b"\0asm garbage").unwrap();
    let digest: String = Sha256::digest(b"\0asm garbage")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let plugin = format!("sessions={garbage}@sha256:{digest}");
    let failure = site
        .run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin");
    failure.names(&["garbage.wasm"]).has_hint();

    // Nor does a component fill a role that it does not export.
    let plugin = newest_wins().pinned("sessions");
    site.run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin")
        .names(&["sessions"]);
}

#[test]
fn an_unpinned_plugin_is_a_usage_error() {
    let site = Site::new();
    let source = one_row(&site);
    let file = digit_codes().file;
    for plugin in [
        format!("sessions={}", file.display()),
        format!("sessions={}@sha256:", file.display()),
        format!("sessions={}@sha256:abc", file.display()),
        format!("nothing={}@sha256:{}", file.display(), "0".repeat(64)),
        digit_codes().digest,
    ] {
        let began = Instant::now();
        site.run(&["share", "--json", &source, "--plugin", &plugin])
            .expect_exit(2);
        assert!(began.elapsed() < Duration::from_secs(10), "{plugin}");
    }
}
