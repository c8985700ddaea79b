//! The standard session rules: the form of one-time codes, and who may use one.

use crate::bindings::types::{Error, SessionFacts, Verdict};

/// The characters of a code, without `0`, `O`, `1`, `I` and `L`, which people confuse.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// The number of characters of a code; 31^8 codes are about 2^39.6.
pub const LENGTH: usize = 8;

/// Returns a code made from random bytes. One byte in 32 is unusable.
///
/// # Errors
///
/// Fails with `limit` if the bytes run out before the code is complete.
pub fn new_code(entropy: &[u8]) -> Result<String, Error> {
    let code: String = entropy
        .iter()
        .filter_map(|&byte| character(byte))
        .take(LENGTH)
        .collect();
    if code.len() < LENGTH {
        return Err(Error::Limit(format!(
            "a session code needs {LENGTH} usable random bytes, and {} bytes gave {}; use at least 64 bytes",
            entropy.len(),
            code.len(),
        )));
    }
    Ok(code)
}

/// Returns the character for a random byte; none for a byte above the largest multiple of the alphabet's size, whose
/// remainder would make the first characters likelier than the others.
fn character(byte: u8) -> Option<char> {
    let index = usize::from(byte);
    let usable = 256 - 256 % ALPHABET.len();
    if index >= usable {
        return None;
    }
    ALPHABET
        .get(index % ALPHABET.len())
        .copied()
        .map(char::from)
}

/// Returns the form in which a typed code is looked up: without white space and hyphens, in upper case.
#[must_use]
pub fn normalize(code: &str) -> String {
    code.chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .map(|character| character.to_ascii_uppercase())
        .collect()
}

/// Decides on one claim. The first rule that applies decides:
///
/// 1. A complete session admits nobody, not even its claimer: its rows are delivered, and a code works once.
/// 2. A session ends with its owner. This comes before the claims, so that no token is renewed for a database that is no
///    longer shared, and before the expiry, so that the claimer learns the real reason.
/// 3. A claimed session belongs to its claimer, who can claim again: the answer to the first claim may have been lost.
///    This comes before the expiry, which is for first claims only.
/// 4. Any other claim is a first claim, which must arrive before the expiry.
#[must_use]
pub fn decide(facts: &SessionFacts) -> Verdict {
    if facts.done {
        Verdict::AlreadyUsed
    } else if !facts.owner_alive {
        Verdict::OwnerGone
    } else if facts.claimed {
        if facts.same_claimer {
            Verdict::Renew
        } else {
            Verdict::AlreadyUsed
        }
    } else if facts.now >= facts.expires_at {
        Verdict::Expired
    } else {
        Verdict::Admit
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_character_has_the_same_number_of_bytes() {
        let mut bytes_of = std::collections::BTreeMap::new();
        for byte in 0..=u8::MAX {
            if let Some(character) = character(byte) {
                *bytes_of.entry(character).or_insert(0) += 1;
            }
        }
        assert_eq!(bytes_of.len(), ALPHABET.len());
        assert!(bytes_of.values().all(|&count| count == 8), "{bytes_of:?}");
    }

    #[test]
    fn too_few_random_bytes_are_a_limit() {
        let mut entropy = vec![255; 1_000];
        entropy.extend([0; LENGTH - 1]);
        let error = new_code(&entropy).unwrap_err();
        assert!(
            matches!(&error, Error::Limit(text) if text.contains("1007 bytes gave 7")),
            "{error:?}"
        );
        entropy.push(0);
        assert_eq!(new_code(&entropy).unwrap(), "22222222");
    }

    #[test]
    fn a_code_is_found_in_every_spelling() {
        for typed in [
            "A7X9K2M4",
            " a7x9-k2m4\n",
            "A7X9 K2M4",
            "a 7-x\t9\u{a0}k2--m4",
        ] {
            assert_eq!(normalize(typed), "A7X9K2M4", "{typed:?}");
        }
        assert_eq!(normalize("ß-é"), "ßé", "only ASCII letters change");
    }

    /// All 32 combinations of the five facts, in the order of the rules.
    #[test]
    fn the_first_rule_that_applies_decides() {
        for bits in 0_u32..32 {
            let bit = |position: u32| bits & (1 << position) != 0;
            let (done, owner_alive, claimed, same_claimer, late) =
                (bit(0), bit(1), bit(2), bit(3), bit(4));
            let verdict = decide(&SessionFacts {
                now: if late { 1_000 } else { 999 },
                expires_at: 1_000,
                owner_alive,
                claimed,
                same_claimer,
                done,
            });
            let expected = match (done, owner_alive, claimed, same_claimer, late) {
                (true, ..) => Verdict::AlreadyUsed,
                (_, false, ..) => Verdict::OwnerGone,
                (_, _, true, true, _) => Verdict::Renew,
                (_, _, true, false, _) => Verdict::AlreadyUsed,
                (_, _, false, _, true) => Verdict::Expired,
                (_, _, false, _, false) => Verdict::Admit,
            };
            assert_eq!(verdict, expected, "case {bits:05b}");
        }
    }

    proptest! {
        #[test]
        fn codes_have_their_form_and_are_normalized(entropy in prop::collection::vec(any::<u8>(), 64..128)) {
            let code = new_code(&entropy).unwrap();
            prop_assert_eq!(code.len(), LENGTH);
            prop_assert!(code.bytes().all(|byte| ALPHABET.contains(&byte)));
            prop_assert_eq!(normalize(&code), code);
        }

        #[test]
        fn any_bytes_give_a_code_or_a_limit(entropy in prop::collection::vec(any::<u8>(), 0..32)) {
            match new_code(&entropy) {
                Ok(code) => prop_assert_eq!(code.len(), LENGTH),
                Err(error) => prop_assert!(matches!(error, Error::Limit(_))),
            }
        }

        #[test]
        fn normalizing_twice_changes_nothing(typed in ".{0,40}") {
            let once = normalize(&typed);
            prop_assert_eq!(normalize(&once), once);
        }
    }
}
