//! An example plugin: session codes of ten digits, which are easy to type on a telephone.
//!
//! It fills only the role `sessions` (world `session-rules`); the standard rules keep the other roles:
//!
//! ```text
//! cargo build -p digit-codes --target wasm32-wasip2 --profile guest --target-dir target/guest
//! sha256sum target/guest/wasm32-wasip2/guest/digit_codes.wasm
//! tombolo share shop.db --plugin sessions=target/guest/wasm32-wasip2/guest/digit_codes.wasm@sha256:…
//! ```
//!
//! It has three functions. None of them has a clock, random numbers or a database: everything arrives as an argument, so
//! that each function is tested like any other.

#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    //! World `session-rules` of `wit/worlds.wit` as Rust; generated.

    wit_bindgen::generate!({ path: "../../../wit", world: "session-rules" });

    // A native build is for tests: it has no host to export to, and would not link.
    #[cfg(target_family = "wasm")]
    use super::DigitCodes;
    #[cfg(target_family = "wasm")]
    export!(DigitCodes);
}

use bindings::exports::tombolo::sync::sessions::Guest;
use bindings::tombolo::sync::types::{Error, SessionFacts, Verdict};

/// The number of digits of a code: ten have more combinations than can be tried in the ten minutes of a session.
const LENGTH: usize = 10;

/// The component; it holds nothing, because each call gets a fresh instance.
pub struct DigitCodes;

impl Guest for DigitCodes {
    /// Ignores bytes from 250 on: their remainder would make the digits 0 to 5 likelier.
    fn new_code(entropy: Vec<u8>) -> Result<String, Error> {
        let digits = entropy.iter().filter(|byte| **byte < 250).take(LENGTH);
        let code: String = digits.map(|byte| char::from(b'0' + byte % 10)).collect();
        if code.len() < LENGTH {
            return Err(Error::Limit(format!(
                "a code of {LENGTH} digits needs more than {} random bytes; use at least 64 bytes",
                entropy.len()
            )));
        }
        Ok(code)
    }

    /// Removes what people add for legibility: `123 456-7890`.
    fn normalize(code: String) -> Result<String, Error> {
        let ignored = |character: char| character.is_whitespace() || character == '-';
        Ok(code.replace(ignored, ""))
    }

    /// Decides as the standard rules do: completeness, then the owner, then the claimer, then the expiry.
    fn decide(facts: SessionFacts) -> Result<Verdict, Error> {
        Ok(match facts {
            SessionFacts { done: true, .. } => Verdict::AlreadyUsed,
            SessionFacts {
                owner_alive: false, ..
            } => Verdict::OwnerGone,
            SessionFacts {
                claimed: true,
                same_claimer: true,
                ..
            } => Verdict::Renew,
            SessionFacts { claimed: true, .. } => Verdict::AlreadyUsed,
            SessionFacts {
                now, expires_at, ..
            } if now >= expires_at => Verdict::Expired,
            _ => Verdict::Admit,
        })
    }
}

#[cfg(test)]
mod tests;
