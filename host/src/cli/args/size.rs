//! Sizes as people write them: `500MB`, `2GiB`, `1000000`.

/// The units, with their numbers of bytes. Longer names come first.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads a size in bytes, larger than zero.
pub fn parse(text: &str) -> Result<u64, String> {
    let written = text.trim();
    let unit = UNITS.into_iter().find_map(|(name, bytes)| {
        let length = written.len().checked_sub(name.len())?;
        let (number, unit) = written.split_at_checked(length)?;
        unit.eq_ignore_ascii_case(name).then_some((number, bytes))
    });
    let (number, bytes) = unit.unwrap_or((written, 1));
    let number: Option<u64> = number.trim_end().parse().ok();
    number
        .and_then(|number| number.checked_mul(bytes))
        .filter(|size| *size > 0)
        .ok_or_else(|| format!("invalid size {text:?}: use 500MB, 2GiB or a number of bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, size) in [
            ("1", 1),
            ("12 B", 12),
            ("500MB", 500_000_000),
            ("500 mb", 500_000_000),
            ("2GiB", 2 << 30),
            ("1kib", 1_024),
            ("3TB", 3_000_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_examples() {
        for text in [
            "",
            "0",
            "0GB",
            "-1",
            "1.5GB",
            "GB",
            "10XB",
            "99999999TB",
            "ü",
            "1€",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("use 500MB, 2GiB"), "{message}");
        }
    }
}
