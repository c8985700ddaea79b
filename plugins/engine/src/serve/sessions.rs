//! Sessions: made by an operator, claimed once by a peer, ended with their owner or a complete transfer.

use crate::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use crate::bindings::transfers::RunEvent;
use crate::bindings::types::{Error, Failure, SessionFacts, TableReport, Verdict};
use crate::documents::{self, SessionDocument, VERSION};
use crate::error::{ErrorCode, VERSIONS, failure, printable};
use crate::host::Host;
use crate::wire::{Claim, Claimed, MAX_CLAIMER, PROTOCOL, ROW_FORMAT, check_reports, hex};

/// Random bytes for one code: enough for any alphabet of more than a few characters.
const ENTROPY: u32 = 256;

/// How often a code that exists already is replaced by another.
const ATTEMPTS: u32 = 20;

/// How often a session is looked at again after somebody else changed it.
const RACES: u32 = 20;

/// The longest text that is looked up as a code, in bytes.
const MAX_CODE: usize = 128;

/// The longest time for a first claim: a week.
const MAX_LIFETIME: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Makes a session with a code of its own.
pub fn create(host: &dyn Host, request: ShareRequest) -> Result<Session, Failure> {
    if request.direction == Direction::Receive {
        return Err(failure(
            ErrorCode::Unavailable,
            "sessions that receive rows are not there yet",
            "let the other site share, and pull from it",
        ));
    }
    if request.expires_in == 0 || request.expires_in > MAX_LIFETIME {
        return Err(failure(
            ErrorCode::BadRequest,
            "a code can be claimed for at most a week, and for some time",
            "use a duration such as 10m or 2h",
        ));
    }
    // A misspelt label is told to who shares, not to who claims.
    let identity = host.info(&request.database)?.identity;
    let source = documents::once(host, &format!("source/{identity}"), 16)?;
    let now = host.now();
    for _ in 0..ATTEMPTS {
        let code = host.new_code(&host.random(ENTROPY)?)?;
        let session = SessionDocument {
            version: VERSION,
            code: code.clone(),
            database: request.database.clone(),
            source: source.clone(),
            scope: request.scope.clone(),
            owner: request.owner.clone(),
            created_at: now,
            expires_at: now.saturating_add(request.expires_in),
            claimed_by: None,
            claimer: None,
            admission: None,
            done: false,
        };
        if documents::put(host, &key(&code), &session, Some(0))?.is_some() {
            return present(host, session);
        }
    }
    Err(failure(
        ErrorCode::Internal,
        "no unused code was found",
        "the session rules make too few different codes",
    ))
}

/// One session by its code.
pub fn get(host: &dyn Host, code: &str) -> Result<Session, Failure> {
    present(host, find(host, code)?.0)
}

/// Ends a session and its peer's access.
pub fn delete(host: &dyn Host, code: &str) -> Result<bool, Failure> {
    let session = match find(host, code) {
        Ok((session, _)) => session,
        Err(failure) if failure.code == "no-such-code" => return Ok(false),
        Err(failure) => return Err(failure),
    };
    // The session first: a claim that is on its way finds nothing to write over, and takes its admission back.
    let existed = host.delete(&key(&session.code))?;
    if let Some(admission) = &session.admission {
        forget(host, admission)?;
    }
    Ok(existed)
}

/// All sessions, oldest first.
pub fn list(host: &dyn Host) -> Result<Vec<Session>, Failure> {
    let mut sessions: Vec<SessionDocument> = documents::list(host, "session/")?;
    sessions.sort_by_key(|session| session.created_at);
    sessions
        .into_iter()
        .map(|session| present(host, session))
        .collect()
}

/// Decides on a claim and lets its winner in.
pub fn claim(host: &dyn Host, claim: &Claim) -> Result<Claimed, Failure> {
    if claim.protocol != PROTOCOL || claim.row_format != ROW_FORMAT {
        return Err(failure(
            ErrorCode::IncompatiblePeer,
            format!("this site speaks protocol {PROTOCOL} with row format {ROW_FORMAT}"),
            VERSIONS,
        ));
    }
    if !(32..=128).contains(&claim.claimer_secret.len())
        || claim.claimer.chars().count() > MAX_CLAIMER
    {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "a claimer secret has 32 to 128 bytes, a claimer's name at most {MAX_CLAIMER} characters"
            ),
            VERSIONS,
        ));
    }
    let claimer = hex(&host.sha256(claim.claimer_secret.as_bytes()));
    for _ in 0..RACES {
        let (mut session, mut version) = find(host, &claim.code)?;
        match decide(host, &session, &claimer)? {
            Verdict::Admit => {
                let who = printable(&claim.claimer);
                session.claimed_by = Some(claimer.clone());
                session.claimer = Some(who.clone());
                // The version decides among racers, before anybody is let in: one of them writes over what it read.
                let won = documents::put(host, &key(&session.code), &session, Some(version))?;
                let Some(own) = won else { continue };
                version = own;
                host.publish(&session.code, &RunEvent::Claimed(who))?;
            }
            // A claimer that won and was never let in, because something broke in between, comes here too.
            Verdict::Renew => {}
            verdict => return Err(refusal(verdict)),
        }
        if let Some(claimed) = let_in(host, session, version)? {
            return Ok(claimed);
        }
    }
    Err(failure(
        ErrorCode::Busy,
        "too many claims of this code came at the same time",
        "try again",
    ))
}

/// Gives the winner a fresh admission, which replaces the one it had. None: the session was changed meanwhile.
fn let_in(
    host: &dyn Host,
    mut session: SessionDocument,
    version: u64,
) -> Result<Option<Claimed>, Failure> {
    let admission = host.admit(&session.scope, &session.owner)?;
    documents::put(host, &admission_key(&admission.id), &session.code, None)?;
    let replaced = session.admission.replace(admission.id.clone());
    if documents::put(host, &key(&session.code), &session, Some(version))?.is_none() {
        forget(host, &admission.id)?;
        return Ok(None);
    }
    if let Some(replaced) = replaced {
        forget(host, &replaced)?;
    }
    Ok(Some(Claimed {
        token: admission.token,
        scope: session.scope,
        source: session.source,
        protocol: PROTOCOL,
        row_format: ROW_FORMAT,
    }))
}

/// Ends an admission.
fn forget(host: &dyn Host, admission: &str) -> Result<(), Error> {
    host.revoke(admission)?;
    host.delete(&admission_key(admission))?;
    Ok(())
}

/// The living session that an admission belongs to.
pub fn of_admission(host: &dyn Host, admission: &str) -> Result<SessionDocument, Failure> {
    Ok(living(host, admission)?.0)
}

fn living(host: &dyn Host, admission: &str) -> Result<(SessionDocument, u64), Failure> {
    let code = documents::get::<String>(host, &admission_key(admission))?;
    let (code, _) = code.ok_or_else(ended)?;
    let session = documents::get::<SessionDocument>(host, &key(&code))?;
    let (session, version) = session.ok_or_else(ended)?;
    let current = session.admission.as_deref() == Some(admission);
    if current && !session.done && host.owner_alive(&session.owner)? {
        return Ok((session, version));
    }
    Err(ended())
}

/// A complete transfer ends its session.
pub fn done(host: &dyn Host, admission: &str, reports: Vec<TableReport>) -> Result<(), Failure> {
    let reports = check_reports(reports)?;
    for _ in 0..RACES {
        let (mut session, version) = living(host, admission)?;
        session.done = true;
        if documents::put(host, &key(&session.code), &session, Some(version))?.is_some() {
            host.revoke(admission)?;
            host.publish(&session.code, &RunEvent::Finished(reports))?;
            return Ok(());
        }
    }
    Err(ended())
}

/// A peer took all rows of a table.
pub fn sent(host: &dyn Host, admission: &str, report: TableReport) -> Result<(), Error> {
    let code = documents::get::<String>(host, &admission_key(admission));
    match code.map_err(|failure| Error::Other(failure.message))? {
        Some((code, _)) => host.publish(&code, &RunEvent::Sent(report)),
        None => Ok(()),
    }
}

/// All sessions of an owner end with it. They stay known, so that a late claim is told why it fails.
pub fn owner_gone(host: &dyn Host, owner: &str) -> Result<(), Error> {
    let sessions: Vec<SessionDocument> =
        documents::list(host, "session/").map_err(|failure| Error::Other(failure.message))?;
    let orphaned = |session: &&SessionDocument| session.owner == owner && !session.done;
    for session in sessions.iter().filter(orphaned) {
        if let Some(admission) = &session.admission {
            host.revoke(admission)?;
        }
        host.publish(&session.code, &RunEvent::Failed(ended()))?;
    }
    Ok(())
}

fn decide(host: &dyn Host, session: &SessionDocument, claimer: &str) -> Result<Verdict, Failure> {
    let facts = SessionFacts {
        now: host.now(),
        expires_at: session.expires_at,
        owner_alive: host.owner_alive(&session.owner)?,
        claimed: session.claimed_by.is_some(),
        same_claimer: session.claimed_by.as_deref() == Some(claimer),
        done: session.done,
    };
    Ok(host.decide(facts)?)
}

fn find(host: &dyn Host, code: &str) -> Result<(SessionDocument, u64), Failure> {
    let unknown = || {
        failure(
            ErrorCode::NoSuchCode,
            "the code is not known here",
            "check it for typing errors, and the address; a code ends with `tombolo share`",
        )
    };
    if code.len() > MAX_CODE {
        return Err(unknown());
    }
    // Rules may also say that something cannot be a code; that makes it unknown, not a mistake in the request.
    let code = match host.normalize(code) {
        Err(Error::Invalid(_) | Error::NotFound(_)) => return Err(unknown()),
        normal => normal?,
    };
    if code.len() > MAX_CODE {
        return Err(unknown());
    }
    documents::get(host, &key(&code))?.ok_or_else(unknown)
}

fn refusal(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Admit | Verdict::Renew => {
            failure(ErrorCode::Internal, "a claim was not decided", VERSIONS)
        }
        Verdict::AlreadyUsed => failure(
            ErrorCode::AlreadyUsed,
            "the code has been used already",
            "each code works once: ask the other site for a new one",
        ),
        Verdict::Expired => failure(
            ErrorCode::Expired,
            "the code has expired",
            "ask the other site for a new one",
        ),
        Verdict::OwnerGone => ended(),
        Verdict::Other(reason) => {
            failure(ErrorCode::Denied, printable(&reason), "ask the other site")
        }
    }
}

fn ended() -> Failure {
    failure(
        ErrorCode::OwnerGone,
        "the session has ended at the other site",
        "ask the other site to share again",
    )
}

fn present(host: &dyn Host, session: SessionDocument) -> Result<Session, Failure> {
    let state = if session.done {
        SessionState::Done
    } else if !host.owner_alive(&session.owner)? {
        SessionState::Orphaned
    } else if session.claimed_by.is_some() {
        SessionState::Claimed
    } else if host.now() >= session.expires_at {
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
