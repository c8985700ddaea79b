//! Runs after their plan: started, cancelled, and ended by events that can arrive twice.

use super::*;
use crate::bindings::events::{Compared, Event, Finished, Trouble};
use crate::bindings::types::{Error, Stored, TableReport};
use crate::error::{ErrorCode, failure};

/// Two sites with the same three tables, one of which refers to itself, and a planned run.
fn planned() -> (Rc<Site>, String, Site, String) {
    let (sender, code, receiver) = two_sites();
    let tables = [
        table("employees", &["EMPLOYEES"]),
        table("invoices", &["customers"]),
        table("customers", &["employees"]),
    ];
    sender.add(&tables);
    receiver.add(&tables);
    let request = PullRequest {
        table_strategies: vec![("invoices".to_owned(), strategy("merge"))],
        ..request(&code)
    };
    let (run, plan) = plan(&receiver, request);
    plan.unwrap();
    (sender, code, receiver, run)
}

fn reports() -> Vec<TableReport> {
    let report = |table: &str| TableReport {
        table: table.to_owned(),
        created: 1,
        updated: 0,
        same: 0,
        skipped: 6,
        failed: 0,
        bytes: 99,
        snapshots: 1,
        stored: Stored::Verified,
        changed: Vec::new(),
    };
    vec![report("employees"), report("customers"), report("invoices")]
}

fn finished(run: &str) -> Event {
    Event::Finished(Finished {
        run: run.to_owned(),
        reports: reports(),
    })
}

fn trouble(run: &str, table: Option<&str>, message: &str) -> Event {
    Event::Trouble(Trouble {
        run: run.to_owned(),
        table: table.map(str::to_owned),
        failure: failure(ErrorCode::Truncated, message, "pull again"),
    })
}

fn after_the_plan(site: &Site, run: &str) -> Vec<RunEvent> {
    site.run_events_of(run).split_off(1)
}

#[test]
fn a_run_from_its_plan_to_its_end() {
    let (sender, code, receiver, run) = planned();
    run::start(&receiver, &run).unwrap();
    {
        let jobs = receiver.jobs.borrow();
        let instruction = jobs.first().unwrap();
        assert_eq!(
            (instruction.run.as_str(), instruction.database.as_str()),
            (run.as_str(), "main")
        );
        assert_eq!(instruction.peer.base_url, URL);
        assert!(instruction.peer.credential.is_some());
        let tables: Vec<(&str, &str, bool, bool)> = instruction
            .tables
            .iter()
            .map(|one| {
                (
                    one.incoming.table.as_str(),
                    one.strategy.as_str(),
                    one.create,
                    one.one_chunk,
                )
            })
            .collect();
        let expected = [
            ("employees", "skip", false, true),
            ("customers", "skip", false, false),
            ("invoices", "merge", false, false),
        ];
        assert_eq!(tables, expected);
    }
    for _ in 0..2 {
        receiver.deliver(finished(&run));
    }
    receiver.deliver(trouble(&run, None, "too late"));
    assert_eq!(
        after_the_plan(&receiver, &run),
        [RunEvent::Finished(reports())]
    );
    let last = sender.run_events_of(&code).pop().unwrap();
    assert_eq!(last, RunEvent::Finished(reports()));
    assert!(receiver.durable().is_empty());
    assert_eq!(run::start(&receiver, &run).unwrap_err().code, "bad-request");
    run::cancel(&receiver, &run).unwrap();
    assert!(receiver.cancelled.borrow().is_empty());
}

#[test]
fn a_created_table_has_its_statements() {
    let (sender, code, receiver) = two_sites();
    receiver.postgres.set(true);
    sender.add(&[table("t", &["t"])]);
    let (run, plan) = plan(&receiver, request(&code));
    plan.unwrap();
    run::start(&receiver, &run).unwrap();
    let jobs = receiver.jobs.borrow();
    let instruction = &jobs[0].tables[0];
    assert!(instruction.create && !instruction.one_chunk);
    assert_eq!(instruction.before[0].object, "t");
}

#[test]
fn a_peer_that_is_gone_at_the_end_does_not_fail_the_run() {
    let (_, _, receiver, run) = planned();
    run::start(&receiver, &run).unwrap();
    let gone = Err(Error::Unavailable("gone".to_owned()));
    receiver.answers.borrow_mut().push_back(gone);
    receiver.deliver(finished(&run));
    assert_eq!(
        after_the_plan(&receiver, &run),
        [RunEvent::Finished(reports())]
    );
    assert_eq!(receiver.log.borrow().len(), 1);
    // The session may still be alive at the peer, so its secret is kept.
    assert_eq!(receiver.durable().len(), 1);
}

#[test]
fn a_failed_job_is_published_once_and_names_its_table() {
    let (_, _, receiver, run) = planned();
    run::start(&receiver, &run).unwrap();
    for _ in 0..2 {
        receiver.deliver(trouble(&run, Some("invoices"), "the stream broke off"));
    }
    receiver.deliver(finished(&run));
    let told = failure(
        ErrorCode::Truncated,
        "table \"invoices\": the stream broke off",
        "pull again",
    );
    assert_eq!(after_the_plan(&receiver, &run), [RunEvent::Failed(told)]);

    let (_, _, receiver, run) = planned();
    run::start(&receiver, &run).unwrap();
    receiver.deliver(trouble(
        &run,
        Some("invoices"),
        "table \"invoices\" is locked",
    ));
    let told = failure(
        ErrorCode::Truncated,
        "table \"invoices\" is locked",
        "pull again",
    );
    assert_eq!(after_the_plan(&receiver, &run), [RunEvent::Failed(told)]);
}

#[test]
fn a_run_is_started_once_and_only_when_planned() {
    let (_, code, receiver) = two_sites();
    let run = run::plan(&receiver, request(&code)).unwrap();
    assert_eq!(run::start(&receiver, &run).unwrap_err().code, "bad-request");
    assert_eq!(run::start(&receiver, "x").unwrap_err().code, "not-found");
    receiver.take_steps();
    let twice = run.clone();
    receiver.race.replace(Some((
        "run/",
        Box::new(move |site| run::start(site, &twice).unwrap()),
    )));
    assert_eq!(run::start(&receiver, &run).unwrap_err().code, "bad-request");
    assert_eq!(receiver.jobs.borrow().len(), 1);
}

#[test]
fn a_refused_start_can_be_repeated() {
    let (_, _, receiver, run) = planned();
    let refusal = Error::Denied("not granted".to_owned());
    receiver.start_fails.replace(Some(refusal));
    assert_eq!(run::start(&receiver, &run).unwrap_err().code, "denied");
    run::start(&receiver, &run).unwrap();
    assert_eq!(receiver.jobs.borrow().len(), 1);
}

#[test]
fn a_running_job_is_cancelled_by_the_host() {
    let (_, _, receiver, run) = planned();
    run::start(&receiver, &run).unwrap();
    run::cancel(&receiver, &run).unwrap();
    assert_eq!(*receiver.cancelled.borrow(), std::slice::from_ref(&run));
    assert!(after_the_plan(&receiver, &run).is_empty());
}

#[test]
fn a_cancelled_plan_is_not_started() {
    let (_, _, receiver, run) = planned();
    for _ in 0..2 {
        run::cancel(&receiver, &run).unwrap();
    }
    let run_events = after_the_plan(&receiver, &run);
    assert!(matches!(&run_events[..], [RunEvent::Failed(told)] if told.code == "cancelled"));
    assert_eq!(run::start(&receiver, &run).unwrap_err().code, "bad-request");
    receiver.deliver(finished(&run));
    assert_eq!(after_the_plan(&receiver, &run).len(), 1);
}

#[test]
fn a_cancel_during_a_step_wins() {
    let (_, code, receiver) = two_sites();
    let run = run::plan(&receiver, request(&code)).unwrap();
    let cancelled = run.clone();
    receiver.race.replace(Some((
        "run/",
        Box::new(move |site| run::cancel(site, &cancelled).unwrap()),
    )));
    receiver.take_steps();
    let run_events = receiver.run_events_of(&run);
    assert!(matches!(&run_events[..], [RunEvent::Failed(told)] if told.code == "cancelled"));
    assert_eq!(receiver.requests.borrow().len(), 1, "no step after that");
}

#[test]
fn events_about_unknown_runs_are_ignored() {
    let site = Site::default();
    site.deliver(finished("x"));
    site.deliver(trouble("x", None, "y"));
    site.deliver(Event::Step("x".to_owned()));
    site.deliver(Event::OwnerGone("x".to_owned()));
    site.deliver(Event::Other("x".to_owned()));
    assert!(site.run_events.borrow().is_empty());
    assert!(site.state.borrow().is_empty());
}

#[test]
fn the_other_site_hears_that_a_run_is_over_whatever_ended_it() {
    let compared = |run: &str| {
        Event::Compared(Compared {
            run: run.to_owned(),
            tables: Vec::new(),
        })
    };
    for (ended, starts) in [("comparison", true), ("failure", true), ("refusal", false)] {
        let (sender, _, receiver, run) = planned();
        if starts {
            run::compare(&receiver, &run).unwrap();
        }
        match ended {
            "comparison" => receiver.deliver(compared(&run)),
            "failure" => receiver.deliver(trouble(&run, None, "broken")),
            _ => run::cancel(&receiver, &run).unwrap(),
        }
        assert_eq!(*sender.released.borrow(), [run], "{ended}");
    }
}
