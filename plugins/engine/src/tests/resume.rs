//! Unfinished runs, and the runs that continue them.

use super::*;
use crate::bindings::events::{Compared, Event, Finished, Trouble};
use crate::bindings::transfers::{CopyInstruction, TableComparison};
use crate::error::{ErrorCode, failure};

/// Plans and starts a pull. Returns the instruction that the host gets.
fn start(receiver: &Site, request: PullRequest) -> CopyInstruction {
    let (run, planned) = plan(receiver, request);
    planned.unwrap();
    run::start(receiver, &run).unwrap();
    receiver.jobs.borrow().last().unwrap().clone()
}

fn interrupt(receiver: &Site, instruction: &CopyInstruction) {
    receiver.deliver(Event::Trouble(Trouble {
        run: instruction.run.clone(),
        table: None,
        failure: failure(ErrorCode::Truncated, "the connection broke", "pull again"),
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
fn a_pull_resumes_with_the_same_or_a_new_code() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    assert_eq!(first.ledger, first.run);
    interrupt(&receiver, &first);
    // The run created its table before it was interrupted.
    receiver.add(&[table("orders", &["customers"])]);
    let second = start(&receiver, request(&code));
    interrupt(&receiver, &second);
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
fn a_complete_run_is_not_resumed() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    receiver.deliver(Event::Finished(Finished {
        run: first.run.clone(),
        reports: Vec::new(),
    }));
    assert!(receiver.durable().is_empty());
    let second = start(&receiver, request(&sender.share(&["*"])));
    assert_ne!(second.ledger, first.ledger);
}

#[test]
fn a_different_run_is_not_resumed() {
    let (sender, code, receiver) = sites();
    let first = start(&receiver, request(&code));
    interrupt(&receiver, &first);
    let by_another_strategy = PullRequest {
        strategy: strategy("overwrite"),
        ..request(&code)
    };
    let of_one_table = PullRequest {
        tables: vec!["customers".to_owned()],
        ..request(&code)
    };
    for other in [by_another_strategy, of_one_table] {
        let instruction = start(&receiver, other);
        assert_eq!(instruction.ledger, instruction.run);
        interrupt(&receiver, &instruction);
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
fn a_source_has_the_same_name_in_every_session() {
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
fn a_comparison_keeps_the_session_and_is_not_resumed() {
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
        effect: None,
    }];
    for _ in 0..2 {
        receiver.deliver(Event::Compared(Compared {
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
    // The same claimer can use the code again.
    drop(sender);
    plan(&receiver, request(&code)).1.unwrap();
}
