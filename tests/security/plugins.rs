//! Plugins that replace the standard rules for codes and conflicts, and the digests that pin them.

use std::time::{Duration, Instant};

use crate::support::any_database::AnyDatabase;
use crate::support::guests::{digit_codes, newest_wins, sha256};
use crate::support::outcome::Counts;
use crate::support::postgres::databases;
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, series};

const STANDARD_ALPHABET: &str = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";

#[test]
fn a_standard_code_has_eight_characters_and_can_be_typed_in_lower_case() {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    assert_eq!(share.code.len(), 8, "{}", share.code);
    assert!(
        share
            .code
            .chars()
            .all(|character| STANDARD_ALPHABET.contains(character)),
        "{}",
        share.code
    );
    // With a hyphen and in lower case.
    let (one, other) = share.code.split_at(4);
    let typed = format!("{}-{}", one.to_lowercase(), other.to_lowercase());
    site.pull_from(&share.url, &typed, &["--into", &site.path("target.db")])
        .done();
}

#[test]
fn session_rules_of_a_plugin_make_codes_of_digits() {
    let site = Site::new();
    let rules = digit_codes().pinned("sessions");
    let share = site.share(&[&create_one_row(&site, "source.db"), "--plugin", &rules]);
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

/// Pulls four rows that are on both sides (newer, older, different with the same date, and equal) and one new row.
fn check_newest_wins(source: &AnyDatabase, target: &AnyDatabase) {
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
        "INSERT INTO notes VALUES (1, 'local', '2024-01-01'), (2, 'local', '2024-02-01'), (3, 'local', '2024-01-01'), (4, 'x', '2024-01-01'),
            (6, 'local', NULL);
         INSERT INTO plain VALUES (1, 'local');",
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
    let standard = Counts::updated(1);
    assert_eq!(
        report.counts("plain"),
        standard,
        "the standard strategies are available too"
    );
    let bodies: Vec<String> = target
        .rows("SELECT body FROM notes ORDER BY id")
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(bodies, ["in", "local", "local", "x", "in", "local"]);
}

#[test]
fn a_row_by_row_strategy_decides_conflicts() {
    let (_site, source, target) = Site::with_files();
    check_newest_wins(&AnyDatabase::Sqlite(source), &AnyDatabase::Sqlite(target));
}

#[test]
fn a_row_by_row_strategy_decides_conflicts_in_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    check_newest_wins(
        &AnyDatabase::Postgres(source),
        &AnyDatabase::Postgres(target),
    );
}

#[test]
fn a_row_by_row_strategy_decides_conflicts_on_every_page() {
    let (site, source, target) = Site::with_files();
    // Every third incoming row is newer, the others are older.
    for (path, body, age) in [
        (&source, "in", "CASE WHEN i % 3 = 0 THEN 9 ELSE 1 END"),
        (&target, "local", "5"),
    ] {
        Sqlite::script(
            path,
            &format!(
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, updated_at INTEGER);
                 {} INSERT INTO notes SELECT i, '{body}', {age} FROM n;",
                series(2_100)
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
        stored.number("SELECT count(*) FROM notes WHERE body = 'local' AND id % 3 <> 0"),
        1_400
    );
}

#[test]
fn an_unknown_strategy_is_refused_with_the_names_of_all() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
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
            "{name} is not in the hint: {failure:?}"
        );
    }
    assert!(!std::fs::exists(&target).unwrap() || Sqlite::open(&target).tables().is_empty());
}

#[test]
fn a_wrong_digest_is_refused_before_compiling() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let guest = digit_codes();
    let wrong = "0".repeat(64);
    let plugin = guest.pinned_as("sessions", &wrong);
    let failure = site
        .run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin-digest");
    failure.names(&["digit_codes.wasm"]).has_hint();

    // Invalid bytes are refused for their digest as well, so they were not compiled.
    let garbage = site.path("garbage.wasm");
    std::fs::write(&garbage, b"\0asm garbage").unwrap();
    let plugin = format!("sessions={garbage}@sha256:{wrong}");
    site.run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin-digest");
}

#[test]
fn a_file_that_is_not_a_component_is_refused() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
    let garbage = site.path("garbage.wasm");
    std::fs::write(&garbage, b"\0asm garbage").unwrap();
    let digest = sha256(b"\0asm garbage");
    let plugin = format!("sessions={garbage}@sha256:{digest}");
    let failure = site
        .run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin");
    failure.names(&["garbage.wasm"]).has_hint();

    // A component cannot fill a role that it does not export.
    let plugin = newest_wins().pinned("sessions");
    site.run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin")
        .names(&["sessions"]);
}

#[test]
fn an_unpinned_plugin_is_a_usage_error() {
    let site = Site::new();
    let source = create_one_row(&site, "source.db");
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
