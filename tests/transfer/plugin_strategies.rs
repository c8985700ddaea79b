//! Strategies of plugins: their parameters, their errors, what they print, and what they may write.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::any_database::AnyDatabase;
use crate::support::guests::{Guest, hostile, newest_wins, sha256};
use crate::support::outcome::{Counts, Failure, Outcome};
use crate::support::postgres::databases;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// Two sites with a table `t` of five rows, of which four differ.
fn fill(source: &AnyDatabase, target: &AnyDatabase) {
    let table = "CREATE TABLE t (id bigint PRIMARY KEY, n bigint, at bigint);";
    source.run(table);
    target.run(table);
    source.run("INSERT INTO t VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3), (4, 40, 4), (5, 50, 5), (6, 60, 6)");
    target.run("INSERT INTO t VALUES (1, 10, 1), (2, 21, 1), (3, 31, 1), (4, 41, 9), (5, 51, 9)");
}

fn files(site: &Site) -> (AnyDatabase, AnyDatabase) {
    let file = |name: &str| AnyDatabase::Sqlite(site.path(name));
    (file("source.db"), file("target.db"))
}

fn pull(
    site: &Site,
    source: &AnyDatabase,
    target: &AnyDatabase,
    plugin: &Guest,
    more: &[&str],
) -> Outcome {
    let share = site.share(&[&source.location()]);
    let plugin = plugin.pinned("conflicts");
    let into = target.location();
    let arguments = [&["--into", &into, "--plugin", &plugin][..], more].concat();
    site.pull(&share, &arguments)
}

#[test]
fn a_strategy_gets_its_parameters() {
    let site = Site::new();
    let (source, target) = files(&site);
    fill(&source, &target);
    let pull = |strategy: &str| {
        pull(
            &site,
            &source,
            &target,
            &newest_wins(),
            &["--strategy", strategy],
        )
    };
    // No column of the table has a name that it knows.
    pull("newest-wins")
        .error("unsuitable-table")
        .names(&["updated_at"]);
    pull("newest-wins(row=at)")
        .error("unsuitable-table")
        .names(&["parameter", "column"]);
    let counts = pull("t=newest-wins(column=at)").done().counts("t");
    let expected = Counts {
        created: 1,
        updated: 2,
        same: 1,
        skipped: 2,
        failed: 0,
    };
    assert_eq!(counts, expected);
    // The standard strategies have none.
    pull("skip(column=at)")
        .error("unsuitable-table")
        .names(&["skip", "column"]);
}

#[test]
fn a_dry_run_shows_what_a_strategy_decides() {
    let site = Site::new();
    let (source, target) = files(&site);
    fill(&source, &target);
    let before =
        target.rows("SELECT CAST(id AS text), CAST(n AS text), CAST(at AS text) FROM t ORDER BY 1");
    let dry = |plugin: &Guest, strategy: &str| {
        pull(
            &site,
            &source,
            &target,
            plugin,
            &["--dry-run", "--strategy", strategy],
        )
    };
    let outcome = dry(&newest_wins(), "newest-wins(column=at)").expect_exit(0);
    let tables = &outcome.events_of("differences")[0]["tables"][0];
    let decided = &tables["decided"];
    let number = |name: &str| decided[name].as_u64().unwrap();
    assert_eq!(
        ["keep_local", "take_incoming", "write", "not_asked"].map(number),
        [2, 2, 0, 0],
        "{outcome:?}"
    );
    let outcome = dry(&hostile(), "rewrite").expect_exit(0);
    assert_eq!(
        outcome.events_of("differences")[0]["tables"][0]["decided"]["write"],
        4
    );
    // It fails as the pull would.
    dry(&newest_wins(), "newest-wins").error("unsuitable-table");
    dry(&hostile(), "undecided")
        .error("plugin")
        .names(&["row 3"]);
    dry(&hostile(), "write-text")
        .error("plugin")
        .names(&["row 2"]);
    assert_eq!(
        target.rows("SELECT CAST(id AS text), CAST(n AS text), CAST(at AS text) FROM t ORDER BY 1"),
        before
    );
}

#[test]
fn a_dry_run_says_for_people_what_a_strategy_would_do() {
    let site = Site::new();
    let (source, target) = files(&site);
    fill(&source, &target);
    let said = |plugin: Guest, strategy: &str| {
        let share = site.share(&[&source.location()]);
        let (plugin, into) = (plugin.pinned("conflicts"), target.location());
        let outcome = site.run(&[
            "pull",
            &share.url,
            &share.code,
            "--into",
            &into,
            "--plugin",
            &plugin,
            "--dry-run",
            "--strategy",
            strategy,
        ]);
        outcome.expect_exit(0).stderr
    };
    let decided = said(newest_wins(), "newest-wins(column=at)");
    assert!(
        decided
            .contains("t: strategy newest-wins would keep 2 changed rows as they are here, take 2"),
        "{decided}"
    );
    let ruled = said(hostile(), "all-rules");
    assert!(
        ruled.contains("t: strategy all-rules would take n, take at where it is not NULL, only if the other site's at is greater"),
        "{ruled}"
    );
}

fn check_errors(source: &AnyDatabase, target: &AnyDatabase) {
    let site = Site::new();
    fill(source, target);
    let before =
        target.rows("SELECT CAST(id AS text), CAST(n AS text), CAST(at AS text) FROM t ORDER BY 1");
    let digest = &hostile().digest[..8];
    let names = |failure: Failure, strategy: &str, more: &[&str]| {
        let all = [
            &["hostile_guest.wasm", digest, strategy, "table \"t\""][..],
            more,
        ]
        .concat();
        failure.names(&all).has_hint();
    };
    let pull = |strategy: &str| pull(&site, source, target, &hostile(), &["--strategy", strategy]);
    names(
        pull("undecided").error("plugin"),
        "undecided",
        &["row 3", "it cannot decide about three"],
    );
    let text = pull("write-text").error("plugin");
    names(
        text,
        "write-text",
        &["row 2", "a text into column \"n\"", "integers"],
    );
    assert_eq!(
        target.rows("SELECT CAST(id AS text), CAST(n AS text), CAST(at AS text) FROM t ORDER BY 1"),
        before
    );
}

#[test]
fn errors_of_a_strategy_name_plugin_and_row() {
    let site = Site::new();
    let (source, target) = files(&site);
    check_errors(&source, &target);
}

#[test]
fn errors_of_a_strategy_name_plugin_and_row_in_postgres() {
    let Some([source, target]) = databases() else {
        return;
    };
    check_errors(
        &AnyDatabase::Postgres(source),
        &AnyDatabase::Postgres(target),
    );
}

#[test]
fn what_a_component_prints_is_shown_to_its_author() {
    let site = Site::new();
    let (source, target) = files(&site);
    fill(&source, &target);
    let share = site.share(&[&source.location()]);
    let (plugin, into) = (hostile().pinned("conflicts"), target.location());
    let arguments = [
        "pull",
        "--json",
        &share.url,
        &share.code,
        "--into",
        &into,
        "--plugin",
        &plugin,
        "--strategy",
        "printing",
    ];
    let mut command = site.command("pull-data", &arguments);
    command.env("RUST_LOG", "tombolo=debug");
    let outcome = crate::support::site::Running::start(command)
        .wait()
        .expect_exit(0);
    for text in [
        "conflicts.decide",
        "on standard output",
        "on standard error",
    ] {
        assert!(outcome.stderr.contains(text), "{text}: {outcome:?}");
    }
}

#[test]
fn a_plugin_that_is_too_large_is_named_with_its_size() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(&source, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let file = site.path("large.wasm");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(20_000_001)
        .unwrap();
    let plugin = format!("conflicts={file}@sha256:{}", "0".repeat(64));
    site.run(&["share", "--json", &source, "--plugin", &plugin])
        .error("plugin")
        .names(&["large.wasm", "20000001 bytes", "8388608"])
        .has_hint();
}

#[test]
fn the_template_builds_outside_of_the_workspace() {
    let site = Site::new();
    let folder = PathBuf::from(site.path("my-strategy"));
    copy(&template(), &folder);
    let contract = site
        .run(&["plugin", "wit"])
        .expect_exit(0)
        .stdout
        .join("\n");
    std::fs::write(folder.join("wit/tombolo.wit"), contract).unwrap();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME"
            || text.contains("RUSTFLAGS")
            || text.starts_with("RUSTC")
        {
            build.env_remove(name);
        }
    }
    let built = build
        .current_dir(&folder)
        .args([
            "build",
            "--offline",
            "--release",
            "--target",
            "wasm32-wasip2",
        ])
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let file = folder.join("target/wasm32-wasip2/release/my_strategy.wasm");
    let digest = sha256(&std::fs::read(&file).unwrap());
    let plugin = Guest { file, digest };
    let (source, target) = files(&site);
    fill(&source, &target);
    let pull = |strategy: &str| pull(&site, &source, &target, &plugin, &["--strategy", strategy]);
    pull("my-strategy")
        .error("unsuitable-table")
        .names(&["my-strategy(column=NAME)"]);
    let counts = pull("my-strategy(column=at)").done().counts("t");
    assert_eq!((counts.created, counts.updated, counts.skipped), (1, 2, 2));
}

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/template")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        match path.is_dir() {
            true if name == "target" => {}
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}
