//! Codes and claims.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn codes_have_ten_equally_likely_digits() {
    let entropy: Vec<u8> = (0..=255).rev().collect();
    assert_eq!(
        DigitCodes::new_code(entropy).unwrap(),
        "9876543210",
        "bytes from 250 on are ignored"
    );
    assert!(matches!(
        DigitCodes::new_code(vec![255; 64]),
        Err(Error::Limit(_))
    ));
}

#[test]
fn a_code_is_found_in_every_spelling() {
    assert_eq!(
        DigitCodes::normalize(" 123 456-7890\n".to_owned()).unwrap(),
        "1234567890"
    );
}

#[test]
fn the_first_rule_that_applies_decides() {
    let fresh = SessionFacts {
        now: 1,
        expires_at: 2,
        owner_alive: true,
        claimed: false,
        same_claimer: false,
        done: false,
    };
    let claimed = SessionFacts {
        claimed: true,
        now: 3,
        ..fresh
    };
    for (facts, verdict) in [
        (fresh, "Verdict::Admit"),
        (SessionFacts { now: 2, ..fresh }, "Verdict::Expired"),
        (claimed, "Verdict::AlreadyUsed"),
        (
            SessionFacts {
                same_claimer: true,
                ..claimed
            },
            "Verdict::Renew",
        ),
        (
            SessionFacts {
                owner_alive: false,
                ..claimed
            },
            "Verdict::OwnerGone",
        ),
        (
            SessionFacts {
                owner_alive: false,
                done: true,
                ..fresh
            },
            "Verdict::AlreadyUsed",
        ),
    ] {
        assert_eq!(
            format!("{:?}", DigitCodes::decide(facts).unwrap()),
            verdict,
            "{facts:?}"
        );
    }
}
