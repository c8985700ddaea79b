//! From a code to a plan, and every reason why there is none.

use super::*;
use crate::bindings::http::Response;
use crate::bindings::types::Error;
use serde_json::{Value, json};

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn code_of(receiver: &Site, request: PullRequest) -> String {
    let failure = plan(receiver, request).1.unwrap_err();
    assert!(
        !failure.message.is_empty() && !failure.hint.is_empty(),
        "{failure:?}"
    );
    failure.code
}

/// Replaces the next answers of the peer, beginning with that to the claim.
fn answers(receiver: &Site, answers: &[(u16, Value)]) {
    let answers = answers.iter().map(|(status, body)| {
        Ok(Response {
            status: *status,
            body: body.to_string().into_bytes(),
        })
    });
    receiver.answers.replace(answers.collect());
}

fn claimed() -> (u16, Value) {
    let body = json!({"token": "t", "scope": {"tables": ["*"]}, "source": "0123456789abcdef", "protocol": 1, "row_format": 1});
    (200, body)
}

fn shared(schema: &TableSchema) -> Value {
    json!({"table": schema.table, "kind": "table", "rows": 7, "exact": true, "schema": schema})
}

#[test]
fn a_plan_covers_all_shared_tables() {
    let (sender, code, receiver) = two_sites();
    sender.add(&[
        table("lines", &["orders"]),
        table("orders", &["customers"]),
        table("customers", &[]),
    ]);
    sender.add_view(table("everything", &[]));
    receiver.add(&[table("customers", &[])]);
    let (_, plan) = plan(&receiver, request(&code));
    let plan = plan.unwrap();
    let tables: Vec<&str> = plan.iter().map(|line| line.table.as_str()).collect();
    assert_eq!(tables, ["customers", "orders", "lines"]);
    let created: Vec<bool> = plan.iter().map(|line| line.create).collect();
    assert_eq!(created, [false, true, true]);
    assert_eq!(
        (plan[0].rows, plan[0].exact, plan[0].local_rows),
        (7, true, 7)
    );
    assert_eq!((plan[1].rows, plan[1].local_rows), (7, 0));
    assert_eq!(plan[1].not_carried, ["a thing"]);
    assert!(receiver.jobs.borrow().is_empty());
}

#[test]
fn the_rules_learn_which_types_the_target_has() {
    let (sender, code, receiver) = two_sites();
    let mut orders = table("orders", &[]);
    for (number, origin) in ["pg:mood", "pg:cents", "sqlite:mood"]
        .into_iter()
        .enumerate()
    {
        let column = Column {
            name: format!("c{number}"),
            origin: origin.to_owned(),
            ..orders.columns[0].clone()
        };
        orders.columns.push(column);
    }
    sender.add(&[orders]);
    receiver.postgres.set(true);
    receiver
        .types
        .replace(vec!["mood".to_owned(), "else".to_owned()]);
    let (_, plan) = plan(&receiver, request(&code));
    assert_eq!(
        plan.unwrap()[0].not_carried,
        ["a thing", "not the type mood"]
    );
}

#[test]
fn a_step_sends_at_most_one_request() {
    let (sender, code, receiver) = two_sites();
    let tables: Vec<TableSchema> = (0..450)
        .map(|number| table(&format!("t{number:03}"), &[]))
        .collect();
    sender.add(&tables);
    run::plan(&receiver, request(&code)).unwrap();
    assert!(receiver.requests.borrow().is_empty());
    let mut asked = 0;
    while let Some(run) = receiver.next_step() {
        receiver.deliver(crate::bindings::events::Event::Step(run));
        let now = receiver.requests.borrow().len();
        assert!(now <= asked + 1);
        asked = now;
    }
    // One claim and three pages.
    assert_eq!(asked, 4);
    let (_, event) = receiver.run_events.borrow_mut().pop().unwrap();
    assert!(matches!(event, RunEvent::Planned(plan) if plan.len() == 450));
}

#[test]
fn the_secret_is_kept_before_it_is_sent_and_used_again() {
    let (_, code, receiver) = two_sites();
    receiver.answers.borrow_mut().push_back(Err(Error::Timeout));
    assert_eq!(code_of(&receiver, request(&code)), "timeout");
    assert_eq!(receiver.durable().len(), 1);
    // The same code in another spelling.
    plan(&receiver, request(&format!(" {} ", code.to_lowercase())))
        .1
        .unwrap();
    let secrets: Vec<Value> = receiver.requests.borrow()[..2]
        .iter()
        .map(|request| {
            serde_json::from_slice::<Value>(&request.body).unwrap()["claimer_secret"].clone()
        })
        .collect();
    assert_eq!(secrets[0], secrets[1]);
    assert_eq!(secrets[0].as_str().unwrap().len(), 64);
    assert_eq!(receiver.durable().len(), 1);
    // A claim that is repeated after its answer is answered again.
    plan(&receiver, request(&code)).1.unwrap();
}

#[test]
fn only_the_host_keeps_the_token() {
    let (sender, code, receiver) = two_sites();
    plan(&receiver, request(&code)).1.unwrap();
    let admissions = sender.admissions.borrow();
    let (token, _) = admissions.values().next().unwrap();
    for (entry, _) in receiver.state.borrow().values() {
        let value = String::from_utf8_lossy(&entry.value);
        assert!(!value.contains(token.as_str()), "{}", entry.key);
    }
}

#[test]
fn a_final_refusal_deletes_the_secret() {
    let (_, code, receiver) = two_sites();
    assert_eq!(code_of(&receiver, request("WRONG")), "no-such-code");
    assert!(receiver.durable().is_empty());
    let other = Site::default();
    other.peer.replace(receiver.peer.borrow().clone());
    plan(&other, request(&code)).1.unwrap();
    assert_eq!(code_of(&receiver, request(&code)), "already-used");
    assert!(receiver.durable().is_empty());
}

#[test]
fn tables_can_be_named() {
    let (sender, _, receiver) = two_sites();
    sender.add(&[table("orders", &[]), table("secrets", &[])]);
    sender.add_view(table("order_view", &[]));
    let code = sender.share(&["order*"]);
    let by_name = |names: &[&str]| PullRequest {
        tables: named(names),
        ..request(&code)
    };
    // A table that is named twice is pulled once; names can need escapes.
    sender.add(&[table("order lines/ü", &[])]);
    let plan = plan(&receiver, by_name(&["orders", "order lines/ü", "orders"]))
        .1
        .unwrap();
    let tables: Vec<&str> = plan.iter().map(|line| line.table.as_str()).collect();
    assert_eq!(tables, ["order lines/ü", "orders"]);
    for (name, code) in [
        ("order_items", "no-such-table"),
        ("secrets", "denied"),
        ("order_view", "not-a-table"),
    ] {
        let failure = super::plan(&receiver, by_name(&["orders", name]))
            .1
            .unwrap_err();
        assert_eq!(failure.code, code);
        assert!(failure.message.contains(name), "{failure:?}");
    }
}

#[test]
fn obstacles_in_the_target_have_their_codes() {
    let (sender, code, receiver) = two_sites();
    sender.add(&[table("t", &[])]);
    let no_create = PullRequest {
        create_missing: false,
        ..request(&code)
    };
    assert_eq!(code_of(&receiver, no_create), "missing-table");
    let misspelt = PullRequest {
        table_strategies: vec![("u".to_owned(), strategy("merge"))],
        ..request(&code)
    };
    assert_eq!(code_of(&receiver, misspelt), "bad-request");
    let mut needed = table("t", &["elsewhere"]);
    for column in &mut needed.columns {
        column.nullable = false;
    }
    receiver.add(&[needed]);
    assert_eq!(code_of(&receiver, request(&code)), "columns-differ");
    receiver.add_view(table("t", &[]));
    assert_eq!(code_of(&receiver, request(&code)), "not-a-table");
}

#[test]
fn a_cycle_of_local_keys_is_named() {
    let (sender, code, receiver) = two_sites();
    let cycle = [table("staff", &["store"]), table("store", &["staff"])];
    sender.add(&cycle);
    // Tables that the run creates have no foreign keys yet.
    assert_eq!(plan(&receiver, request(&code)).1.unwrap().len(), 2);
    receiver.add(&cycle);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "cycle");
    let named = failure.message.contains("staff -> store -> staff");
    assert!(named, "{failure:?}");
}

#[test]
fn invalid_requests_are_refused() {
    let (_, code, receiver) = two_sites();
    let long = |length| "x".repeat(length);
    let wrong = [
        PullRequest {
            base_url: String::new(),
            ..request(&code)
        },
        PullRequest {
            base_url: long(2_049),
            ..request(&code)
        },
        PullRequest {
            code: " ".to_owned(),
            ..request(&code)
        },
        PullRequest {
            code: long(129),
            ..request(&code)
        },
        PullRequest {
            claimer: long(201),
            ..request(&code)
        },
        PullRequest {
            tables: named(&[""]),
            ..request(&code)
        },
        PullRequest {
            tables: named(&["a\0b"]),
            ..request(&code)
        },
        PullRequest {
            table_strategies: vec![(long(1_025), strategy(""))],
            ..request(&code)
        },
    ];
    for request in wrong {
        let failure = run::plan(&receiver, request).unwrap_err();
        assert_eq!(failure.code, "bad-request", "{failure:?}");
        assert!(!failure.hint.is_empty());
    }
    let elsewhere = PullRequest {
        database: "other".to_owned(),
        ..request(&code)
    };
    assert_eq!(
        run::plan(&receiver, elsewhere).unwrap_err().code,
        "not-found"
    );
    assert!(receiver.state.borrow().is_empty());
}

#[test]
fn a_peer_that_cannot_be_reached() {
    let (_, code, receiver) = two_sites();
    let reason = || "a reason".to_owned();
    for (error, expected) in [
        (Error::Unavailable(reason()), "unreachable"),
        (Error::Timeout, "timeout"),
        (Error::Denied(reason()), "denied"),
        (Error::Limit(reason()), "limit"),
    ] {
        receiver.answers.borrow_mut().push_back(Err(error));
        assert_eq!(code_of(&receiver, request(&code)), expected);
    }
}

#[test]
fn texts_of_a_peer_are_made_printable() {
    let (_, code, receiver) = two_sites();
    let error =
        |code: &str| json!({"error": {"code": code, "message": "\u{1b}[2J<gone>", "hint": "h"}});
    answers(&receiver, &[(410, error("expired"))]);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "expired");
    assert_eq!(
        (failure.message.as_str(), failure.hint.as_str()),
        (" [2J<gone>", "h")
    );
    answers(&receiver, &[(500, error("rm -rf /"))]);
    assert_eq!(code_of(&receiver, request(&code)), "internal");
    // Another web server.
    answers(&receiver, &[(404, json!("<html>"))]);
    assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
    answers(&receiver, &[(302, claimed().1)]);
    assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
}

#[test]
fn a_peer_of_another_version_is_refused() {
    let (_, code, receiver) = two_sites();
    for field in ["protocol", "row_format"] {
        let (status, mut body) = claimed();
        body[field] = json!(2);
        answers(&receiver, &[(status, body)]);
        assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
    }
    answers(&receiver, &[(200, json!({"token": {"the token": 1}}))]);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "incompatible-peer");
    assert!(!failure.message.contains("the token"), "{failure:?}");
}

#[test]
fn impossible_lists_of_tables_are_refused() {
    let (_, code, receiver) = two_sites();
    let (a, b) = (shared(&table("a", &[])), shared(&table("b", &[])));
    let mut two_names = a.clone();
    two_names["table"] = json!("b");
    let mut bare = a.clone();
    bare["schema"] = Value::Null;
    for list in [
        json!({"tables": [b, a], "next": null}),
        json!({"tables": [a, a], "next": null}),
        json!({"tables": [], "next": "a"}),
        json!({"tables": [a], "next": "b"}),
        json!({"tables": [two_names], "next": null}),
        json!({"tables": [bare], "next": null}),
        json!({"tables": "none"}),
    ] {
        answers(&receiver, &[claimed(), (200, list.clone())]);
        assert_eq!(
            code_of(&receiver, request(&code)),
            "incompatible-peer",
            "{list}"
        );
    }
    // An endless list is refused at its first repeated name.
    let page = json!({"tables": [a], "next": "a"});
    answers(&receiver, &[claimed(), (200, page.clone()), (200, page)]);
    assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
    let by_name = || PullRequest {
        tables: named(&["a"]),
        ..request(&code)
    };
    answers(&receiver, &[claimed(), (200, b)]);
    assert_eq!(code_of(&receiver, by_name()), "incompatible-peer");
    let mut view = a;
    view["kind"] = json!("view");
    answers(&receiver, &[claimed(), (200, view)]);
    assert_eq!(code_of(&receiver, by_name()), "not-a-table");
}

#[test]
fn too_many_tables_are_refused() {
    let (_, code, receiver) = two_sites();
    let all: Vec<TableSchema> = (0..10_001)
        .map(|number| table(&format!("t{number:05}"), &[]))
        .collect();
    let tables: Vec<Value> = all.iter().map(shared).collect();
    answers(
        &receiver,
        &[claimed(), (200, json!({"tables": tables, "next": null}))],
    );
    assert_eq!(code_of(&receiver, request(&code)), "limit");
}

#[test]
fn an_empty_page_that_is_not_the_last_one_is_refused() {
    let (_, code, receiver) = two_sites();
    let page = |tables: &[Value]| (200, json!({"tables": tables, "next": "a"}));
    let first = page(&[shared(&table("a", &[]))]);
    answers(&receiver, &[claimed(), first, page(&[])]);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "incompatible-peer");
    assert!(failure.message.contains("empty"), "{failure:?}");
}

#[test]
fn views_without_end_are_refused() {
    let (_, code, receiver) = two_sites();
    let pages = (0..150).map(|page| {
        let name = |view: u32| format!("v{:06}", page * 100 + view);
        let views: Vec<Value> = (0..100)
            .map(|view| json!({"table": name(view), "kind": "view", "schema": null}))
            .collect();
        (200, json!({"tables": views, "next": name(99)}))
    });
    let all: Vec<(u16, Value)> = [claimed()].into_iter().chain(pages).collect();
    answers(&receiver, &all);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "limit");
    assert!(failure.message.contains("views"), "{failure:?}");
}

#[test]
fn names_and_descriptions_of_views_are_checked_as_those_of_tables() {
    let (_, code, receiver) = two_sites();
    let long = "x".repeat(1_025);
    for view in [
        json!({"table": "", "kind": "view", "schema": null}),
        json!({"table": long, "kind": "view", "schema": null}),
        json!({"table": "v", "kind": "view", "schema": table("w", &[])}),
    ] {
        answers(
            &receiver,
            &[claimed(), (200, json!({"tables": [view], "next": null}))],
        );
        assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
    }
}

#[test]
fn a_plan_takes_at_most_64_mib() {
    let (_, code, receiver) = two_sites();
    // What is not kept counts too.
    let ignored = "x".repeat(4 << 20);
    let pages = (0..20).map(|page| {
        let name = format!("v{page:02}");
        let view = json!({"table": name, "kind": "view", "schema": null, "ignored": ignored});
        (200, json!({"tables": [view], "next": name}))
    });
    let all: Vec<(u16, Value)> = [claimed()].into_iter().chain(pages).collect();
    answers(&receiver, &all);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "limit");
    assert!(failure.message.contains("64 MiB"), "{failure:?}");
    // One of them answers that the code is given back.
    assert_eq!(receiver.answers.borrow().len(), 3, "it stops at the limit");
}

#[test]
fn an_answer_of_many_small_values_is_refused_before_it_is_parsed() {
    let (_, code, receiver) = two_sites();
    let mut many = shared(&table("t", &[]));
    many["schema"]["unique_keys"] = json!(vec![["a"]; 300_000]);
    let page = json!({"tables": [many], "next": null});
    answers(&receiver, &[claimed(), (200, page)]);
    assert_eq!(code_of(&receiver, request(&code)), "limit");
}

#[test]
fn an_impossible_token_is_refused() {
    let (_, code, receiver) = two_sites();
    for token in ["", "a b", "a\r\nb", &"x".repeat(4_097)] {
        let (status, mut body) = claimed();
        body["token"] = json!(token);
        answers(&receiver, &[(status, body)]);
        assert_eq!(code_of(&receiver, request(&code)), "incompatible-peer");
    }
}

#[test]
fn tables_that_the_host_does_not_take_at_once_are_refused_while_they_are_planned() {
    let (sender, code, receiver) = two_sites();
    let tables: Vec<TableSchema> = (0..60)
        .map(|number| {
            let mut table = table(&format!("t{number:02}"), &[]);
            let first = table.columns[0].clone();
            table.columns.extend((0..1_000).map(|number| Column {
                name: format!("column {number}"),
                ..first.clone()
            }));
            table
        })
        .collect();
    sender.add(&tables);
    let failure = plan(&receiver, request(&code)).1.unwrap_err();
    assert_eq!(failure.code, "limit");
    assert!(failure.hint.contains("name some"), "{failure:?}");
    assert!(receiver.jobs.borrow().is_empty());
}
