//! Truth values, uuids, intervals and network addresses as words.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::rows::temporal;

/// Returns the truth value of a word: those that PostgreSQL takes, written out.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim_ascii().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Returns the uuid of 32 hexadecimal digits in any case, with hyphens between groups of four, in braces or as a URN.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.trim_ascii();
    let text = match text.split_at_checked(9) {
        Some((urn, rest)) if urn.eq_ignore_ascii_case("urn:uuid:") => rest,
        _ => text,
    };
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let mut digits = String::with_capacity(32);
    let mut hyphenated = true;
    for sign in inner.unwrap_or(text).chars() {
        match sign {
            '-' if !hyphenated && digits.len().is_multiple_of(4) => hyphenated = true,
            _ if sign.is_ascii_hexdigit() && digits.len() < 32 => {
                digits.push(sign);
                hyphenated = false;
            }
            _ => return None,
        }
    }
    let mut bytes = [0; 16];
    let whole = !hyphenated && hex::decode_to_slice(&digits, &mut bytes).is_ok();
    whole.then_some(bytes)
}

/// Returns an interval of ISO 8601, such as `P1Y2M3DT4H5M6.5S`, as PostgreSQL prints it.
pub(super) fn interval(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix('P')?;
    let (dates, times) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((dates, times)) => (dates, times),
        None => (rest, ""),
    };
    if dates.is_empty() && times.is_empty() {
        return None;
    }
    let [years, months, weeks, days] = whole_parts(dates, ['Y', 'M', 'W', 'D'])?;
    let (clock, seconds) = match times.strip_suffix('S') {
        Some(times) => {
            let start = times.rfind(['H', 'M']).map_or(0, |at| at + 1);
            times.split_at_checked(start)?
        }
        None => (times, "0"),
    };
    let [hours, minutes] = whole_parts(clock, ['H', 'M'])?;
    let seconds = super::moments::microseconds(
        &super::numbers::decimal(seconds)?,
        &crate::bindings::types::EpochUnit::Seconds,
    )?;
    let months = years.checked_mul(12)?.checked_add(months)?;
    let days = weeks.checked_mul(7)?.checked_add(days)?;
    let micros = hours.checked_mul(60)?.checked_add(minutes)?;
    let micros = micros.checked_mul(60_000_000)?;
    let micros = micros.checked_add(i64::try_from(seconds).ok()?)?;
    print_interval(
        i32::try_from(sign * months).ok()?,
        i32::try_from(sign * days).ok()?,
        micros.checked_mul(sign)?,
    )
}

/// Returns so many microseconds as PostgreSQL prints an interval.
pub(super) fn interval_of(microseconds: i64) -> Option<String> {
    print_interval(0, 0, microseconds)
}

/// Reads `1Y2M`: whole numbers with these letters, in this order, each at most once.
fn whole_parts<const N: usize>(text: &str, letters: [char; N]) -> Option<[i64; N]> {
    let mut values = [0; N];
    let mut rest = text;
    for (letter, value) in letters.into_iter().zip(&mut values) {
        if let Some((digits, after)) = rest.split_once(letter) {
            let short = digits.len() <= 10 && digits.bytes().any(|byte| byte.is_ascii_digit());
            *value = digits.parse().ok().filter(|_| short)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(values)
}

/// PostgreSQL's `EncodeInterval` with `IntervalStyle = postgres`.
fn print_interval(months: i32, days: i32, microseconds: i64) -> Option<String> {
    let mut text = String::new();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value != 0 {
            let blank = if text.is_empty() { "" } else { " " };
            let plus = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{blank}{plus}{value} {unit}{plural}");
            after_negative = value < 0;
        }
    }
    if text.is_empty() || microseconds != 0 {
        let blank = if text.is_empty() { "" } else { " " };
        let sign = match (microseconds < 0, after_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let clock = temporal::format_time(microseconds.checked_abs()?);
        let _ = write!(text, "{blank}{sign}{clock}");
    }
    Some(text)
}

/// Returns an address, with a prefix if it has one, as `inet` prints it.
pub(super) fn inet(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let (printed, bits) = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(address), _) => (address.to_string(), 32),
        (_, Ok(address)) => (address.to_string(), 128),
        _ => return None,
    };
    let Some(prefix) = prefix else {
        return Some(printed);
    };
    let digits =
        (1..=3).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| digits)?;
    match prefix {
        _ if prefix > bits => None,
        _ if prefix == bits => Some(printed),
        _ => Some(format!("{printed}/{prefix}")),
    }
}

/// Returns the six bytes of a hardware address as `macaddr` prints them: pairs of hexadecimal digits with colons.
pub(super) fn macaddr(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    let group = match text.len() {
        12 => 12,
        13 => 6,
        14 => 4,
        17 => 2,
        _ => return None,
    };
    let mut digits = String::with_capacity(12);
    let mut separator = None;
    for (position, sign) in text.chars().enumerate() {
        if position % (group + 1) == group {
            let known = matches!(sign, ':' | '-' | '.') && *separator.get_or_insert(sign) == sign;
            if !known {
                return None;
            }
        } else if sign.is_ascii_hexdigit() {
            digits.push(sign.to_ascii_lowercase());
        } else {
            return None;
        }
    }
    let mut bytes = [0u8; 6];
    hex::decode_to_slice(&digits, &mut bytes).ok()?;
    Some(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_truth_values() {
        for word in ["t", "T", "true", "True", "YES", "y", "on", "1", " t "] {
            assert_eq!(boolean(word), Some(true), "{word}");
        }
        for word in ["f", "F", "false", "No", "n", "OFF", "0"] {
            assert_eq!(boolean(word), Some(false), "{word}");
        }
        for word in ["", "tr", "fals", "2", "-1", "0.0", "null", "ja", "x", "01"] {
            assert_eq!(boolean(word), None, "{word}");
        }
    }

    #[test]
    fn every_spelling_of_a_uuid_is_the_same_uuid() {
        let expected = uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert!(expected.is_some());
        for text in [
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",
            "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(uuid(text), expected, "{text}");
        }
        for text in [
            "",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "-a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
            "a0eebc99--9c0b4ef8bb6d6bb9bd380a11",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "g0eebc999c0b4ef8bb6d6bb9bd380a11",
            "oO6/mZwLTvi7bWu5vTgKEQ==",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
    }

    #[test]
    fn intervals_are_printed_as_postgresql_prints_them() {
        for (text, expected) in [
            ("P1Y2M3DT4H5M6.5S", "1 year 2 mons 3 days 04:05:06.5"),
            ("PT0S", "00:00:00"),
            ("P0D", "00:00:00"),
            ("P2W", "14 days"),
            ("P1DT0H", "1 day"),
            ("-P1D", "-1 days"),
            ("P-1DT2H", "-1 days +02:00:00"),
            ("PT-2H-30M", "-02:30:00"),
            ("PT36H", "36:00:00"),
            ("P3DT04H05M06S", "3 days 04:05:06"),
            ("PT1.500000S", "00:00:01.5"),
            ("P14M", "1 year 2 mons"),
        ] {
            assert_eq!(interval(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "1D",
            "P1",
            "P1M1Y",
            "P1.5D",
            "PT1.0000001S",
            "PD",
            "P1S",
            "P99999999999Y",
            "PT1H2",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
        assert_eq!(interval_of(-90_000_000).as_deref(), Some("-00:01:30"));
        assert_eq!(interval_of(i64::MIN), None);
    }

    #[test]
    fn addresses_are_printed_as_postgresql_prints_them() {
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("10.0.0.1/32", Some("10.0.0.1")),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("2001:DB8:0:0::1", Some("2001:db8::1")),
            ("2001:db8::1/128", Some("2001:db8::1")),
            ("::ffff:10.0.0.1", Some("::ffff:10.0.0.1")),
            ("10.0.0.1/33", None),
            ("10.0.0.1/+8", None),
            ("10.1", None),
            ("fe80::1%eth0", None),
        ] {
            assert_eq!(inet(text).as_deref(), expected, "{text}");
        }
        for text in [
            "08:00:2B:01:02:03",
            "08-00-2b-01-02-03",
            "08002b010203",
            "0800.2b01.0203",
            "08002b:010203",
        ] {
            assert_eq!(
                macaddr(text).as_deref(),
                Some("08:00:2b:01:02:03"),
                "{text}"
            );
        }
        for text in [
            "",
            "08:00:2b-01-02-03",
            "08:00:2b:01:02",
            "08x00x2bx01x02x03",
        ] {
            assert_eq!(macaddr(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String, like in "[-+PTYMDHSW0-9.:/{}a-f]{0,40}") {
            for text in [text, like] {
                let _ = (boolean(&text), uuid(&text), interval(&text), inet(&text), macaddr(&text));
            }
        }
    }
}
