//! Sessions: created by an operator, claimed once by a peer, ended by a complete transfer or with their owner.

use crate::bindings::sharing::{Direction, Session, SessionState, ShareRequest};
use crate::bindings::transfers::RunEvent;
use crate::bindings::types::{Error, Failure, SessionFacts, TableReport, Verdict};
use crate::documents::{
    self, AdmissionDocument, MAX_RACES, SessionDocument, admission_key, session_key, source_key,
};
use crate::error::{ErrorCode, SAME_VERSION, failure, printable};
use crate::host::Host;
use crate::retention;
use crate::wire::{Claim, Claimed, MAX_CLAIMER, MAX_CODE, PROTOCOL, ROW_FORMAT, check_reports};

/// The shortest time for the first claim of a code, in seconds.
const SHORTEST_EXPIRY: u64 = 1;

/// The longest time for the first claim of a code, in days.
const LONGEST_EXPIRY: u64 = 7;

/// The length of a claimer's secret, in bytes.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 32..=128;

/// How many random bytes the rules get for one code: enough for any alphabet of more than a few characters.
const ENTROPY: u32 = 256;

/// How often a code that exists already is replaced by another one.
const MAX_CODES: u32 = 20;

/// Why a session cannot be created, found or claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The time for the first claim is out of range.
    #[error("the expiry must be between {SHORTEST_EXPIRY} s and {LONGEST_EXPIRY} days")]
    Expiry,
    /// The session would receive rows.
    #[error("this version has no sessions that receive rows")]
    Receive,
    /// All codes that the rules made are in use.
    #[error("the session rules made {MAX_CODES} codes, and all of them are in use")]
    NoFreeCode,
    /// No session has this code.
    #[error("no session at the other site has this code")]
    UnknownCode,
    /// Another claimer was first, or the session is complete.
    #[error("the code has been used")]
    AlreadyUsed,
    /// The claimer's database is the one that is shared.
    #[error(
        "the target is the database that is shared, by whatever name: a database cannot be pulled into itself"
    )]
    SameDatabase,
    /// Nobody claimed the code in time.
    #[error("the code has expired")]
    Expired,
    /// The session ended with its owner.
    #[error("the session has ended at the other site")]
    OwnerGone,
    /// The rules refused the claim.
    #[error("{}", printable(.0))]
    Refused(String),
    /// The peer is of another version.
    #[error("the other site uses protocol {PROTOCOL} and row format {ROW_FORMAT}")]
    OtherVersion,
    /// The claim breaks a limit.
    #[error(
        "the claimer's secret must have 32 to 128 bytes, and its name at most {MAX_CLAIMER} characters"
    )]
    InvalidClaim,
    /// Other claims changed the session all the time.
    #[error("too many claims of this code arrived at the same time")]
    Busy,
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let (code, hint) = match &error {
            SessionError::Expiry => (
                ErrorCode::BadRequest,
                "use a duration such as 90s, 10m or 2h",
            ),
            SessionError::Receive => (
                ErrorCode::Unavailable,
                "share at the other site, and pull from it",
            ),
            SessionError::NoFreeCode => (
                ErrorCode::Internal,
                "use session rules that make more different codes",
            ),
            SessionError::UnknownCode => (
                ErrorCode::NoSuchCode,
                "check the code and the address; a code ends with its `tombolo share`",
            ),
            SessionError::AlreadyUsed => (
                ErrorCode::AlreadyUsed,
                "a code works once: ask the other site for a new one",
            ),
            SessionError::SameDatabase => (
                ErrorCode::SameDatabase,
                "name another database, or another schema of it (?schema=NAME); the code can still be used",
            ),
            SessionError::Expired => (ErrorCode::Expired, "ask the other site for a new code"),
            SessionError::OwnerGone => (ErrorCode::OwnerGone, "ask the other site to share again"),
            SessionError::Refused(_) => (ErrorCode::Denied, "ask the other site for the reason"),
            SessionError::OtherVersion => (ErrorCode::IncompatiblePeer, SAME_VERSION),
            SessionError::InvalidClaim => (ErrorCode::BadRequest, SAME_VERSION),
            SessionError::Busy => (ErrorCode::Busy, "try again"),
        };
        failure(code, error.to_string(), hint)
    }
}

/// Creates a session with a new code.
///
/// Fails with `bad-request` if the expiry is out of range, `not-found` if there is no such database, `unavailable` if
/// the session would receive rows, and `internal` if the rules make no unused code.
pub fn create(host: &dyn Host, request: ShareRequest) -> Result<Session, Failure> {
    if request.direction == Direction::Receive {
        return Err(SessionError::Receive.into());
    }
    let allowed = SHORTEST_EXPIRY * 1_000..=LONGEST_EXPIRY * 24 * 60 * 60 * 1_000;
    if !allowed.contains(&request.expires_in) {
        return Err(SessionError::Expiry.into());
    }
    // An unknown label fails here, where the operator sees it, and not at the first claim.
    let identity = host.info(&request.database)?.identity;
    let source = documents::random_name(host, &source_key(&identity), 16)?;
    let now = host.now();
    let mut session = SessionDocument {
        code: String::new(),
        database: request.database,
        source,
        scope: request.scope,
        owner: request.owner,
        created_at: now,
        expires_at: now.saturating_add(request.expires_in),
        claimed_by: None,
        claimer: None,
        admission: None,
        released: false,
        done: false,
    };
    for _ in 0..MAX_CODES {
        session.code = host.new_code(&host.random(ENTROPY)?)?;
        let key = session_key(&session.code);
        if documents::put(host, &key, &session, Some(0))?.is_some() {
            retention::enter_session(host, &session.code, session.expires_at)?;
            return describe(host, session);
        }
    }
    Err(SessionError::NoFreeCode.into())
}

/// Returns a session by its code. Fails with `no-such-code` if there is none.
pub fn get(host: &dyn Host, code: &str) -> Result<Session, Failure> {
    let (session, _) = find(host, code)?.ok_or(SessionError::UnknownCode)?;
    describe(host, session)
}

/// Ends a session and the access of its peer. Returns false if there is no such session.
pub fn delete(host: &dyn Host, code: &str) -> Result<bool, Failure> {
    match find(host, code)? {
        Some((session, _)) => remove(host, &session.code),
        None => Ok(false),
    }
}

/// Removes the session with exactly this code, and ends the access of its peer. Returns false if there is none.
pub fn remove(host: &dyn Host, code: &str) -> Result<bool, Failure> {
    let Some((session, _)) = documents::get::<SessionDocument>(host, &session_key(code))? else {
        return Ok(false);
    };
    // The session first: a claim under way then fails to write it, and takes its admission back.
    let existed = host.delete(&session_key(code))?;
    retention::leave_session(host, code, session.expires_at)?;
    if let Some(admission) = &session.admission {
        revoke(host, admission)?;
    }
    Ok(existed)
}

/// Returns true if nobody can use the session with exactly this code any more.
pub fn is_over(host: &dyn Host, code: &str) -> Result<bool, Failure> {
    let Some((session, _)) = documents::get::<SessionDocument>(host, &session_key(code))? else {
        return Ok(true);
    };
    let unclaimed = session.claimed_by.is_none();
    Ok(session.done
        || unclaimed && host.now() >= session.expires_at
        || !host.owner_alive(&session.owner)?)
}

/// Returns all sessions, the newest last.
pub fn list(host: &dyn Host) -> Result<Vec<Session>, Failure> {
    let mut sessions: Vec<SessionDocument> = documents::list(host, &session_key(""))?;
    sessions.sort_by_key(|session| session.created_at);
    sessions
        .into_iter()
        .map(|session| describe(host, session))
        .collect()
}

/// Decides on a claim and admits its claimer.
///
/// Fails with `incompatible-peer` if the peer is of another version, `bad-request` if the claim breaks a limit, `busy`
/// if too many claims race, and with the code of the reason if the rules refuse the claim.
pub fn claim(host: &dyn Host, claim: &Claim) -> Result<Claimed, Failure> {
    if claim.protocol != PROTOCOL || claim.row_format != ROW_FORMAT {
        return Err(SessionError::OtherVersion.into());
    }
    if !SECRET_LENGTH.contains(&claim.claimer_secret.len())
        || claim.claimer.chars().count() > MAX_CLAIMER
    {
        return Err(SessionError::InvalidClaim.into());
    }
    let secret_digest = hex::encode(host.sha256(claim.claimer_secret.as_bytes()));
    for _ in 0..MAX_RACES {
        let (mut session, mut version) =
            find(host, &claim.code)?.ok_or(SessionError::UnknownCode)?;
        if !claim.target.is_empty()
            && claim.target
                == documents::digest_of_database(host, &session.database, &claim.claimer_secret)?
        {
            return Err(SessionError::SameDatabase.into());
        }
        match decide(host, &session, &secret_digest)? {
            Verdict::Admit => {
                let claimer = printable(&claim.claimer);
                session.claimed_by = Some(secret_digest.clone());
                session.claimer = Some(claimer.clone());
                session.released = false;
                // Of claimers that race, one writes over the version that it read; only that one is admitted.
                let key = session_key(&session.code);
                let Some(written) = documents::put(host, &key, &session, Some(version))? else {
                    continue;
                };
                version = written;
                host.publish(&session.code, &RunEvent::Claimed(claimer))?;
            }
            // Also the way back for a claimer that was first and was not admitted, because something failed in between.
            Verdict::Renew => {}
            Verdict::AlreadyUsed => return Err(SessionError::AlreadyUsed.into()),
            Verdict::Expired => return Err(SessionError::Expired.into()),
            Verdict::OwnerGone => return Err(SessionError::OwnerGone.into()),
            Verdict::Other(reason) => return Err(SessionError::Refused(reason).into()),
        }
        if let Some(claimed) = admit(host, session, version)? {
            return Ok(claimed);
        }
    }
    Err(SessionError::Busy.into())
}

/// Gives the claimer a new admission in place of its old one. Returns none if the session has another version by now.
fn admit(
    host: &dyn Host,
    mut session: SessionDocument,
    version: u64,
) -> Result<Option<Claimed>, Failure> {
    let admission = host.admit(&session.scope, &session.owner)?;
    let document = AdmissionDocument {
        code: session.code.clone(),
    };
    documents::put(host, &admission_key(&admission.id), &document, None)?;
    let replaced = session.admission.replace(admission.id.clone());
    session.released = false;
    let key = session_key(&session.code);
    if documents::put(host, &key, &session, Some(version))?.is_none() {
        revoke(host, &admission.id)?;
        return Ok(None);
    }
    if let Some(replaced) = replaced {
        revoke(host, &replaced)?;
    }
    Ok(Some(Claimed {
        token: admission.token,
        scope: session.scope,
        source: session.source,
        protocol: PROTOCOL,
        row_format: ROW_FORMAT,
    }))
}

/// Ends an admission and forgets it.
fn revoke(host: &dyn Host, admission: &str) -> Result<(), Error> {
    host.revoke(admission)?;
    host.delete(&admission_key(admission))?;
    Ok(())
}

/// Returns the session that an admission gives access to. Fails with `owner-gone` if it has ended.
pub fn of_admission(host: &dyn Host, admission: &str) -> Result<SessionDocument, Failure> {
    Ok(find_active(host, admission)?.0)
}

fn find_active(host: &dyn Host, admission: &str) -> Result<(SessionDocument, u64), Failure> {
    let document = documents::get::<AdmissionDocument>(host, &admission_key(admission))?;
    let (document, _) = document.ok_or(SessionError::OwnerGone)?;
    let session = documents::get::<SessionDocument>(host, &session_key(&document.code))?;
    let (session, version) = session.ok_or(SessionError::OwnerGone)?;
    let current = session.admission.as_deref() == Some(admission);
    if current && !session.done && host.owner_alive(&session.owner)? {
        return Ok((session, version));
    }
    Err(SessionError::OwnerGone.into())
}

/// Ends the session of an admission, because its transfer is complete.
///
/// Fails with `owner-gone` if the session has ended, and `bad-request` if the reports are impossible.
pub fn done(host: &dyn Host, admission: &str, reports: Vec<TableReport>) -> Result<(), Failure> {
    let reports = check_reports(reports)?;
    for _ in 0..MAX_RACES {
        let (mut session, version) = find_active(host, admission)?;
        session.done = true;
        let key = session_key(&session.code);
        if documents::put(host, &key, &session, Some(version))?.is_some() {
            host.revoke(admission)?;
            host.publish(&session.code, &RunEvent::Finished(reports))?;
            return Ok(());
        }
    }
    Err(SessionError::OwnerGone.into())
}

/// Gives a code back, because nothing was written: its claimer can claim again, and until the code expires another one as
/// well. The admission ends, so that two receivers never read side by side.
///
/// Fails with `owner-gone` if the session has ended, or if another admission has replaced this one.
pub fn release(host: &dyn Host, admission: &str) -> Result<(), Failure> {
    for _ in 0..MAX_RACES {
        let (mut session, version) = find_active(host, admission)?;
        session.released = true;
        session.admission = None;
        let key = session_key(&session.code);
        if documents::put(host, &key, &session, Some(version))?.is_some() {
            return Ok(revoke(host, admission)?);
        }
    }
    Err(SessionError::Busy.into())
}

/// Publishes that a peer has all rows of a table.
pub fn sent(host: &dyn Host, admission: &str, report: TableReport) -> Result<(), Error> {
    let document = documents::get::<AdmissionDocument>(host, &admission_key(admission));
    match document.map_err(internal)? {
        Some((document, _)) => host.publish(&document.code, &RunEvent::Sent(report)),
        None => Ok(()),
    }
}

/// Ends all sessions of an owner. They stay known, so that a late claim learns why it fails.
pub fn owner_gone(host: &dyn Host, owner: &str) -> Result<(), Error> {
    let sessions: Vec<SessionDocument> =
        documents::list(host, &session_key("")).map_err(internal)?;
    let active = |session: &&SessionDocument| session.owner == owner && !session.done;
    for session in sessions.iter().filter(active) {
        if let Some(admission) = &session.admission {
            host.revoke(admission)?;
        }
        let ended = RunEvent::Failed(SessionError::OwnerGone.into());
        host.publish(&session.code, &ended)?;
    }
    Ok(())
}

fn decide(
    host: &dyn Host,
    session: &SessionDocument,
    secret_digest: &str,
) -> Result<Verdict, Error> {
    let same_claimer = session.claimed_by.as_deref() == Some(secret_digest);
    host.decide(SessionFacts {
        now: host.now(),
        expires_at: session.expires_at,
        owner_alive: host.owner_alive(&session.owner)?,
        claimed: session.claimed_by.is_some() && (same_claimer || !session.released),
        same_claimer,
        done: session.done,
    })
}

/// Returns the session with a code, and its version; none if there is none.
fn find(host: &dyn Host, code: &str) -> Result<Option<(SessionDocument, u64)>, Failure> {
    if code.len() > MAX_CODE {
        return Ok(None);
    }
    // A text that the rules refuse is no session's code, which is not an error of the request.
    let code = match host.normalize(code) {
        Err(Error::Invalid(_) | Error::NotFound(_)) => return Ok(None),
        normalized => normalized?,
    };
    if code.len() > MAX_CODE {
        return Ok(None);
    }
    documents::get(host, &session_key(&code))
}

fn describe(host: &dyn Host, session: SessionDocument) -> Result<Session, Failure> {
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

fn internal(failure: Failure) -> Error {
    Error::Other(failure.message)
}
