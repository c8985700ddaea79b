//! Removes sessions and runs some time after they ended.

use crate::bindings::services::Level;
use crate::bindings::types::Failure;
use crate::documents::session_key;
use crate::host::Host;
use crate::pull::run;
use crate::retention::{self, Phase};
use crate::serve::sessions;

/// Looks at what is due: a live session or run is looked at again later, an ended one is marked, a marked one is removed.
///
/// A failure is logged: the call that came along does not depend on it.
pub fn sweep(host: &dyn Host) {
    if let Err(failure) = remove_due(host) {
        let message = format!("ended sessions and runs stay: {}", failure.message);
        host.log(Level::Warn, &message);
    }
}

fn remove_due(host: &dyn Host) -> Result<(), Failure> {
    for due in retention::due(host)? {
        match due.phase {
            Phase::Ended => remove(host, &due.key)?,
            Phase::Live if is_over(host, &due.key)? => {
                retention::enter_again(host, &due, Phase::Ended)?;
            }
            Phase::Live => retention::enter_again(host, &due, Phase::Live)?,
        }
        // Last, so that nothing is forgotten if this call ends in between.
        retention::leave(host, &due)?;
    }
    Ok(())
}

fn is_over(host: &dyn Host, key: &str) -> Result<bool, Failure> {
    match key.strip_prefix(&session_key("")) {
        Some(code) => sessions::is_over(host, code),
        None => run::is_over(host, key),
    }
}

fn remove(host: &dyn Host, key: &str) -> Result<(), Failure> {
    match key.strip_prefix(&session_key("")) {
        Some(code) => sessions::remove(host, code).map(|_| ()),
        None => run::remove(host, key),
    }
}
