//! An example plugin: session codes of ten digits, for people who type them on a telephone.
//!
//! It fills the role `sessions` alone (world `session-rules`), so a host takes everything else from its standard rules:
//!
//! ```text
//! cargo build -p digit-codes --target wasm32-wasip2 --profile guest --target-dir target/guest
//! sha256sum target/guest/wasm32-wasip2/guest/digit_codes.wasm
//! tombolo share shop.db --plugin sessions=target/guest/wasm32-wasip2/guest/digit_codes.wasm@sha256:…
//! ```
//!
//! Three functions are all it takes. None of them can see a clock, a random source or a database: what they need
//! arrives as an argument, and so each of them is tested like any other function.

#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "session-rules" });

    // Only a component exports; a native build is for tests.
    #[cfg(target_family = "wasm")]
    use super::DigitCodes;
    #[cfg(target_family = "wasm")]
    export!(DigitCodes);
}

use bindings::exports::tombolo::sync::sessions::Guest;
use bindings::tombolo::sync::types::{Error, SessionFacts, Verdict};

/// Digits in a code: ten have more combinations than a guesser has tries in a session's ten minutes.
const LENGTH: usize = 10;

/// The component; it holds nothing, because every call begins with a fresh instance.
pub struct DigitCodes;

impl Guest for DigitCodes {
    /// Bytes from 250 on are thrown away: their remainder would make the digits 0 to 5 likelier.
    fn new_code(entropy: Vec<u8>) -> Result<String, Error> {
        let digits = entropy.iter().filter(|byte| **byte < 250).take(LENGTH);
        let code: String = digits.map(|byte| char::from(b'0' + byte % 10)).collect();
        if code.len() < LENGTH {
            return Err(Error::Limit(format!(
                "a code of {LENGTH} digits needs more than these {} random bytes; 64 are plenty",
                entropy.len()
            )));
        }
        Ok(code)
    }

    /// People write `123 456-7890`.
    fn normalize(code: String) -> Result<String, Error> {
        let ignored = |character: char| character.is_whitespace() || character == '-';
        Ok(code.replace(ignored, ""))
    }

    /// The standard rules: done, then the owner, then the claimer, then the clock.
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
