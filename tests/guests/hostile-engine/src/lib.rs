//! A component of world `engine` that misbehaves on purpose, for tests of the sandbox.
//!
//! | request of a peer | what it does |
//! | --- | --- |
//! | `GET ping` | answers at once |
//! | `POST attack/NAME` | calls the import NAME in a loop with the largest arguments; does not return |
//! | `POST leave/WHAT` | leaves as much as it can in the host; answers how much, and why no more |
//! | `POST step` | requests a step for the run `rights` |
//! | `GET rights` | answers what the last step for the run `rights` was allowed |
//!
//! A session for tables `NAME` of this list requests a step for each of them, with the rights of the operator: `rights`
//! as above, others as `attack/NAME`.

mod attacks;
#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        inline: r#"
            package test:hostile;
            world hostile-engine {
                include tombolo:sync/engine@0.1.0;
                import wasi:io/poll@0.2.6;
                import wasi:io/streams@0.2.6;
                import wasi:cli/environment@0.2.6;
                import wasi:cli/stdin@0.2.6;
                import wasi:cli/stdout@0.2.6;
                import wasi:cli/stderr@0.2.6;
                import wasi:cli/terminal-stdin@0.2.6;
                import wasi:cli/terminal-stdout@0.2.6;
                import wasi:cli/terminal-stderr@0.2.6;
            }
        "#,
        path: ["wasi/io", "wasi/cli", "../../../wit"],
        world: "test:hostile/hostile-engine",
        generate_all,
    });

    #[cfg(target_family = "wasm")]
    use super::HostileEngine;
    #[cfg(target_family = "wasm")]
    export!(HostileEngine);
}
mod leavings;
mod wasi_attacks;

use bindings::exports::tombolo::sync::client::PullRequest;
use bindings::exports::tombolo::sync::events::Event;
use bindings::exports::tombolo::sync::peers::{Body, PeerRequest, PeerResponse};
use bindings::exports::tombolo::sync::sharing::{Session, SessionState, ShareRequest};
use bindings::exports::tombolo::sync::{client, events, peers, sharing};
use bindings::tombolo::sync::state::Lifetime;
use bindings::tombolo::sync::types::{Error, Failure};
use bindings::tombolo::sync::{database, services, state, transfers};

/// The run whose steps say what they are allowed.
const RIGHTS: &str = "rights";

/// The component.
pub struct HostileEngine;

impl peers::Guest for HostileEngine {
    fn handle(request: PeerRequest) -> PeerResponse {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let answer = match path.as_slice() {
            ["ping"] => "pong".to_owned(),
            ["attack", name] => attack(name),
            ["leave", what] => leavings::leave(what),
            ["step"] => format!("{:?}", transfers::request_step(RIGHTS)),
            ["rights"] => match state::get(RIGHTS) {
                Ok(Some(entry)) => String::from_utf8_lossy(&entry.value).into_owned(),
                other => format!("{other:?}"),
            },
            _ => "unknown".to_owned(),
        };
        PeerResponse {
            status: 200,
            body: Body::Json(format!("{answer:?}").into_bytes()),
        }
    }
}

impl events::Guest for HostileEngine {
    fn on_event(event: Event) -> Result<(), Error> {
        match event {
            Event::Step(run) if run == RIGHTS => {
                let tables = match database::tables("main") {
                    Ok(_) => "allowed".to_owned(),
                    Err(error) => error.to_string(),
                };
                state::put(RIGHTS, tables.as_bytes(), None, Lifetime::Process).map(|_| ())
            }
            Event::Step(name) => {
                // A number behind a slash makes another run of the same attack.
                attack(name.split('/').next().unwrap_or_default());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl sharing::Guest for HostileEngine {
    fn create(request: ShareRequest) -> Result<Session, Failure> {
        for table in request.scope.tables.iter().filter(|table| *table != "*") {
            // A refusal is what the test looks for elsewhere.
            let _ = transfers::request_step(table);
        }
        Ok(session())
    }

    fn get(_code: String) -> Result<Session, Failure> {
        Ok(session())
    }

    fn delete(_code: String) -> Result<bool, Failure> {
        Ok(true)
    }

    fn list() -> Result<Vec<Session>, Failure> {
        Ok(vec![session()])
    }
}

impl client::Guest for HostileEngine {
    fn plan(_request: PullRequest) -> Result<String, Failure> {
        Ok("x".repeat(1 << 20))
    }

    fn start(_run: String) -> Result<(), Failure> {
        Ok(())
    }

    fn compare(_run: String) -> Result<(), Failure> {
        Ok(())
    }

    fn cancel(_run: String) -> Result<(), Failure> {
        Ok(())
    }
}

/// Attacks without end; returns only if there is no such attack.
fn attack(name: &str) -> String {
    attacks::attack(name);
    wasi_attacks::attack(name);
    format!("there is no attack {name}")
}

fn session() -> Session {
    Session {
        code: "HOSTILE".to_owned(),
        state: SessionState::Pending,
        expires_at: services::now() + 600_000,
        claimer: None,
    }
}
