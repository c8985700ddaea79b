//! Plugins that misbehave: the call fails with an error code within its limits, nothing is written, and the host keeps
//! serving.

use std::time::{Duration, Instant};

use crate::support::guests::hostile;
use crate::support::http;
use crate::support::outcome::{Counts, Failure};
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// The limit of a call is 5 s; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(25);

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);";

/// Pulls a table with a strategy of the hostile plugin, which fails; then pulls it with the same code and a standard
/// strategy.
fn pull_with(strategy: &str) -> Failure {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'in'), (2, 'in'), (3, 'in');"),
    );
    Sqlite::script(
        &target,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'local'), (3, 'local');"),
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
        began.elapsed() < LIMIT,
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

/// Checks that the message names the plugin by its digest.
fn names_the_plugin(failure: Failure) -> Failure {
    failure.names(&[&hostile().digest[..8]])
}

#[test]
fn a_strategy_that_loops() {
    names_the_plugin(pull_with("loop"));
}

#[test]
fn a_strategy_that_allocates() {
    let failure = names_the_plugin(pull_with("allocate"));
    assert!(
        failure.message.to_lowercase().contains("memory"),
        "{failure:?}"
    );
}

#[test]
fn a_strategy_that_panics() {
    // The panic message of the guest, without its terminal escapes.
    names_the_plugin(pull_with("panic")).names(&["panicked on purpose"]);
}

#[test]
fn a_strategy_that_recurses() {
    names_the_plugin(pull_with("recurse"));
}

#[test]
fn a_strategy_that_returns_a_huge_plan() {
    pull_with("huge");
}

#[test]
fn a_strategy_that_returns_too_many_decisions() {
    pull_with("extra-decision").names(&["extra-decision"]);
}

#[test]
fn a_strategy_that_changes_keys() {
    pull_with("change-key").names(&["change-key"]);
}

#[test]
fn a_well_behaved_strategy_of_the_hostile_plugin_is_used() {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'in'), (2, 'in');"),
    );
    Sqlite::script(
        &target,
        &format!("{TABLE} INSERT INTO t VALUES (1, 'local');"),
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
fn an_endless_decision_on_a_claim_delays_no_other_request() {
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
            std::thread::spawn(move || http::claim(&url, &code, &format!("claimer {claimer}")))
        })
        .collect();
    let mut answered = 0;
    while claims.iter().any(|claim| !claim.is_finished()) && answered < 1_000 {
        let asked = Instant::now();
        let answer = http::tables(&share.url, "an unknown token");
        assert_eq!(answer.error(), "unauthorized");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        answered += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answered > 0, "the claims ended before another request");
    for claim in claims {
        let answer = claim.join().unwrap();
        assert_eq!(answer.error(), "plugin", "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(&hostile().digest[..8]), "{text}");
    }
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    assert!(share.running.is_running(), "{:?}", share.running);
}

#[test]
fn rules_that_write_without_end_delay_no_other_request() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(&source, TABLE);
    let plugin = hostile().pinned("sessions");
    let share = site.share(&[&source, "--plugin", &plugin]);
    let began = Instant::now();
    let claims: Vec<_> = (0..16)
        .map(|claimer| {
            let url = share.url.clone();
            std::thread::spawn(move || http::claim(&url, "STDERR", &format!("claimer {claimer}")))
        })
        .collect();
    let mut longest = Duration::ZERO;
    while claims.iter().any(|claim| !claim.is_finished()) {
        let asked = Instant::now();
        let answer = http::tables(&share.url, "an unknown token");
        assert_eq!(answer.error(), "unauthorized");
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "the longest request: {longest:?}; all claims: {:?}",
        began.elapsed()
    );
    for claim in claims {
        assert_eq!(claim.join().unwrap().error(), "plugin");
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

#[test]
fn a_code_that_is_too_long_is_a_fault_of_the_rules() {
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(&source, TABLE);
    let plugin = hostile().pinned("sessions");
    let share = site.share(&[&source, "--plugin", &plugin]);
    let answer = http::claim(&share.url, "LONG", "claimer");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("its answer has"), "{text}");
    assert!(text.contains(&hostile().digest[..8]), "{text}");
}

/// Pulls a table with the DDL of the hostile plugin, which is refused.
fn check_ddl_is_refused(table: &str) {
    let (site, source, target) = Site::with_files();
    Sqlite::script(
        &source,
        &format!(
            "CREATE TABLE \"{table}\" (id INTEGER PRIMARY KEY); INSERT INTO \"{table}\" VALUES (1);"
        ),
    );
    Sqlite::script(
        &target,
        "CREATE TABLE unrelated (id INTEGER PRIMARY KEY); INSERT INTO unrelated VALUES (1);",
    );
    let plugin = hostile().pinned("ddl");
    let share = site.share(&[&source]);
    let failure = site
        .pull(&share, &["--into", &target, "--plugin", &plugin])
        .error("plugin");
    failure.names(&[table]);
    let mut target = Sqlite::open(&target);
    assert_eq!(target.tables(), ["unrelated"]);
    assert_eq!(target.number("SELECT count(*) FROM unrelated"), 1);
}

#[test]
fn ddl_that_drops() {
    check_ddl_is_refused("goods");
}

#[test]
fn ddl_with_a_second_statement() {
    check_ddl_is_refused("two-statements");
}

#[test]
fn ddl_for_another_table() {
    check_ddl_is_refused("other-object");
}
