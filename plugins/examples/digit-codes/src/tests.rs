#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn codes_are_ten_digits_and_every_digit_is_as_likely() {
    let entropy: Vec<u8> = (0..=255).rev().collect();
    assert_eq!(
        DigitCodes::new_code(entropy).unwrap(),
        "9876543210",
        "bytes from 250 on do not count"
    );
    assert!(matches!(
        DigitCodes::new_code(vec![255; 64]),
        Err(Error::Limit(_))
    ));
}

#[test]
fn typed_codes_are_recognised() {
    assert_eq!(
        DigitCodes::normalize(" 123 456-7890\n".to_owned()).unwrap(),
        "1234567890"
    );
}

#[test]
fn a_claim_is_judged_by_the_first_reason() {
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
