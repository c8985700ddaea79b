//! Sessions: made by an operator, claimed once by a peer, ended with their owner or a complete transfer.

use crate::component::exports::tombolo::sync::sharing::{
    Direction, Session, SessionState, ShareRequest,
};
use crate::component::tombolo::sync::transfers::Notice;
use crate::component::tombolo::sync::types::{Error, Failure, SessionFacts, TableReport, Verdict};
use crate::component::tombolo::sync::{access, services, sessions, state, transfers};
use crate::documents::{self, SessionDocument, VERSION};
use crate::failure::{failure, printable};
use crate::protocol::{Claim, Claimed, PROTOCOL, ROW_FORMAT, hex};

/// Random bytes for one code: enough for any alphabet of more than a few characters.
const ENTROPY: u32 = 256;

/// How often a code that exists already is replaced by another.
const ATTEMPTS: u32 = 20;

/// How often a claim is looked at again after it lost a race.
const CLAIM_ATTEMPTS: u32 = 20;

/// The longest time for a first claim: a week.
const MAX_LIFETIME: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Makes a session with a code of its own.
pub fn create(request: ShareRequest) -> Result<Session, Failure> {
    if request.direction == Direction::Receive {
        return Err(failure(
            "unavailable",
            "sessions that receive rows are not there yet",
            "let the other site share, and pull from it",
        ));
    }
    if request.expires_in == 0 || request.expires_in > MAX_LIFETIME {
        return Err(failure(
            "bad-request",
            "a code can be claimed for at most a week, and for some time",
            "use a duration such as 10m or 2h",
        ));
    }
    let now = services::now();
    for _ in 0..ATTEMPTS {
        let code = sessions::new_code(&services::random(ENTROPY)?)?;
        let session = SessionDocument {
            version: VERSION,
            code: code.clone(),
            database: request.database.clone(),
            scope: request.scope.clone(),
            owner: request.owner.clone(),
            created_at: now,
            expires_at: now.saturating_add(request.expires_in),
            claimed_by: None,
            claimer: None,
            admission: None,
            done: false,
        };
        if documents::put(&key(&code), &session, Some(0))? {
            return present(session);
        }
    }
    Err(failure(
        "internal",
        "no unused code was found",
        "the session rules make too few different codes",
    ))
}

/// One session by its code.
pub fn get(code: &str) -> Result<Session, Failure> {
    present(find(code)?.0)
}

/// Ends a session and its peer's access.
pub fn delete(code: &str) -> Result<bool, Failure> {
    let code = sessions::normalize(code)?;
    let Some((session, _)) = documents::get::<SessionDocument>(&key(&code))? else {
        return Ok(false);
    };
    if let Some(admission) = &session.admission {
        access::revoke(admission)?;
        state::delete(&admission_key(admission))?;
    }
    Ok(state::delete(&key(&code))?)
}

/// All sessions, oldest first.
pub fn list() -> Result<Vec<Session>, Failure> {
    let mut sessions: Vec<SessionDocument> = documents::list("session/")?;
    sessions.sort_by_key(|session| session.created_at);
    sessions.into_iter().map(present).collect()
}

/// Decides on a claim and lets its winner in.
pub fn claim(claim: &Claim) -> Result<Claimed, Failure> {
    if claim.protocol != PROTOCOL || claim.row_format != ROW_FORMAT {
        return Err(failure(
            "incompatible-peer",
            format!("this site speaks protocol {PROTOCOL} with row format {ROW_FORMAT}"),
            "use the same version of tombolo on both sides",
        ));
    }
    if !(32..=128).contains(&claim.claimer_secret.len()) || claim.claimer.len() > 200 {
        return Err(failure(
            "bad-request",
            "a claimer secret has 32 to 128 bytes, a claimer's name at most 200",
            "",
        ));
    }
    let claimer = hex(&services::sha256(claim.claimer_secret.as_bytes()));
    for _ in 0..CLAIM_ATTEMPTS {
        let (mut session, version) = find(&claim.code)?;
        let first = match judge(&session, &claimer)? {
            Verdict::Admit => true,
            Verdict::Renew => false,
            verdict => return Err(refusal(verdict)),
        };
        let (admission, replaced) = admit(&mut session)?;
        session.claimed_by = Some(claimer.clone());
        session.claimer = Some(printable(&claim.claimer));
        // The version decides among racers: exactly one of them writes over the one it read.
        if !documents::put(&key(&session.code), &session, Some(version))? {
            access::revoke(&admission.id)?;
            state::delete(&admission_key(&admission.id))?;
            continue;
        }
        if let Some(replaced) = replaced {
            access::revoke(&replaced)?;
            state::delete(&admission_key(&replaced))?;
        }
        if first {
            let who = session.claimer.unwrap_or_default();
            transfers::publish(&session.code, &Notice::Claimed(who))?;
        }
        return Ok(Claimed {
            token: admission.token,
            scope: session.scope,
            protocol: PROTOCOL,
            row_format: ROW_FORMAT,
        });
    }
    Err(refusal(Verdict::AlreadyUsed))
}

/// The living session that an admission belongs to.
pub fn of_admission(admission: &str) -> Result<SessionDocument, Failure> {
    let code = documents::get::<String>(&admission_key(admission))?;
    let Some((code, _)) = code else {
        return Err(ended());
    };
    let session = documents::get::<SessionDocument>(&key(&code))?;
    match session {
        Some((session, _)) if !session.done && services::owner_alive(&session.owner)? => {
            Ok(session)
        }
        _ => Err(ended()),
    }
}

/// A complete transfer ends its session.
pub fn done(admission: &str, reports: Vec<TableReport>) -> Result<(), Failure> {
    let code = of_admission(admission)?.code;
    for _ in 0..CLAIM_ATTEMPTS {
        let (mut session, version) = find(&code)?;
        session.done = true;
        if documents::put(&key(&code), &session, Some(version))? {
            access::revoke(admission)?;
            transfers::publish(&code, &Notice::Finished(reports))?;
            return Ok(());
        }
    }
    Err(ended())
}

/// A peer took all rows of a table.
pub fn sent(admission: &str, report: TableReport) -> Result<(), Error> {
    let code = state::get(&admission_key(admission))?;
    let code = code.and_then(|entry| serde_json::from_slice::<String>(&entry.value).ok());
    match code {
        Some(code) => transfers::publish(&code, &Notice::Sent(report)),
        None => Ok(()),
    }
}

/// All sessions of an owner end with it. They stay known, so that a late claim is told why it fails.
pub fn owner_gone(owner: &str) -> Result<(), Error> {
    let sessions: Vec<SessionDocument> =
        documents::list("session/").map_err(|failure| Error::Other(failure.message))?;
    for session in sessions.iter().filter(|session| session.owner == owner) {
        if let Some(admission) = &session.admission {
            access::revoke(admission)?;
        }
        transfers::publish(&session.code, &Notice::Failed(ended()))?;
    }
    Ok(())
}

fn judge(session: &SessionDocument, claimer: &str) -> Result<Verdict, Failure> {
    let facts = SessionFacts {
        now: services::now(),
        expires_at: session.expires_at,
        owner_alive: services::owner_alive(&session.owner)?,
        claimed: session.claimed_by.is_some(),
        same_claimer: session.claimed_by.as_deref() == Some(claimer),
        done: session.done,
    };
    Ok(sessions::judge(facts)?)
}

/// A fresh admission for the session, and the one that it replaces.
fn admit(session: &mut SessionDocument) -> Result<(access::Admission, Option<String>), Failure> {
    let admission = access::admit(&session.scope, &session.owner)?;
    documents::put(&admission_key(&admission.id), &session.code, None)?;
    let replaced = session.admission.replace(admission.id.clone());
    Ok((admission, replaced))
}

fn find(code: &str) -> Result<(SessionDocument, u64), Failure> {
    let code = sessions::normalize(code)?;
    documents::get(&key(&code))?.ok_or_else(|| {
        failure(
            "no-such-code",
            "the code is not known here",
            "check it for typing errors, and the address; a code ends with `tombolo share`",
        )
    })
}

fn refusal(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Admit | Verdict::Renew => failure("internal", "a claim was not decided", ""),
        Verdict::AlreadyUsed => failure(
            "already-used",
            "the code has been used already",
            "each code works once: ask the other site for a new one",
        ),
        Verdict::Expired => failure(
            "expired",
            "the code has expired",
            "ask the other site for a new one",
        ),
        Verdict::OwnerGone => ended(),
        Verdict::Other(reason) => failure("denied", printable(&reason), "ask the other site"),
    }
}

fn ended() -> Failure {
    failure(
        "owner-gone",
        "the session has ended at the other site",
        "ask the other site to share again",
    )
}

fn present(session: SessionDocument) -> Result<Session, Failure> {
    let state = if session.done {
        SessionState::Done
    } else if !services::owner_alive(&session.owner)? {
        SessionState::Orphaned
    } else if session.claimed_by.is_some() {
        SessionState::Claimed
    } else if services::now() >= session.expires_at {
        SessionState::Expired
    } else {
        SessionState::Pending
    };
    Ok(Session {
        code: session.code,
        state,
        expires_at: session.expires_at,
        claimer: session.claimer,
    })
}

fn key(code: &str) -> String {
    format!("session/{code}")
}

fn admission_key(admission: &str) -> String {
    format!("admission/{admission}")
}
