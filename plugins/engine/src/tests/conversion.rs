//! Conversion policies in a pull request.

use super::*;
use crate::bindings::types::{ColumnValues, TableFacts, ValueKind};

fn named(names: &[(&str, Conversion)]) -> Vec<(String, Conversion)> {
    let own = |(name, policy): &(&str, Conversion)| ((*name).to_owned(), policy.clone());
    names.iter().map(own).collect()
}

fn request_with(
    code: &str,
    conversions: Conversion,
    columns: &[(&str, Conversion)],
) -> PullRequest {
    PullRequest {
        conversions,
        column_conversions: named(columns),
        ..request(code)
    }
}

/// Tables whose column names can be read in more than one way, for a PostgreSQL target.
fn sites(tables: &[&str]) -> (String, Site) {
    let (sender, code, receiver) = two_sites();
    for name in tables {
        let mut table = table(name, &[]);
        for column in ["b.c", "c", "n"] {
            let column = Column {
                name: column.to_owned(),
                ..table.columns[0].clone()
            };
            table.columns.push(column);
        }
        sender.add(&[table]);
    }
    receiver.postgres.set(true);
    (code, receiver)
}

/// Returns the policies in the instruction for a table.
fn instructed(receiver: &Site, request: PullRequest, table: &str) -> Vec<(String, Conversion)> {
    let (run, planned) = plan(receiver, request);
    planned.unwrap();
    run::start(receiver, &run).unwrap();
    let jobs = receiver.jobs.borrow();
    let mut tables = jobs.last().unwrap().tables.iter();
    let instruction = tables
        .find(|instruction| instruction.incoming.table == table)
        .unwrap();
    instruction.conversions.clone()
}

fn refused(receiver: &Site, request: PullRequest) -> Failure {
    let failure = plan(receiver, request).1.unwrap_err();
    assert_eq!(failure.code, "bad-request");
    assert!(!failure.hint.is_empty(), "{failure:?}");
    failure
}

#[test]
fn a_column_has_its_own_policy_or_that_of_all() {
    use Conversion::{Exact, Lossy, Widen};
    let (code, receiver) = sites(&["t"]);
    let columns = [("t.n", Exact), ("t.b.c", Widen)];
    let instruction = instructed(&receiver, request_with(&code, Lossy, &columns), "t");
    assert_eq!(
        instruction,
        named(&[("id", Lossy), ("b.c", Widen), ("c", Lossy)])
    );
    let default = instructed(&receiver, request_with(&code, Exact, &[]), "t");
    assert_eq!(default, []);
}

#[test]
fn the_rules_learn_which_columns_to_widen() {
    let (code, receiver) = sites(&["t"]);
    let request = request_with(&code, Conversion::Exact, &[("t.n", Conversion::Widen)]);
    let plan = plan(&receiver, request).1.unwrap();
    assert!(
        plan[0].not_carried.contains(&"wide n".to_owned()),
        "{plan:?}"
    );
}

#[test]
fn a_name_must_fit_exactly_one_column() {
    let (code, receiver) = sites(&["a", "a.b"]);
    for name in ["a.x", "b.c", "a", "a.", ".c", "", "A.c"] {
        let request = request_with(&code, Conversion::Exact, &[(name, Conversion::Lossy)]);
        let failure = refused(&receiver, request);
        assert!(failure.message.contains("no column"), "{failure:?}");
    }
    let twice = request_with(&code, Conversion::Exact, &[("a.b.c", Conversion::Lossy)]);
    let failure = refused(&receiver, twice);
    assert!(failure.message.contains("several"), "{failure:?}");
    let one = PullRequest {
        tables: vec!["a.b".to_owned()],
        ..request_with(&code, Conversion::Exact, &[("a.b.c", Conversion::Lossy)])
    };
    let instruction = instructed(&receiver, one, "a.b");
    assert_eq!(instruction, named(&[("c", Conversion::Lossy)]));
}

#[test]
fn existing_columns_are_not_widened_unless_they_are_wide() {
    use Conversion::{Exact, Lossy, Widen};
    let (sender, code, receiver) = two_sites();
    receiver.postgres.set(true);
    let mut both = table("t", &["elsewhere"]);
    both.columns[0].generation = Generation::IdentityDefault;
    sender.add(std::slice::from_ref(&both));
    receiver.add(&[both]);
    let failure = refused(&receiver, request_with(&code, Widen, &[]));
    assert!(failure.message.contains("parent_0"), "{failure:?}");
    assert!(failure.hint.contains("ALTER TABLE"), "{failure:?}");
    let only = request_with(&code, Exact, &[("t.parent_0", Widen)]);
    refused(&receiver, only);
    let lossy = instructed(&receiver, request_with(&code, Lossy, &[]), "t");
    assert_eq!(lossy.len(), 2);
    let wide = vec!["parent_0".to_owned()];
    receiver.widened.borrow_mut().insert("t".to_owned(), wide);
    assert_eq!(
        instructed(&receiver, request_with(&code, Widen, &[]), "t").len(),
        2,
        "a row's number needs no wider column"
    );
}

#[test]
fn a_sqlite_target_accepts_only_exact() {
    let (code, receiver) = sites(&["t"]);
    receiver.postgres.set(false);
    for policy in [Conversion::Widen, Conversion::Lossy] {
        refused(&receiver, request_with(&code, policy.clone(), &[]));
        refused(
            &receiver,
            request_with(&code, Conversion::Exact, &[("t.n", policy)]),
        );
    }
    instructed(&receiver, request_with(&code, Conversion::Exact, &[]), "t");
}

#[test]
fn an_unknown_policy_is_refused_at_once() {
    let (code, receiver) = sites(&["t"]);
    let unknown = Conversion::Other("round".to_owned());
    let request = request_with(&code, unknown, &[]);
    let failure = run::plan(&receiver, request).unwrap_err();
    assert_eq!(failure.code, "bad-request");
    assert!(failure.message.contains("round"), "{failure:?}");
}

#[test]
fn an_unfinished_run_with_another_policy_is_not_resumed() {
    let (code, receiver) = sites(&["t"]);
    let (first, planned) = plan(&receiver, request(&code));
    planned.unwrap();
    run::start(&receiver, &first).unwrap();
    let lossy = || request_with(&code, Conversion::Lossy, &[]);
    assert!(!plan(&receiver, lossy()).1.unwrap()[0].continued);
    assert!(plan(&receiver, request(&code)).1.unwrap()[0].continued);
}

#[test]
fn what_a_column_holds_decides_whether_it_is_wide_and_is_waited_for() {
    for tables in [&[][..], &["a"]] {
        let (sender, code, receiver) = two_sites();
        sender.add(&[table("a", &[])]);
        receiver.postgres.set(true);
        let values = ColumnValues {
            column: "id".to_owned(),
            kinds: vec![ValueKind::Integer, ValueKind::Text],
        };
        let facts = TableFacts {
            values: vec![values],
            features: Vec::new(),
        };
        sender.facts.borrow_mut().insert("a".to_owned(), facts);
        sender.waits_for_facts.set(3);
        let request = PullRequest {
            tables: tables.iter().map(|name| (*name).to_owned()).collect(),
            ..request_with(&code, Conversion::Exact, &[])
        };
        assert_eq!(
            instructed(&receiver, request, "a"),
            named(&[("id", Conversion::Widen)])
        );
        // The claim, three unfinished answers, and the whole one.
        assert_eq!(receiver.requests.borrow().len(), 5);
    }
}
