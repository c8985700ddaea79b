//! How long the texts may be that a component hands over; checked before anything is done with them.

use crate::bindings::Refusal;
use crate::bindings::types::Error;

/// The longest id of a run, a session, an admission, an owner or a credential, in bytes.
pub const MAX_ID: usize = 128;

/// The longest label of a database, in bytes.
pub const MAX_LABEL: usize = 256;

/// The longest name of a table, a column or a type, in bytes.
pub const MAX_NAME: usize = 1_024;

/// The longest base address of a peer, in bytes.
pub const MAX_ADDRESS: usize = 2_048;

/// The longest path of a request with its query, in bytes.
pub const MAX_PATH: usize = 16 << 10;

/// The longest bearer token of another site, in bytes.
pub const MAX_SECRET: usize = 4_096;

/// The longest text that may be a code, and the most random bytes for one, in bytes.
pub const MAX_CODE_INPUT: usize = 1_024;

/// Fails with `limit` if a text is too long.
pub fn check(what: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    check_length(what, text.len(), limit, "bytes")
}

/// Fails with `limit` if there is more of something than allowed.
pub fn check_length(what: &str, length: usize, limit: usize, unit: &str) -> Result<(), Refusal> {
    if length > limit {
        let reason = format!("{what} has {length} {unit}, and {limit} are allowed");
        return Err(Error::Limit(reason).into());
    }
    Ok(())
}
