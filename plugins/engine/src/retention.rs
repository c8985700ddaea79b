//! When sessions and runs are removed: each has one entry `removal/DUE/PHASE/KEY` in the state.

use crate::bindings::state::Lifetime;
use crate::bindings::types::Error;
use crate::documents::{run_key, session_key};
use crate::host::Host;

/// How long a session or a run stays known after its end is noticed, in milliseconds: one hour.
pub const RETENTION: u64 = 60 * 60 * 1_000;

/// The prefix of all entries.
const ENTRIES: &str = "removal/";

/// The most entries that one call looks at, so that the call stays short.
const MAX_ENTRIES: u32 = 20;

/// An entry that is due.
pub struct DueEntry {
    /// How far it is.
    pub phase: Phase,
    /// The key of the session or run.
    pub key: String,
    entry: String,
}

/// How far a session or run is on its way to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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

fn enter(host: &dyn Host, due: u64, phase: Phase, key: &str) -> Result<(), Error> {
    let entry = entry(due, phase, key);
    host.put(&entry, b"", None, Lifetime::Process).map(|_| ())
}

fn entry(due: u64, phase: Phase, key: &str) -> String {
    format!("{ENTRIES}{due:020}/{}/{key}", phase.name())
}

/// Returns the entries that are due, the oldest first, at most [`MAX_ENTRIES`].
pub fn due(host: &dyn Host) -> Result<Vec<DueEntry>, Error> {
    let now = host.now();
    let mut due = Vec::new();
    for entry in host.list(ENTRIES, None, MAX_ENTRIES)? {
        match parse(&entry.key) {
            Some((at, _, _)) if at > now => break,
            Some((_, phase, key)) => due.push(DueEntry {
                phase,
                key: key.to_owned(),
                entry: entry.key,
            }),
            None => {
                host.delete(&entry.key)?;
            }
        }
    }
    Ok(due)
}

/// Enters what a due entry is about again, to be looked at after the retention.
pub fn enter_again(host: &dyn Host, due: &DueEntry, phase: Phase) -> Result<(), Error> {
    enter(host, host.now().saturating_add(RETENTION), phase, &due.key)
}

/// Removes a due entry.
pub fn leave(host: &dyn Host, due: &DueEntry) -> Result<(), Error> {
    host.delete(&due.entry).map(|_| ())
}

fn parse(entry: &str) -> Option<(u64, Phase, &str)> {
    let (due, rest) = entry.strip_prefix(ENTRIES)?.split_once('/')?;
    let (phase, key) = rest.split_once('/')?;
    let phases = [Phase::Live, Phase::Ended];
    let phase = phases.into_iter().find(|known| known.name() == phase)?;
    Some((due.parse().ok()?, phase, key))
}
