//! Durations as people write them: `10m`, `90s`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// A code that is good for longer is no one-time code any more.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Reads a duration of at least a second and at most 30 days.
pub fn parse(text: &str) -> Result<Duration, String> {
    let example = "write it like 10m, 90s or 1h30m";
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("that is no duration; {example}"))?;
    if duration < SignedDuration::from_secs(1) {
        return Err(format!("at least one second is needed; {example}"));
    }
    if duration > LONGEST {
        return Err("at most 720h (30 days) are possible".to_owned());
    }
    Ok(duration.unsigned_abs())
}

#[cfg(test)]
mod tests {
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
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            "ten minutes",
            "0s",
            "-5m",
            "5ms",
            "721h",
            "99999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
