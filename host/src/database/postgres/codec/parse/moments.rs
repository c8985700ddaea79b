//! Dates, times and date-times, in the forms of ISO 8601, RFC 3339 and those that programs and databases print.

use super::zone::{NoMoment, Zone, offset};
use crate::bindings::types::EpochUnit;
use crate::rows::temporal;

const DAY: i64 = 86_400_000_000;

/// Microseconds from 2000-01-01 back to 1970-01-01.
const EPOCH: i64 = 10_957 * DAY;

/// Dates that stand before a time where a program has no type for times: Rails, Java and Unix, Go, Excel and Delphi.
const PLACEHOLDERS: [&str; 6] = [
    "2000-01-01",
    "1970-01-01",
    "0001-01-01",
    "0000-01-01",
    "1899-12-30",
    "1900-01-01",
];

/// Why a text or a number is no single moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Refusal {
    /// It would be one if the time zone was known.
    NeedsZone,
    /// It would be one if the unit was known.
    NeedsEpoch,
    /// The clocks of the zone skip it.
    Skipped,
    /// The clocks of the zone show it twice.
    Twice,
    /// It has a part that the column cannot hold.
    Part(&'static str),
    /// It is none.
    Nothing,
}

impl From<NoMoment> for Refusal {
    fn from(reason: NoMoment) -> Self {
        match reason {
            NoMoment::Skipped => Self::Skipped,
            NoMoment::Twice => Self::Twice,
            NoMoment::Unknown => Self::Nothing,
        }
    }
}

/// A date-time as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written<'a> {
    /// The date as text, and in days since 2000-01-01; none for a time alone.
    date: Option<(&'a str, Option<i64>)>,
    /// Microseconds since midnight; none for a date alone.
    time: Option<i64>,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

/// What a text or a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Always(i64),
    /// A moment, in microseconds since 2000-01-01 UTC, and whether it is written with an offset of zero.
    Moment(i64, bool),
    /// What a clock shows, in microseconds since 2000-01-01.
    Clock(i64),
}

/// Returns the microseconds of a `timestamptz`.
pub(super) fn timestamptz(text: &str, zone: Option<&Zone>) -> Result<i64, Refusal> {
    match said(text)? {
        Said::Always(value) | Said::Moment(value, _) => Ok(value),
        Said::Clock(clock) => Ok(zone.ok_or(Refusal::NeedsZone)?.moment(clock)?),
    }
}

/// Returns the microseconds of a `timestamp`. A moment needs the zone whose clock is meant, unless it is one in UTC.
pub(super) fn timestamp(text: &str, zone: Option<&Zone>) -> Result<i64, Refusal> {
    clock(said(text)?, zone)
}

/// Returns the days of a `date`: those of a date, or of a date-time at midnight.
pub(super) fn date(text: &str, zone: Option<&Zone>) -> Result<i64, Refusal> {
    midnight(clock(said(text)?, zone)?)
}

/// Returns the microseconds of a `time`: those of a time, or of a date-time whose date is a placeholder.
pub(super) fn time(text: &str) -> Result<i64, Refusal> {
    let written = written(text).ok_or(Refusal::Nothing)?;
    let Some(time) = written.time else {
        return Err(Refusal::Nothing);
    };
    if written.offset.is_some_and(|offset| offset != 0) {
        return Err(Refusal::Part("the time has an offset"));
    }
    match written.date {
        Some((date, _)) if !PLACEHOLDERS.contains(&date) => {
            Err(Refusal::Part("the time has a date"))
        }
        _ => Ok(time),
    }
}

/// Returns a `timetz` as PostgreSQL prints it.
pub(super) fn timetz(text: &str, zone: Option<&Zone>) -> Result<String, Refusal> {
    let written = written(text).ok_or(Refusal::Nothing)?;
    let (Some(time), None) = (written.time, written.date) else {
        return Err(Refusal::Nothing);
    };
    let offset = match (written.offset, zone) {
        (Some(offset), _) => offset,
        (None, Some(Zone::Fixed(offset))) => *offset,
        // A zone whose offset changes has none without a date.
        (None, Some(Zone::Changing(_))) => return Err(Refusal::Nothing),
        (None, None) => return Err(Refusal::NeedsZone),
    };
    Ok(format!(
        "{}{}",
        temporal::format_time(time),
        print_offset(offset)
    ))
}

/// Returns the moment of a number, in microseconds since 2000-01-01 UTC.
pub(super) fn counted(number: i128) -> Result<i64, Refusal> {
    let since_2000 = number - i128::from(EPOCH);
    i64::try_from(since_2000).map_err(|_| Refusal::Nothing)
}

/// Returns the microseconds of a decimal number in a unit; none if it has more digits than microseconds.
pub(super) fn microseconds(digits: &str, unit: &EpochUnit) -> Option<i128> {
    let places = match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Milliseconds => 3,
        EpochUnit::Microseconds => 0,
        EpochUnit::Other(_) => return None,
    };
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 24 || fraction.len() > places {
        return None;
    }
    let value: i128 = format!("{whole}{fraction:0<places$}").parse().ok()?;
    Some(if negative { -value } else { value })
}

/// Returns what the clock of a moment in UTC, or in a zone, shows.
pub(super) fn clock_of(moment: i64, zone: Option<&Zone>) -> Result<i64, Refusal> {
    clock(Said::Moment(moment, true), zone)
}

/// Returns the days of a clock at midnight.
pub(super) fn midnight(clock: i64) -> Result<i64, Refusal> {
    match clock {
        i64::MIN | i64::MAX => Ok(clock),
        _ if clock.rem_euclid(DAY) == 0 => Ok(clock.div_euclid(DAY)),
        _ => Err(Refusal::Part("the date has a time other than midnight")),
    }
}

fn clock(said: Said, zone: Option<&Zone>) -> Result<i64, Refusal> {
    match (said, zone) {
        (Said::Always(value) | Said::Clock(value), _) => Ok(value),
        (Said::Moment(moment, _), Some(zone)) => zone.clock(moment).ok_or(Refusal::Nothing),
        (Said::Moment(moment, true), None) => Ok(moment),
        (Said::Moment(_, false), None) => Err(Refusal::NeedsZone),
    }
}

fn said(text: &str) -> Result<Said, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Ok(Said::Always(i64::MAX)),
        "-infinity" => return Ok(Said::Always(i64::MIN)),
        _ => {}
    }
    let written = written(text).ok_or(Refusal::Nothing)?;
    let Some((_, days)) = written.date else {
        return Err(Refusal::Nothing);
    };
    let clock = days
        .and_then(|days| days.checked_mul(DAY))
        .and_then(|days| days.checked_add(written.time.unwrap_or_default()));
    let clock = clock.ok_or(Refusal::Nothing)?;
    Ok(match written.offset {
        Some(offset) => {
            let moment = clock.checked_sub(offset * 1_000_000);
            Said::Moment(moment.ok_or(Refusal::Nothing)?, offset == 0)
        }
        None => Said::Clock(clock),
    })
}

/// Reads a date, a time, or both.
fn written(text: &str) -> Option<Written<'_>> {
    let text = text.trim_ascii();
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(" AD").unwrap_or(text), false),
    };
    if let Some((time, offset)) = timed(text) {
        return (!before_christ).then_some(Written {
            date: None,
            time: Some(time),
            offset,
        });
    }
    let end = text.find([' ', 'T', 't']);
    let (date, rest) = match end {
        Some(end) => (text.get(..end)?, Some(text.get(end + 1..)?)),
        None => (text, None),
    };
    // Eight digits alone may be a number.
    let days = days(date, before_christ, rest.is_some());
    if days.is_none() && date != "0000-01-01" {
        return None;
    }
    let (time, offset) = match rest {
        Some(rest) => {
            let (time, offset) = timed(rest.trim_start_matches(' '))?;
            (Some(time), offset)
        }
        None => (None, None),
    };
    Some(Written {
        date: Some((date, days)),
        time,
        offset,
    })
}

/// Returns the days of `2024-02-29`, `2024/2/29`, `+012024-02-29` and, where a time follows, `20240229`.
fn days(date: &str, before_christ: bool, timed: bool) -> Option<i64> {
    let (sign, unsigned) = match date.split_at_checked(1)? {
        (sign @ ("+" | "-"), rest) => (Some(sign), rest),
        _ => (None, date),
    };
    let parts: Vec<&str> = if timed && unsigned.len() == 8 && is_digits(unsigned) {
        vec![unsigned.get(..4)?, unsigned.get(4..6)?, unsigned.get(6..)?]
    } else if unsigned.contains('-') {
        unsigned.split('-').collect()
    } else {
        unsigned.split('/').collect()
    };
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let lengths = match sign {
        None => 4..=7,
        // The expanded years of ISO 8601 have six digits.
        Some(_) => 6..=7,
    };
    let short = |part: &str| (1..=2).contains(&part.len()) && is_digits(part);
    if !lengths.contains(&year.len()) || !is_digits(year) || !short(month) || !short(day) {
        return None;
    }
    let number = |part: &str| part.parse::<i64>().ok();
    let year = match (sign, number(year)?, before_christ) {
        // There is no year 0: astronomical year 0 is 1 BC.
        (None, 0, _) => return None,
        (None, year, false) => year,
        (None, year, true) => 1 - year,
        (Some(_), _, true) => return None,
        (Some("-"), 0, false) => return None,
        (Some("-"), year, false) => -year,
        (Some(_), year, false) => year,
    };
    let (year, era) = match year {
        1.. => (year, ""),
        _ => (1 - year, " BC"),
    };
    temporal::parse_date(&format!(
        "{year:04}-{:02}-{:02}{era}",
        number(month)?,
        number(day)?
    ))
}

/// Reads `12:34`, `12:34:56`, `12:34:56.789`, `123456` behind a T, and what follows it: nothing, or an offset.
fn timed(text: &str) -> Option<(i64, Option<i64>)> {
    let end = text
        .find(|sign: char| !sign.is_ascii_digit() && !matches!(sign, ':' | '.' | ','))
        .unwrap_or(text.len());
    let (clock, zone) = text.split_at_checked(end)?;
    let offset = match zone.trim_start_matches(' ') {
        "" if zone.is_empty() => None,
        zone => Some(written_offset(zone)?),
    };
    let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let parts: Vec<&str> = match whole.contains(':') {
        true => whole.split(':').collect(),
        false if whole.len() == 6 => vec![whole.get(..2)?, whole.get(2..4)?, whole.get(4..)?],
        false => return None,
    };
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] if whole == clock => (hours, minutes, &"00"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let shaped = (1..=2).contains(&hours.len()) && minutes.len() == 2 && seconds.len() == 2;
    let rest = fraction.get(6..).unwrap_or_default();
    let micros: String = fraction.chars().take(6).collect();
    // Digits beyond microseconds would be lost.
    if !shaped || !is_digits(&micros) || !rest.bytes().all(|digit| digit == b'0') {
        return None;
    }
    let micros = micros.trim_end_matches('0');
    let point = if micros.is_empty() { "" } else { "." };
    let time = temporal::parse_time(&format!("{hours:0>2}:{minutes}:{seconds}{point}{micros}"))?;
    Some((time, offset))
}

/// Reads an offset, and the name of the zone that some programs write behind it.
fn written_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let (numbers, name) = text.split_once(' ').unwrap_or((text, ""));
    let is_name = name.len() <= 5 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    offset(numbers).filter(|_| is_name)
}

fn print_offset(offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) = (
        offset.abs() / 3_600,
        offset.abs() / 60 % 60,
        offset.abs() % 60,
    );
    match (minutes, seconds) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    const BERLIN_SUMMER: Zone = Zone::Fixed(7_200);

    fn at(text: &str) -> i64 {
        temporal::parse_timestamp(text, false).unwrap()
    }

    #[test]
    fn every_form_of_a_moment_is_the_same_moment() {
        for text in [
            "2024-05-06 07:08:09.680000+00:00",
            "2024-05-06T07:08:09.68Z",
            "2024-05-06t07:08:09,68z",
            "2024-05-06 09:08:09.68+02:00",
            "2024-05-06 09:08:09.680+0200",
            "2024-05-06T09:08:09.680000000+02",
            "2024-05-06 02:38:09.68 -0430",
            "2024-05-06 09:08:09.68 +0200 CEST",
            "2024-05-06 07:08:09.68 UTC",
            "20240506T070809.68Z",
            "+002024-05-06T07:08:09.68Z",
            "2024/5/6 7:08:09.68Z",
            "  2024-05-06T07:08:09.68Z\n",
        ] {
            let expected = Ok(at("2024-05-06 07:08:09.68"));
            assert_eq!(timestamptz(text, None), expected, "{text}");
        }
    }

    #[test]
    fn clocks_need_a_zone_to_be_moments() {
        for text in ["2024-05-06 09:08:00.000000", "2024-05-06T09:08"] {
            assert_eq!(timestamptz(text, None), Err(Refusal::NeedsZone), "{text}");
            let moment = timestamptz(text, Some(&BERLIN_SUMMER));
            assert_eq!(moment, Ok(at("2024-05-06 07:08:00")), "{text}");
            assert_eq!(timestamp(text, None), Ok(at("2024-05-06 09:08:00")));
        }
        let midnight = timestamptz("2024-05-06", Some(&BERLIN_SUMMER));
        assert_eq!(midnight, Ok(at("2024-05-05 22:00:00")));
    }

    #[test]
    fn moments_need_a_zone_to_be_clocks_unless_they_are_in_utc() {
        let utc = "2024-05-06T07:08:09Z";
        assert_eq!(timestamp(utc, None), Ok(at("2024-05-06 07:08:09")));
        let zoned = timestamp(utc, Some(&BERLIN_SUMMER));
        assert_eq!(zoned, Ok(at("2024-05-06 09:08:09")));
        let east = "2024-05-06T07:08:09+02:00";
        assert_eq!(timestamp(east, None), Err(Refusal::NeedsZone));
        let zoned = timestamp(east, Some(&BERLIN_SUMMER));
        assert_eq!(zoned, Ok(at("2024-05-06 07:08:09")));
    }

    #[test]
    fn midnight_is_a_date_and_a_placeholder_is_none() {
        let day = temporal::parse_date("2024-02-29").unwrap();
        for text in [
            "2024-02-29",
            "2024-2-29",
            "2024-02-29 00:00:00.000000",
            "2024-02-29T00:00:00.000Z",
            "2024-02-28 24:00",
        ] {
            assert_eq!(date(text, None), Ok(day), "{text}");
        }
        assert!(matches!(
            date("2024-02-29 00:01", None),
            Err(Refusal::Part(_))
        ));
        let hours = temporal::parse_time("12:34:56").unwrap();
        for text in [
            "12:34:56",
            "12:34:56.000",
            "2000-01-01 12:34:56",
            "1970-01-01T12:34:56Z",
            "0000-01-01 12:34:56+00:00",
            "1899-12-30 12:34:56.000",
        ] {
            assert_eq!(time(text), Ok(hours), "{text}");
        }
        assert_eq!(time("24:00"), Ok(DAY));
        for text in ["2024-05-06 12:34:56", "12:34:56+02", "2000-01-01"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn far_years_and_the_ends_of_time_are_moments() {
        for (text, expected) in [
            ("10000-01-01 00:00:00", "10000-01-01 00:00:00"),
            ("+010000-01-01 00:00", "10000-01-01 00:00:00"),
            ("-000043-03-15 12:00", "0044-03-15 12:00:00 BC"),
            ("0044-03-15 12:00 BC", "0044-03-15 12:00:00 BC"),
            ("+000000-01-01 00:00", "0001-01-01 00:00:00 BC"),
            ("Infinity", "infinity"),
        ] {
            assert_eq!(timestamp(text, None), Ok(at(expected)), "{text}");
        }
    }

    #[test]
    fn what_may_mean_several_things_means_nothing() {
        for text in [
            "",
            "now",
            "today",
            "20240506",
            "01/02/2024",
            "01-02-2024",
            "24-05-06",
            "2024-05",
            "2024",
            "2024-W19-1",
            "2024-127",
            "0000-00-00 00:00:00",
            "0000-01-01 00:00:00",
            "2023-02-29",
            "2024-13-01",
            "2024-05-06 25:00",
            "2024-05-06 24:00:01",
            "2016-12-31 23:59:60",
            "2024-05-06 07:08:09.1234567",
            "2024-05-06 07:08.5",
            "2024-05-06 7",
            "2024-05-06 07:08 PM",
            "2024-05-06 07:08:09 CEST",
            "2024-05-06 07:08:09[Europe/Berlin]",
            "2024-05-06 07:08:09 +02:00 (CEST)",
            "-000000-01-01 00:00",
            "2024-05-06 07:08:09+16",
            "Mon, 06 May 2024 07:08:09 GMT",
            "2024-05-06 07:08:09.",
            "９9:00",
        ] {
            let refused = timestamp(text, Some(&BERLIN_SUMMER));
            assert_eq!(refused, Err(Refusal::Nothing), "{text}");
        }
    }

    #[test]
    fn numbers_count_from_1970() {
        use EpochUnit as U;
        for (digits, unit, expected) in [
            ("1714979289", U::Seconds, "2024-05-06 07:08:09"),
            ("1714979289.680000", U::Seconds, "2024-05-06 07:08:09.68"),
            ("1714979289680", U::Milliseconds, "2024-05-06 07:08:09.68"),
            (
                "1714979289680000",
                U::Microseconds,
                "2024-05-06 07:08:09.68",
            ),
            ("-1", U::Seconds, "1969-12-31 23:59:59"),
            ("0", U::Seconds, "1970-01-01 00:00:00"),
        ] {
            let moment = counted(microseconds(digits, &unit).unwrap());
            assert_eq!(moment, Ok(at(expected)), "{digits}");
        }
        assert_eq!(microseconds("0.0000001", &U::Seconds), None);
        assert_eq!(microseconds("0.5", &U::Microseconds), None);
        assert_eq!(microseconds(&"9".repeat(25), &U::Seconds), None);
        assert!(counted(i128::MAX / 2).is_err());
    }

    #[test]
    fn times_with_an_offset_are_printed() {
        for (text, expected) in [
            ("12:34:56.50+02:00", "12:34:56.5+02"),
            ("12:34-0530", "12:34:00-05:30"),
            ("12:34Z", "12:34:00+00"),
        ] {
            assert_eq!(timetz(text, None).as_deref(), Ok(expected));
        }
        assert_eq!(timetz("12:34", None), Err(Refusal::NeedsZone));
        let zoned = timetz("12:34", Some(&BERLIN_SUMMER));
        assert_eq!(zoned.as_deref(), Ok("12:34:00+02"));
    }

    proptest! {
        #[test]
        fn what_postgresql_prints_is_read(at in -211_000_000_000_000_000i64..9_223_371_331_200_000_000) {
            let text = temporal::format_timestamp(at, true);
            // A year before Christ stands behind the offset.
            prop_assert_eq!(timestamptz(&text, None), Ok(at));
            let text = temporal::format_timestamp(at, false);
            prop_assert_eq!(timestamp(&text, None), Ok(at));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String, like in "[-+0-9TZ:., ]{0,30}") {
            for text in [text, like] {
                let _ = (timestamptz(&text, None), time(&text), timetz(&text, None), date(&text, None));
            }
        }
    }
}
