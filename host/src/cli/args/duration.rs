//! Durations as people write them: `90s`, `10m`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// The shortest `--snapshot-limit`, in seconds.
const SHORTEST_SNAPSHOT: u64 = 1;

/// The longest `--snapshot-limit`, in days.
const LONGEST_SNAPSHOT: u64 = 30;

/// Returns the bounds of `--snapshot-limit` for people.
pub fn snapshot_limits() -> String {
    format!("between {SHORTEST_SNAPSHOT} s and {LONGEST_SNAPSHOT} days")
}

/// Reads a duration longer than zero.
pub fn parse(text: &str) -> Result<Duration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.is_positive() => Ok(duration.unsigned_abs()),
        Ok(_) | Err(_) => Err(format!("invalid duration {text:?}: use 90s, 10m or 1h30m")),
    }
}

/// Reads the value of `--snapshot-limit`. Fails if it is out of its bounds.
pub fn parse_snapshot_limit(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    let shortest = Duration::from_secs(SHORTEST_SNAPSHOT);
    let longest = Duration::from_secs(LONGEST_SNAPSHOT * 24 * 60 * 60);
    if duration < shortest || duration > longest {
        let limits = snapshot_limits();
        return Err(format!("the snapshot limit must be {limits}"));
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
