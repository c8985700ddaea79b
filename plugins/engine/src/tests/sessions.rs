//! Sessions from the first claim to their end.

use super::*;
use crate::bindings::events::{Event, Sent};
use crate::bindings::http::Method;
use crate::bindings::peers::{Body, PeerResponse};
use crate::bindings::sharing::{Direction, SessionState, ShareRequest};
use crate::bindings::types::{Error, Scope, Stored, TableReport};
use crate::serve::sessions;
use crate::wire::ErrorBody;
use serde_json::{Value, json};

fn claim(site: &Site, code: &str, secret: &str) -> PeerResponse {
    let body = json!({
        "code": code, "claimer_secret": format!("{secret:-<32}"), "claimer": "Bo",
        "protocol": 1, "row_format": 1,
    });
    site.serve(
        None,
        Method::Post,
        "/sync/v1/claim",
        body.to_string().as_bytes(),
    )
}

fn document(answer: &PeerResponse) -> Value {
    let Body::Json(json) = &answer.body else {
        panic!("no JSON: {answer:?}")
    };
    serde_json::from_slice(json).unwrap()
}

fn token(answer: &PeerResponse) -> String {
    assert_eq!(answer.status, 200, "{:?}", document(answer));
    document(answer)["token"].as_str().unwrap().to_owned()
}

fn refused(answer: &PeerResponse) -> (u16, String) {
    let body: ErrorBody = serde_json::from_value(document(answer)).unwrap();
    assert!(!body.error.hint.is_empty(), "{:?}", body.error);
    (answer.status, body.error.code)
}

fn tables(site: &Site, token: &str) -> PeerResponse {
    site.serve(Some(token), Method::Get, "/sync/v1/tables", b"")
}

fn state(site: &Site, code: &str) -> SessionState {
    sessions::get(site, code).unwrap().state
}

fn report(table: &str) -> TableReport {
    TableReport {
        table: table.to_owned(),
        created: 3,
        updated: 0,
        same: 0,
        skipped: 0,
        failed: 0,
        bytes: 90,
        snapshots: 1,
        stored: Stored::Verified,
        changed: Vec::new(),
    }
}

fn done(site: &Site, token: &str, tables: &[TableReport]) -> PeerResponse {
    let body = json!({ "tables": tables }).to_string();
    site.serve(
        Some(token),
        Method::Post,
        "/sync/v1/done?run=r1",
        body.as_bytes(),
    )
}

fn release(site: &Site, token: &str) -> PeerResponse {
    site.serve(
        Some(token),
        Method::Post,
        "/sync/v1/runs/r1/end?unwritten=1",
        b"",
    )
}

#[test]
fn a_session_from_its_claim_to_its_end() {
    let site = Site::default();
    let code = site.share(&["*"]);
    assert_eq!(state(&site, &code), SessionState::Pending);

    let typed = format!(" {}-{}", &code[..4].to_lowercase(), &code[4..]);
    let token = token(&claim(&site, &typed, "a secret"));
    assert_eq!(state(&site, &code), SessionState::Claimed);
    assert_eq!(
        site.run_events_of(&code),
        [RunEvent::Claimed("Bo".to_owned())]
    );
    assert_eq!(sessions::get(&site, &code).unwrap().claimer.unwrap(), "Bo");

    site.deliver(Event::Sent(Sent {
        admission: "admission-1".to_owned(),
        run: "r1".to_owned(),
        report: report("t"),
    }));
    let answer = done(&site, &token, &[report("t")]);
    assert_eq!((answer.status, answer.body), (200, Body::Empty));
    assert_eq!(state(&site, &code), SessionState::Done);
    let ends = [
        RunEvent::Sent(report("t")),
        RunEvent::Finished(vec![report("t")]),
    ];
    assert_eq!(site.run_events_of(&code)[1..], ends);
    assert!(site.admissions.borrow().is_empty());
    for secret in ["a secret", "another"] {
        let again = refused(&claim(&site, &code, secret));
        assert_eq!(again, (409, "already-used".to_owned()));
    }
}

#[test]
fn the_loser_of_a_race_is_never_admitted() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let faster = code.clone();
    site.race.replace(Some((
        "session/",
        Box::new(move |site| drop(token(&claim(site, &faster, "the faster one")))),
    )));
    let lost = refused(&claim(&site, &code, "the slower one"));
    assert_eq!(lost, (409, "already-used".to_owned()));
    assert_eq!(site.admitted.get(), 1);
    assert_eq!(site.run_events_of(&code).len(), 1);
}

#[test]
fn the_same_claimer_gets_a_new_token_in_place_of_its_old_one() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let first = token(&claim(&site, &code, "a secret"));
    site.clock.set(120_000); // Long after the time for a first claim.
    let second = token(&claim(&site, &code, "a secret"));
    assert_eq!(tables(&site, &first).status, 401);
    assert_eq!(tables(&site, &second).status, 200);
    assert_eq!(site.run_events_of(&code).len(), 1);
    let admissions = site.state.borrow();
    let kept = admissions
        .keys()
        .filter(|key| key.starts_with("admission/"));
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_replaced_admission_is_refused_even_before_it_is_revoked() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let first = token(&claim(&site, &code, "a secret"));
    let (state, admissions) = (
        site.state.borrow().clone(),
        site.admissions.borrow().clone(),
    );
    let second = token(&claim(&site, &code, "a secret"));
    // As if the host had stopped right after the session was written.
    let key = "admission/admission-1";
    let kept = state.get(key).unwrap().clone();
    site.state.borrow_mut().insert(key.to_owned(), kept);
    site.admissions.borrow_mut().extend(admissions);
    assert_eq!(refused(&tables(&site, &first)).0, 410);
    assert_eq!(tables(&site, &second).status, 200);
}

#[test]
fn a_claimer_whose_admission_failed_can_claim_again() {
    let site = Site::default();
    let code = site.share(&["*"]);
    site.admit_fails.replace(Some(Error::Timeout));
    assert_eq!(claim(&site, &code, "a secret").status, 504);
    let other = refused(&claim(&site, &code, "somebody else"));
    assert_eq!(other.1, "already-used");
    token(&claim(&site, &code, "a secret"));
    assert_eq!(site.run_events_of(&code).len(), 1);
}

#[test]
fn a_session_that_ends_during_a_claim_admits_nobody() {
    let site = Site::default();
    let code = site.share(&["*"]);
    token(&claim(&site, &code, "a secret"));
    let ended = code.clone();
    site.race.replace(Some((
        "session/",
        Box::new(move |site| assert!(sessions::delete(site, &ended).unwrap())),
    )));
    let late = refused(&claim(&site, &code, "a secret"));
    assert_eq!(late, (404, "no-such-code".to_owned()));
    assert!(site.admissions.borrow().is_empty());
    // Only the name of its database outlives a session.
    let kept: Vec<String> = site.state.borrow().keys().cloned().collect();
    assert_eq!(kept, ["source/identity"]);
}

#[test]
fn unknown_expired_and_orphaned_codes_are_refused() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let long = "A".repeat(200_000);
    for unknown in ["", "AAAAAAAA", "'; DROP TABLE t; --", long.as_str()] {
        let answer = refused(&claim(&site, unknown, "a secret"));
        assert_eq!(answer, (404, "no-such-code".to_owned()));
    }
    site.clock.set(60_000);
    let late = refused(&claim(&site, &code, "a secret"));
    assert_eq!(late, (410, "expired".to_owned()));
    assert_eq!(state(&site, &code), SessionState::Expired);
    let code = site.share(&["*"]);
    site.dead_owners.borrow_mut().insert("owner".to_owned());
    let orphaned = refused(&claim(&site, &code, "a secret"));
    assert_eq!(orphaned, (410, "owner-gone".to_owned()));
    assert_eq!(state(&site, &code), SessionState::Orphaned);
    assert_eq!(site.admitted.get(), 0);
}

#[test]
fn an_invalid_claim_does_not_use_the_code() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let claim_with = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({
            "code": code, "claimer_secret": "s".repeat(32), "claimer": "Bo", "protocol": 1, "row_format": 1,
        });
        change(&mut body);
        let body = body.to_string();
        site.serve(None, Method::Post, "/sync/v1/claim", body.as_bytes())
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let wrong: [(Change, u16, &str); 7] = [
        (
            &|body| body["claimer_secret"] = json!("short"),
            400,
            "bad-request",
        ),
        (
            &|body| body["claimer_secret"] = json!("s".repeat(129)),
            400,
            "bad-request",
        ),
        (
            &|body| body["claimer"] = json!("ü".repeat(201)),
            400,
            "bad-request",
        ),
        (
            &|body| body["claimer_secret"] = json!({"my secret": 1}),
            400,
            "bad-request",
        ),
        (&|body| *body = json!("my secret"), 400, "bad-request"),
        (
            &|body| body["protocol"] = json!(2),
            426,
            "incompatible-peer",
        ),
        (
            &|body| body["row_format"] = json!(2),
            426,
            "incompatible-peer",
        ),
    ];
    for (change, status, code) in wrong {
        let answer = claim_with(change);
        assert_eq!(refused(&answer), (status, code.to_owned()));
        assert!(!document(&answer).to_string().contains("my secret"));
    }
    // 200 characters, though 400 bytes.
    token(&claim_with(&|body| {
        body["claimer"] = json!("ü".repeat(200))
    }));
}

#[test]
fn a_claimers_name_is_made_printable() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let body = json!({
        "code": code, "claimer_secret": "s".repeat(32), "claimer": "\u{1b}[2JBo", "protocol": 1, "row_format": 1,
    });
    let body = body.to_string();
    token(&site.serve(None, Method::Post, "/sync/v1/claim", body.as_bytes()));
    assert_eq!(
        site.run_events_of(&code),
        [RunEvent::Claimed(" [2JBo".to_owned())]
    );
}

#[test]
fn sessions_that_cannot_be_created() {
    let site = Site::default();
    let request = || ShareRequest {
        direction: Direction::Send,
        database: "main".to_owned(),
        scope: Scope { tables: Vec::new() },
        owner: "owner".to_owned(),
        expires_in: 60_000,
    };
    let refused = |request: ShareRequest| sessions::create(&site, request).unwrap_err().code;
    let receive = ShareRequest {
        direction: Direction::Receive,
        ..request()
    };
    assert_eq!(refused(receive), "unavailable");
    let misspelt = ShareRequest {
        database: "mian".to_owned(),
        ..request()
    };
    assert_eq!(refused(misspelt), "not-found");
    site.only_code.replace(Some("SAME".to_owned()));
    assert_eq!(sessions::create(&site, request()).unwrap().code, "SAME");
    assert_eq!(refused(request()), "internal");
}

#[test]
fn the_expiry_is_between_one_second_and_seven_days() {
    const WEEK: u64 = 7 * 24 * 60 * 60 * 1_000;
    let site = Site::default();
    let create = |expires_in| {
        let request = ShareRequest {
            direction: Direction::Send,
            database: "main".to_owned(),
            scope: Scope { tables: Vec::new() },
            owner: "owner".to_owned(),
            expires_in,
        };
        sessions::create(&site, request)
    };
    site.clock.set(5);
    for expires_in in [1_000, WEEK] {
        assert_eq!(create(expires_in).unwrap().expires_at, 5 + expires_in);
    }
    for expires_in in [0, 999, WEEK + 1, 30 * WEEK, u64::MAX] {
        let failure = create(expires_in).unwrap_err();
        assert_eq!(failure.code, "bad-request");
        let limit = "the expiry must be between 1 s and 7 days";
        assert_eq!(failure.message, limit);
    }
}

#[test]
fn deleting_ends_the_access_too() {
    let site = Site::default();
    let code = site.share(&["*"]);
    token(&claim(&site, &code, "a secret"));
    assert!(sessions::delete(&site, &code).unwrap());
    assert!(site.admissions.borrow().is_empty());
    // Only the name of its database outlives a session.
    let kept: Vec<String> = site.state.borrow().keys().cloned().collect();
    assert_eq!(kept, ["source/identity"]);
    for gone in [&code, "'; --"] {
        assert!(!sessions::delete(&site, gone).unwrap());
        assert_eq!(sessions::get(&site, gone).unwrap_err().code, "no-such-code");
    }
}

#[test]
fn the_newest_session_is_listed_last() {
    let site = Site::default();
    let mut codes = Vec::new();
    for now in 1..9 {
        site.clock.set(now);
        codes.push(site.share(&["*"]));
    }
    let listed = sessions::list(&site).unwrap();
    let listed: Vec<String> = listed.into_iter().map(|session| session.code).collect();
    assert_eq!(listed, codes);
}

#[test]
fn sessions_end_with_their_owner_and_complete_ones_stay_complete() {
    let site = Site::default();
    let (complete, running) = (site.share(&["*"]), site.share(&["*"]));
    let first = token(&claim(&site, &complete, "a secret"));
    done(&site, &first, &[]);
    let second = token(&claim(&site, &running, "a secret"));
    site.dead_owners.borrow_mut().insert("owner".to_owned());
    assert_eq!(refused(&tables(&site, &second)).1, "owner-gone");
    for _ in 0..2 {
        site.deliver(Event::OwnerGone("owner".to_owned()));
    }
    site.deliver(Event::OwnerGone("somebody else".to_owned()));
    assert!(site.admissions.borrow().is_empty());
    let last = site.run_events_of(&running).pop().unwrap();
    assert!(matches!(last, RunEvent::Failed(failure) if failure.code == "owner-gone"));
    let last = site.run_events_of(&complete).pop().unwrap();
    assert_eq!(last, RunEvent::Finished(Vec::new()));
    assert_eq!(state(&site, &complete), SessionState::Done);
}

#[test]
fn impossible_reports_do_not_end_a_session() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let token = token(&claim(&site, &code, "a secret"));
    let many = vec![report("t"); 10_001];
    for reports in [vec![report("")], vec![report("a\0b")], many] {
        assert_eq!(refused(&done(&site, &token, &reports)).0, 400);
    }
    let body = br#"{"tables":[]}"#;
    let unnamed = site.serve(Some(&token), Method::Post, "/sync/v1/done", body);
    assert_eq!(refused(&unnamed).0, 400);
    assert_eq!(state(&site, &code), SessionState::Claimed);
    done(&site, &token, &[report("\u{1b}[2J")]);
    let last = site.run_events_of(&code).pop().unwrap();
    assert_eq!(last, RunEvent::Finished(vec![report(" [2J")]));
}

#[test]
fn a_token_that_is_replaced_meanwhile_ends_nothing() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let token = token(&claim(&site, &code, "a secret"));
    let renewed = code.clone();
    site.race.replace(Some((
        "session/",
        Box::new(move |site| assert_eq!(claim(site, &renewed, "a secret").status, 200)),
    )));
    // The token was replaced meanwhile, so it ends nothing.
    assert_eq!(refused(&done(&site, &token, &[])).0, 410);
    assert_eq!(state(&site, &code), SessionState::Claimed);
}

#[test]
fn a_database_is_not_pulled_into_itself_and_the_code_stays_good() {
    let (sender, code, receiver) = two_sites();
    sender.add(&[table("t", &[])]);
    for site in [&*sender, &receiver] {
        *site.fingerprint.borrow_mut() = Some("the same".to_owned());
    }
    let (_, refused) = plan(&receiver, request(&code));
    assert_eq!(refused.unwrap_err().code, "same-database");
    *receiver.fingerprint.borrow_mut() = Some("another".to_owned());
    plan(&receiver, request(&code)).1.unwrap();
}

#[test]
fn a_code_that_is_given_back_is_good_for_another_receiver() {
    let site = Site::default();
    let code = site.share(&["*"]);
    let first = token(&claim(&site, &code, "a secret"));
    let other = refused(&claim(&site, &code, "another"));
    assert_eq!(other.1, "already-used", "while the first one may go on");
    assert_eq!(release(&site, &first).status, 200);
    assert_eq!(tables(&site, &first).status, 401, "never two side by side");
    let second = token(&claim(&site, &code, "another"));
    assert_eq!(tables(&site, &second).status, 200);
    // Nobody gives back what is another one's.
    assert_eq!(release(&site, &first).status, 401);
    assert_eq!(refused(&claim(&site, &code, "a secret")).1, "already-used");
    assert_eq!(release(&site, &second).status, 200);
    // After the expiry, only the last one that had it.
    site.clock.set(120_000_000);
    assert_eq!(refused(&claim(&site, &code, "a secret")).1, "expired");
    let third = token(&claim(&site, &code, "another"));
    assert_eq!(refused(&claim(&site, &code, "a secret")).1, "already-used");
    assert_eq!(tables(&site, &third).status, 200);
}
