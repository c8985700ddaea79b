//! The names that Tombolo's PostgreSQL statements use: a list, and whether the statements of the whole suite have others.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use tombolo_test_postgres::STATEMENTS;

use super::postgres_twins::LOGIN;
use crate::support::postgres::Database;
use crate::support::statements::{Names, Session, kind, sessions, unpinned};

/// What [`listed`] returns, one a line with its kind before it.
const LIST: &str = include_str!("statement_names.txt");

/// If it is set, the list is written instead of compared.
const RECORD: &str = "TOMBOLO_RECORD_NAMES";

/// Kinds of statements that only other tests run: those for tables that take long to count, for tables of which no column
/// arrives, for keys without a type of their own, for new tables that are dropped, for an address that sets `search_path`,
/// and through a pooler. There are twins of their names.
const OF_OTHER_TESTS: [&str; 17] = [
    "declare tombolo_conflicts: format record_image_ne regclassin textout",
    "declare tombolo_conflicts: format record_image_ne text",
    "delete from: ledger",
    "delete from: record_image_ne",
    "discard all:",
    "explain:",
    "lock table:",
    "select greatest: pg_class",
    "select pg_catalog: concat current_setting",
    "select pg_catalog: count regclassin textout",
    "select pg_catalog: pg_backend_pid",
    "select pg_catalog: set_config",
    "select s: text",
    "select: format",
    "select: format regclassin textout",
    "select: format text",
    "with n:",
];

/// Returns the listed names, all of them PostgreSQL's own.
pub fn listed() -> Names {
    let mut names = Names::default();
    for line in LIST.lines() {
        let (kind, name) = line.split_once(' ').unwrap();
        let set = match kind {
            "function" => &mut names.functions,
            "operator" => &mut names.operators,
            "type" => &mut names.types,
            _ => panic!("{line}"),
        };
        set.insert(name.to_owned());
    }
    names
}

/// Returns names without those that PostgreSQL has not itself, as lines of the list.
fn lines(database: &Database, names: &Names) -> BTreeSet<String> {
    let own = |kind: &str, column: &str, table: &str, names: &BTreeSet<String>| {
        let schema = format!("{}namespace", &column[..3]);
        let sql = format!(
            "SELECT DISTINCT {column}::text FROM pg_catalog.{table} WHERE {schema} = 'pg_catalog'::regnamespace"
        );
        let found = database.rows(&sql).into_iter().flatten().flatten();
        found
            .filter(|name| names.contains(name))
            .map(|name| format!("{kind} {name}"))
            .collect::<Vec<_>>()
    };
    let mut lines = BTreeSet::new();
    lines.extend(own("function", "proname", "pg_proc", &names.functions));
    lines.extend(own("operator", "oprname", "pg_operator", &names.operators));
    lines.extend(own("type", "typname", "pg_type", &names.types));
    lines
}

/// Reads what all servers of the suite logged.
fn recorded() -> Vec<Session> {
    let folder = std::env::var(STATEMENTS);
    let folder = folder
        .unwrap_or_else(|_| panic!("{STATEMENTS} names no folder with the logs of the suite"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let log = std::fs::read(entry.unwrap().path()).unwrap();
        found.extend(sessions(&String::from_utf8_lossy(&log)));
    }
    found
}

#[test]
#[ignore = "reads what the whole suite logged"]
fn the_suites_postgres_statements_use_listed_names_and_a_pinned_path() {
    let sessions = recorded();
    assert!(sessions.len() > 1000, "{} sessions", sessions.len());
    let mut unsafe_ones: Vec<String> = sessions.iter().flat_map(unpinned).collect();
    unsafe_ones.sort_unstable();
    unsafe_ones.dedup();
    assert!(
        unsafe_ones.is_empty(),
        "statements whose names another login could define; qualify them, or pin the path before: {unsafe_ones:#?}"
    );
    let mut different = [BTreeSet::new(), BTreeSet::new()];
    for session in &sessions {
        let statements = session.statements.iter();
        different[usize::from(session.login == LOGIN)].extend(statements);
    }
    let mut names = Names::default();
    different
        .iter()
        .flatten()
        .for_each(|statement| names.read(statement));
    let kinds = different.map(|statements| {
        statements
            .into_iter()
            .map(|sql| kind(sql))
            .collect::<BTreeSet<_>>()
    });
    let database = Database::new().unwrap();
    let used = lines(&database, &names);
    if std::env::var_os(RECORD).is_some() {
        let mut text = String::new();
        for line in &used {
            writeln!(text, "{line}").unwrap();
        }
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/security/statement_names.txt");
        std::fs::write(file, text).unwrap();
        return;
    }
    let [others, with_twins] = &kinds;
    let not_tried: Vec<&String> = others
        .difference(with_twins)
        .filter(|kind| !OF_OTHER_TESTS.contains(&kind.as_str()))
        .collect();
    assert!(
        not_tried.is_empty(),
        "kinds of statements that no transfer between databases with hostile twins runs; add one to postgres_twins.rs: {not_tried:#?}"
    );
    let listed: BTreeSet<String> = LIST.lines().map(str::to_owned).collect();
    let missing: Vec<&String> = used.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "statements use names that are not listed; run `just statement-names`, which runs the suite, and commit the list: {missing:?}"
    );
}
