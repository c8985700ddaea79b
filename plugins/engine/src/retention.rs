//! Removes sessions and runs some time after they ended.
//!
//! Each of them has one entry `removal/DUE/PHASE/KEY` in the state. When it is due, a live one is looked at again later, an
//! ended one is marked, and a marked one is removed.

use crate::bindings::services::Level;
use crate::bindings::state::Lifetime;
use crate::bindings::types::{Error, Failure};
use crate::documents::{self, RunDocument, SessionDocument, Stage, run_key, session_key};
use crate::host::Host;
use crate::serve::sessions;

/// How long a session or a run stays known after its end is noticed, in milliseconds: one hour.
pub const RETENTION: u64 = 60 * 60 * 1_000;

/// The prefix of all entries.
const ENTRIES: &str = "removal/";

/// The most entries that one call looks at, so that the call stays short.
const MAX_ENTRIES: u32 = 20;

/// The most keys of one run that are listed at once.
const PAGE: u32 = 1_000;

/// How far a session or run is on its way to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was not over when it was looked at last.
    Live,
    /// Its end was noticed.
    Ended,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }
}

/// Enters a new session. It is looked at for the first time at `expires_at`, in milliseconds since 1970 UTC.
pub fn enter_session(host: &dyn Host, code: &str, expires_at: u64) -> Result<(), Error> {
    enter(host, expires_at, Phase::Live, &session_key(code))
}

/// Takes back the entry of a session that is removed before it expires; a later entry runs out by itself.
pub fn leave_session(host: &dyn Host, code: &str, expires_at: u64) -> Result<(), Error> {
    host.delete(&entry(expires_at, Phase::Live, &session_key(code)))
        .map(|_| ())
}

/// Enters a new run.
pub fn enter_run(host: &dyn Host, run: &str) -> Result<(), Error> {
    let due = host.now().saturating_add(RETENTION);
    enter(host, due, Phase::Live, &run_key(run))
}

/// Looks at what is due. A failure is logged: the call that came along does not depend on it.
pub fn sweep(host: &dyn Host) {
    if let Err(failure) = remove_due(host) {
        let message = format!("ended sessions and runs stay: {}", failure.message);
        host.log(Level::Warn, &message);
    }
}

fn enter(host: &dyn Host, due: u64, phase: Phase, key: &str) -> Result<(), Error> {
    let entry = entry(due, phase, key);
    host.put(&entry, b"", None, Lifetime::Process).map(|_| ())
}

fn entry(due: u64, phase: Phase, key: &str) -> String {
    format!("{ENTRIES}{due:020}/{}/{key}", phase.name())
}

fn remove_due(host: &dyn Host) -> Result<(), Failure> {
    let now = host.now();
    for entry in host.list(ENTRIES, None, MAX_ENTRIES)? {
        let Some((due, phase, key)) = parse(&entry.key) else {
            host.delete(&entry.key)?;
            continue;
        };
        if due > now {
            break;
        }
        let later = now.saturating_add(RETENTION);
        match phase {
            Phase::Ended => remove(host, key)?,
            Phase::Live if is_over(host, key)? => enter(host, later, Phase::Ended, key)?,
            Phase::Live => enter(host, later, Phase::Live, key)?,
        }
        // Last, so that nothing is forgotten if this call ends in between.
        host.delete(&entry.key)?;
    }
    Ok(())
}

fn parse(entry: &str) -> Option<(u64, Phase, &str)> {
    let (due, rest) = entry.strip_prefix(ENTRIES)?.split_once('/')?;
    let (phase, key) = rest.split_once('/')?;
    let phases = [Phase::Live, Phase::Ended];
    let phase = phases.into_iter().find(|known| known.name() == phase)?;
    Some((due.parse().ok()?, phase, key))
}

fn is_over(host: &dyn Host, key: &str) -> Result<bool, Failure> {
    if key.starts_with(&session_key("")) {
        let session: Option<(SessionDocument, u64)> = documents::get(host, key)?;
        return match session {
            Some((session, _)) => sessions::is_over(host, &session),
            None => Ok(true),
        };
    }
    let run: Option<(RunDocument, u64)> = documents::get(host, key)?;
    Ok(run.is_none_or(|(run, _)| run.stage == Stage::Ended))
}

fn remove(host: &dyn Host, key: &str) -> Result<(), Failure> {
    if let Some(code) = key.strip_prefix(&session_key("")) {
        sessions::remove(host, code)?;
        return Ok(());
    }
    // A run's tables have keys below its own.
    loop {
        let page = host.list(key, None, PAGE)?;
        if page.is_empty() {
            return Ok(());
        }
        for entry in &page {
            host.delete(&entry.key)?;
        }
    }
}
