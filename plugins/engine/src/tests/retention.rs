//! Sessions and runs are removed some time after they ended.

use super::*;
use crate::host::Host as _;
use crate::housekeeping;
use crate::retention::RETENTION;
use crate::serve::sessions;

/// All keys in the state that begin with a prefix.
fn keys(site: &Site, prefix: &str) -> Vec<String> {
    let entries = site.list(prefix, None, 1_000).unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

#[test]
fn an_ended_session_is_removed_an_hour_later_and_a_live_one_stays() {
    let site = Site::with(&[table("t", &[])]);
    let ended = site.share(&["t"]);
    let claimed = site.share(&["t"]);
    let answer = site.serve(
        None,
        crate::bindings::http::Method::Post,
        "/sync/v1/claim",
        format!(
            r#"{{"code":"{claimed}","claimer_secret":"{}","claimer":"Bo","protocol":1,"row_format":1}}"#,
            "s".repeat(32)
        )
        .as_bytes(),
    );
    assert_eq!(answer.status, 200);
    // Expired, and noticed; then kept for the retention.
    for (passed, known) in [
        (60_000, true),
        (60_000 + RETENTION - 1, true),
        (60_000 + RETENTION, false),
    ] {
        site.clock.set(passed);
        housekeeping::sweep(&site);
        assert_eq!(sessions::get(&site, &ended).is_ok(), known, "{passed} ms");
    }
    assert!(sessions::get(&site, &claimed).is_ok(), "its owner is alive");
    site.dead_owners.borrow_mut().insert("owner".to_owned());
    for hours in 2..6 {
        site.clock.set(60_000 + hours * RETENTION);
        housekeeping::sweep(&site);
    }
    for prefix in ["session/", "admission/", "removal/"] {
        assert_eq!(keys(&site, prefix), [""; 0], "{prefix}");
    }
}

#[test]
fn an_ended_run_is_removed_with_its_tables_and_a_planned_one_stays() {
    let (sender, code, receiver) = two_sites();
    sender.add(&[table("t", &[])]);
    let (ended, planned) = (
        plan(&receiver, request(&code)).0,
        plan(&receiver, request(&code)).0,
    );
    run::cancel(&receiver, &ended).unwrap();
    for hours in 1..4 {
        receiver.clock.set(hours * RETENTION);
        housekeeping::sweep(&receiver);
    }
    assert_eq!(keys(&receiver, &format!("run/{ended}")), [""; 0]);
    assert!(keys(&receiver, &format!("run/{planned}")).len() > 1);
}
