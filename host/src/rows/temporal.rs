//! Dates and times between their canonical integers and the text that PostgreSQL prints with `DateStyle = ISO`.

// The epoch is PostgreSQL's, 2000-01-01: microseconds since 1970 end in the year 294247, PostgreSQL's in 294276. No calendar
// library has that range, which begins in 4713 BC.
// Calendar arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

use std::fmt::Write as _;

const DAY: i64 = 86_400_000_000;

/// The days since 2000-01-01 that PostgreSQL can hold beside the infinities: from 4713 BC on, to the year 5874897.
pub const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;

/// The microseconds since 2000-01-01 that PostgreSQL can hold beside the infinities: from 4713 BC on, to the year 294276.
pub const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Days from 0000-03-01, where Hinnant's eras begin, to the epoch.
const EPOCH: i64 = 730_425;

/// Prints days since 2000-01-01; the limits of `i64` are the infinities.
#[must_use]
pub fn format_date(days: i64) -> String {
    if let Some(infinity) = infinity(days) {
        return infinity.to_owned();
    }
    let (year, month, day) = civil_from_days(days);
    let mut text = String::with_capacity(16);
    write_date(&mut text, year, month, day);
    if year <= 0 {
        text.push_str(" BC");
    }
    text
}

/// Parses what [`format_date`] prints; returns none for any other text.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let days = match text {
        "infinity" => i64::MAX,
        "-infinity" => i64::MIN,
        _ => {
            let (date, before_christ) = split_era(text);
            days_of(date, before_christ)?
        }
    };
    (format_date(days) == text).then_some(days)
}

/// Prints microseconds since midnight; 24:00:00 is allowed.
#[must_use]
pub fn format_time(microseconds: i64) -> String {
    let mut text = String::with_capacity(16);
    write_time(&mut text, microseconds);
    text
}

/// Parses what [`format_time`] prints; returns none for any other text.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let microseconds = microseconds_of(text)?;
    ((0..=DAY).contains(&microseconds) && format_time(microseconds) == text).then_some(microseconds)
}

/// Prints microseconds since 2000-01-01, with `+00` at the end if they are in UTC.
#[must_use]
pub fn format_timestamp(microseconds: i64, utc: bool) -> String {
    if let Some(infinity) = infinity(microseconds) {
        return infinity.to_owned();
    }
    let (year, month, day) = civil_from_days(microseconds.div_euclid(DAY));
    let mut text = String::with_capacity(32);
    write_date(&mut text, year, month, day);
    text.push(' ');
    write_time(&mut text, microseconds.rem_euclid(DAY));
    if utc {
        text.push_str("+00");
    }
    if year <= 0 {
        text.push_str(" BC");
    }
    text
}

/// Parses what [`format_timestamp`] prints; returns none for any other text.
#[must_use]
pub fn parse_timestamp(text: &str, utc: bool) -> Option<i64> {
    let microseconds = match text {
        "infinity" => i64::MAX,
        "-infinity" => i64::MIN,
        _ => {
            let (moment, before_christ) = split_era(text);
            let moment = if utc {
                moment.strip_suffix("+00")?
            } else {
                moment
            };
            let (date, time) = moment.split_once(' ')?;
            days_of(date, before_christ)?
                .checked_mul(DAY)?
                .checked_add(microseconds_of(time)?)?
        }
    };
    (format_timestamp(microseconds, utc) == text).then_some(microseconds)
}

fn infinity(value: i64) -> Option<&'static str> {
    match value {
        i64::MAX => Some("infinity"),
        i64::MIN => Some("-infinity"),
        _ => None,
    }
}

fn split_era(text: &str) -> (&str, bool) {
    match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

fn write_date(text: &mut String, year: i64, month: i64, day: i64) {
    // There is no year 0: 1 BC is astronomical year 0.
    let year = if year <= 0 { 1 - year } else { year };
    // Writing to a String cannot fail.
    let _ = write!(text, "{year:04}-{month:02}-{day:02}");
}

fn write_time(text: &mut String, microseconds: i64) {
    let seconds = microseconds / 1_000_000;
    let fraction = microseconds % 1_000_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let _ = write!(text, "{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

fn days_of(date: &str, before_christ: bool) -> Option<i64> {
    let mut parts = date.split('-');
    let year: i64 = parts.next()?.parse().ok()?;
    let month: i64 = parts.next()?.parse().ok()?;
    let day: i64 = parts.next()?.parse().ok()?;
    // Far beyond PostgreSQL's range and far from overflow.
    if parts.next().is_some() || year > 10_000_000 || !(1..=12).contains(&month) {
        return None;
    }
    let year = if before_christ { 1 - year } else { year };
    (1..=31)
        .contains(&day)
        .then(|| days_from_civil(year, month, day))
}

fn microseconds_of(time: &str) -> Option<i64> {
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds: i64 = parts.next()?.parse().ok()?;
    let within =
        (0..=24).contains(&hours) && (0..=59).contains(&minutes) && (0..=59).contains(&seconds);
    if parts.next().is_some() || !within || fraction.len() > 6 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - EPOCH
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_what_postgresql_prints() {
        assert_eq!(format_date(0), "2000-01-01");
        assert_eq!(format_date(-730_120), "0001-12-31 BC");
        assert_eq!(format_timestamp(-1, false), "1999-12-31 23:59:59.999999");
        assert_eq!(
            format_timestamp(1_500_000, true),
            "2000-01-01 00:00:01.5+00"
        );
        assert_eq!(
            parse_timestamp("294276-12-31 23:59:59.999999", false)
                .map(|at| format_timestamp(at, false)),
            Some("294276-12-31 23:59:59.999999".to_owned())
        );
        assert_eq!(
            parse_date("4713-01-01 BC").map(format_date),
            Some("4713-01-01 BC".to_owned())
        );
        assert_eq!(parse_time("24:00:00"), Some(DAY));
        assert_eq!(parse_timestamp("infinity", true), Some(i64::MAX));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "2024-1-01",
            "2023-02-29",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00.50",
            "",
            "-1-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
            assert_eq!(parse_timestamp(text, false), None, "{text}");
        }
        assert_eq!(parse_time("24:00:01"), None);
        assert_eq!(parse_time("-9223372036854775808:00:00"), None);
    }

    proptest! {
        #[test]
        fn dates_come_back(days in -2_500_000i64..2_145_000_000) {
            prop_assert_eq!(parse_date(&format_date(days)), Some(days));
        }

        #[test]
        fn moments_come_back(at in -211_000_000_000_000_000i64..9_223_371_331_200_000_000, utc: bool) {
            prop_assert_eq!(parse_timestamp(&format_timestamp(at, utc), utc), Some(at));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = (parse_date(&text), parse_time(&text), parse_timestamp(&text, true));
        }
    }
}
