//! Durations as people write them: `90s`, `10m`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// The bounds of `--snapshot-limit`, as the error names them.
const SNAPSHOT_LIMITS: (Duration, Duration) = (
    Duration::from_secs(1),
    Duration::from_secs(30 * 24 * 60 * 60),
);

/// Reads a duration longer than zero.
pub fn parse(text: &str) -> Result<Duration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.is_positive() => Ok(duration.unsigned_abs()),
        Ok(_) | Err(_) => Err(format!("invalid duration {text:?}: use 90s, 10m or 1h30m")),
    }
}

/// Reads the value of `--snapshot-limit`, from a second to 30 days.
pub fn parse_snapshot_limit(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    let (shortest, longest) = SNAPSHOT_LIMITS;
    if duration < shortest || duration > longest {
        return Err("the snapshot limit must be between 1 s and 30 days".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("10m", 600),
            ("90s", 90),
            ("1h30m", 5_400),
            ("1h 30m", 5_400),
            ("720h", 2_592_000),
        ] {
            let expected = Ok(Duration::from_secs(seconds));
            assert_eq!(parse(text), expected, "{text}");
            assert_eq!(parse_snapshot_limit(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_examples() {
        for text in [
            "",
            "10",
            "m",
            "5 parsecs",
            "0s",
            "-5m",
            "99999999999999999999h",
        ] {
            let message = parse(text).unwrap_err();
            let expected = format!("invalid duration {text:?}: use 90s, 10m or 1h30m");
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_snapshot_limit_has_bounds() {
        for text in ["5ms", "721h"] {
            assert!(parse(text).is_ok(), "{text}");
            let message = parse_snapshot_limit(text).unwrap_err();
            assert!(message.contains("1 s and 30 days"), "{message}");
        }
    }
}
