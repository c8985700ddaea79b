//! Runs that did not finish, and those that go on with them.

use super::*;
use crate::bindings::events::{Compared, Event, Finished, Trouble};
use crate::bindings::transfers::{CopyInstruction, TableComparison};
use crate::error::{ErrorCode, failure};

/// Plans and starts a pull; the order that the host gets.
fn start(receiver: &Site, request: PullRequest) -> CopyInstruction {
    let (run, planned) = plan(receiver, request);
    planned.unwrap();
    run::start(receiver, &run).unwrap();
    receiver.jobs.borrow().last().unwrap().clone()
}

fn break_off(receiver: &Site, instruction: &CopyInstruction) {
    receiver.take(Event::Trouble(Trouble {
        run: instruction.run.clone(),
        table: None,
        failure: failure(ErrorCode::Truncated, "the line broke", "pull again"),
    }));
}

/// One site shares two tables, the other has one of them.
fn sites() -> (Rc<Site>, String, Site) {
    let (sender, code, receiver) = two_sites();
    sender.add(&[table("customers", &[]), table("orders", &["customers"])]);
    receiver.add(&[table("customers", &[])]);
    (sender, code, receiver)
}

#[test]
fn a_pull_goes_on_with_an_unfinished_one_by_the_same_or_a_new_code() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    assert_eq!(first.ledger, first.run);
    break_off(&receiver, &first);
    // The run made its table before it broke off.
    receiver.add(&[table("orders", &["customers"])]);
    let second = start(&receiver, request(&code));
    break_off(&receiver, &second);
    let third = start(&receiver, request(&sender.share(&["*"])));
    for instruction in [second, third] {
        assert_eq!(instruction.ledger, first.ledger);
        assert_ne!(instruction.run, first.run);
        let created: Vec<bool> = instruction
            .tables
            .iter()
            .map(|table| table.create)
            .collect();
        assert_eq!(created, [false, true]);
    }
}

#[test]
fn a_finished_run_is_not_gone_on_with() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    receiver.take(Event::Finished(Finished {
        run: first.run.clone(),
        reports: Vec::new(),
    }));
    assert!(receiver.durable().is_empty());
    let second = start(&receiver, request(&sender.share(&["*"])));
    assert_ne!(second.ledger, first.ledger);
}

#[test]
fn another_run_is_a_run_of_its_own() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    break_off(&receiver, &first);
    let by_another_strategy = PullRequest {
        strategy: "overwrite".to_owned(),
        ..request(&code)
    };
    let of_one_table = PullRequest {
        tables: vec!["customers".to_owned()],
        ..request(&code)
    };
    for other in [by_another_strategy, of_one_table] {
        let instruction = start(&receiver, other);
        assert_eq!(instruction.ledger, instruction.run);
        break_off(&receiver, &instruction);
    }
    let mut changed = table("orders", &["customers"]);
    changed.columns[0].origin = "sqlite:BIGINT".to_owned();
    sender.add(&[changed]);
    let instruction = start(&receiver, request(&code));
    assert_eq!(instruction.ledger, instruction.run, "its schema changed");
    let (other_sender, other_code, _) = sites();
    receiver.peer.replace(Some(other_sender));
    let instruction = start(&receiver, request(&other_code));
    assert_eq!(instruction.ledger, instruction.run, "another source");
}

#[test]
fn a_source_is_called_the_same_in_every_session() {
    let (sender, code, receiver) = sites();
    let name = |sender: &Site| {
        let state = sender.state.borrow();
        state
            .get("source/identity")
            .map(|(entry, _)| entry.value.clone())
    };
    plan(&receiver, request(&code)).1.unwrap();
    let first = name(&sender);
    assert!(first.is_some());
    plan(&receiver, request(&sender.share(&["*"]))).1.unwrap();
    assert_eq!(name(&sender), first);
}

#[test]
fn a_comparison_ends_no_session_and_remembers_nothing() {
    let (sender, code, receiver) = sites();
    let (run, planned) = plan(&receiver, request(&code));
    planned.unwrap();
    run::compare(&receiver, &run).unwrap();
    assert_eq!(receiver.comparisons.borrow().len(), 1);
    let tables = vec![TableComparison {
        table: "customers".to_owned(),
        remote: 1,
        local: 1,
        new: 0,
        changed: 0,
        same: 1,
        local_only: 0,
    }];
    for _ in 0..2 {
        receiver.take(Event::Compared(Compared {
            run: run.clone(),
            tables: tables.clone(),
        }));
    }
    let told = receiver.run_events_of(&run).split_off(1);
    assert_eq!(told, [RunEvent::Compared(tables)]);
    assert!(run::start(&receiver, &run).is_err());
    assert!(
        !receiver
            .durable()
            .iter()
            .any(|key| key.starts_with("unfinished/"))
    );
    // The code is still good for the same claimer.
    drop(sender);
    plan(&receiver, request(&code)).1.unwrap();
}
