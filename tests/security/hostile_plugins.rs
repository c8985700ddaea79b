//! Components that misbehave: a typed error within the limits, nothing written, and a host that goes on serving.

use std::time::{Duration, Instant};

use crate::support::guests::hostile;
use crate::support::outcome::{Counts, Failure};
use crate::support::peer;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// A call has 5 s; the rest is for a busy machine.
const WITHIN: Duration = Duration::from_secs(25);

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);";

/// Pulls one table by a strategy of the hostile component; then pulls it with the same code by a good one.
fn pull_by(strategy: &str) -> Failure {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'in'), (2, 'in'), (3, 'in');"),
    );
    Sqlite::script(
        &target,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'here'), (3, 'here');"),
    );
    let before = Sqlite::open(&target).table("t");
    let plugin = hostile().pinned("conflicts");
    let share = site.share(&[&source]);
    let began = Instant::now();
    let arguments = [
        "--into",
        &target,
        "--plugin",
        &plugin,
        "--strategy",
        strategy,
    ];
    let failure = site.pull(&share, &arguments).error("plugin");
    assert!(
        began.elapsed() < WITHIN,
        "{strategy} took {:?}",
        began.elapsed()
    );
    before.assert_same(&Sqlite::open(&target).table("t"));
    let shown = format!("{}{}", failure.message, failure.hint);
    assert!(!shown.contains(char::is_control), "{failure:?}");

    let report = site
        .pull(&share, &["--into", &target, "--strategy", "overwrite"])
        .done();
    assert_eq!(
        report.counts("t"),
        Counts {
            created: 1,
            updated: 2,
            ..Counts::default()
        }
    );
    failure
}

/// Whose fault it is: the plugin by its digest.
fn names_the_plugin(failure: Failure) -> Failure {
    failure.names(&[&hostile().digest[..8]])
}

#[test]
fn a_strategy_that_loops() {
    names_the_plugin(pull_by("loop"));
}

#[test]
fn a_strategy_that_allocates() {
    let failure = names_the_plugin(pull_by("allocate"));
    assert!(
        failure.message.to_lowercase().contains("memory"),
        "{failure:?}"
    );
}

#[test]
fn a_strategy_that_panics() {
    // The guest's last words, without its terminal escapes.
    names_the_plugin(pull_by("panic")).names(&["panicked on purpose"]);
}

#[test]
fn a_strategy_that_recurses() {
    names_the_plugin(pull_by("recurse"));
}

#[test]
fn a_strategy_with_a_huge_plan() {
    pull_by("huge");
}

#[test]
fn a_strategy_that_decides_more_than_it_was_asked() {
    pull_by("lie").names(&["lie"]);
}

#[test]
fn a_strategy_that_changes_keys() {
    pull_by("change-key").names(&["change-key"]);
}

#[test]
fn a_hostile_component_that_behaves_is_used_like_any_other() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'in'), (2, 'in');"),
    );
    Sqlite::script(
        &target,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'here');"),
    );
    let plugin = hostile().pinned("conflicts");
    let report = site.transfer(
        &source,
        &target,
        &["--plugin", &plugin, "--strategy", "well-behaved"],
    );
    assert_eq!(
        report.counts("t"),
        Counts {
            created: 1,
            updated: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_claim_that_is_judged_forever_stops_nobody_else() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(&source, TABLE);
    let plugin = hostile().pinned("sessions");
    let mut share = site.share(&[&source, "--plugin", &plugin]);
    assert!(
        share
            .code
            .chars()
            .all(|letter| ('A'..='H').contains(&letter)),
        "{}",
        share.code
    );

    let began = Instant::now();
    let claims: Vec<_> = (0..3)
        .map(|claimer| {
            let (url, code) = (share.url.clone(), share.code.clone());
            std::thread::spawn(move || peer::claim(&url, &code, &format!("claimer {claimer}")))
        })
        .collect();
    let mut answered = 0;
    while claims.iter().any(|claim| !claim.is_finished()) && answered < 1_000 {
        let asked = Instant::now();
        let answer = peer::tables(&share.url, "no token of anybody");
        assert_eq!(answer.error(), "unauthorized");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        answered += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        answered > 0,
        "the claims were over before anybody else could ask"
    );
    for claim in claims {
        let answer = claim.join().unwrap();
        assert_eq!(answer.error(), "plugin", "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(&hostile().digest[..8]), "{text}");
    }
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    assert!(share.running.is_running(), "{:?}", share.running);
}

/// Pulls a table with the hostile component as `ddl`: its statements are refused.
fn create_by_hostile_ddl(table: &str) {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE \"{table}\" (id INTEGER PRIMARY KEY); INSERT INTO \"{table}\" VALUES (1);"
        ),
    );
    Sqlite::script(
        &target,
        "CREATE TABLE apart (id INTEGER PRIMARY KEY); INSERT INTO apart VALUES (1);",
    );
    let plugin = hostile().pinned("ddl");
    let share = site.share(&[&source]);
    let failure = site
        .pull(&share, &["--into", &target, "--plugin", &plugin])
        .error("plugin");
    failure.names(&[table]);
    let mut target = Sqlite::open(&target);
    assert_eq!(target.tables(), ["apart"]);
    assert_eq!(target.number("SELECT count(*) FROM apart"), 1);
}

#[test]
fn ddl_that_drops() {
    create_by_hostile_ddl("goods");
}

#[test]
fn ddl_with_a_second_statement() {
    create_by_hostile_ddl("two-statements");
}

#[test]
fn ddl_for_another_table() {
    create_by_hostile_ddl("other-object");
}
