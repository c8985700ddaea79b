//! What can be left in the host, until it says no.

use crate::bindings::tombolo::sync::services::Level;
use crate::bindings::tombolo::sync::state::Lifetime;
use crate::bindings::tombolo::sync::transfers::RunEvent;
use crate::bindings::tombolo::sync::types::{Error, Failure, Scope};
use crate::bindings::tombolo::sync::{access, services, state, transfers};

/// The most that is tried in one call.
const TRIES: u32 = 30_000;

/// Leaves things of one kind, and says how many were taken and why no more were.
pub fn leave(what: &str) -> String {
    let text = |length: usize| "x".repeat(length);
    let large = text(7 << 20);
    match what {
        "large-credentials" => until_refused(|_| access::keep_credential("http://a", &large)),
        "credentials" => {
            let (url, secret) = (format!("http://{}", text(2_000)), text(4_096));
            until_refused(|_| access::keep_credential(&url, &secret))
        }
        "large-admissions" => until_refused(|_| access::admit(&scope(&large), "owner")),
        "admissions" => {
            let scope = scope(&text(900));
            until_refused(|_| access::admit(&scope, "owner"))
        }
        "large-state" => {
            until_refused(|_| state::put("k", large.as_bytes(), None, Lifetime::Process))
        }
        "long-keys" => until_refused(|_| state::get(&large)),
        "state" => {
            let value = vec![1; 1 << 20];
            until_refused(|number| state::put(&number.to_string(), &value, None, Lifetime::Process))
        }
        "durable-state" => {
            let value = vec![1; 1 << 20];
            until_refused(|number| state::put(&number.to_string(), &value, None, Lifetime::Durable))
        }
        "keys" => {
            until_refused(|number| {
                // Many calls together reach the number of keys.
                let key = format!("{}/{number}", services::now());
                state::put(&key, b"", None, Lifetime::Process)
            })
        }
        "large-steps" => until_refused(|_| transfers::request_step(&large)),
        "steps" => {
            until_refused(|number| transfers::request_step(&format!("services.now/{number}")))
        }
        "large-topics" => {
            let event = RunEvent::Claimed(String::new());
            until_refused(|_| transfers::publish(&large, &event))
        }
        "topics" => {
            let event = RunEvent::Claimed(String::new());
            until_refused(|number| transfers::publish(&number.to_string(), &event))
        }
        "events" => {
            let failure = Failure {
                code: text(1 << 20),
                message: text(1 << 20),
                hint: text(1 << 20),
            };
            let event = RunEvent::Failed(failure);
            // Each of them twice, so that no topic has ended and is followed by nobody.
            until_refused(|number| transfers::publish(&format!("e{number}"), &event))
        }
        "open-events" => {
            let event = RunEvent::Claimed(text(1 << 20));
            until_refused(|number| transfers::publish(&format!("o{number}"), &event))
        }
        "log" => {
            let message = text(1_000);
            (0..2_000).for_each(|_| services::log(Level::Error, &message));
            "logged".to_owned()
        }
        _ => "there is nothing of this kind".to_owned(),
    }
}

fn until_refused<T>(mut leave: impl FnMut(u32) -> Result<T, Error>) -> String {
    for number in 0..TRIES {
        match leave(number) {
            Ok(_) => {}
            Err(Error::Limit(reason)) => return format!("limit after {number}: {reason}"),
            Err(error) => return format!("after {number}: {error}"),
        }
    }
    format!("{TRIES} were taken")
}

fn scope(pattern: &str) -> Scope {
    Scope {
        tables: vec![pattern.to_owned()],
    }
}
