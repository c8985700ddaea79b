//! Time zones: which moment a wall clock means, and what a wall clock shows at a moment.

use std::sync::Arc;

const SECOND: i64 = 1_000_000;

/// The longest name of a time zone, in bytes.
pub(in crate::database::postgres) const MAX_NAME: usize = 64;

/// PostgreSQL's own limit for offsets: less than 16 hours.
const MAX_OFFSET: i64 = 16 * 3_600;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Zone {
    /// So many seconds east of UTC, at all times.
    Fixed(i64),
    /// Offsets that change.
    Changing(Arc<Offsets>),
}

/// The offsets of a zone that is known between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) struct Offsets {
    /// Microseconds since 2000-01-01 UTC from which an offset in seconds holds, ascending; the first is where the zone
    /// begins to be known.
    pub from: Vec<(i64, i64)>,
    /// Where it ends to be known.
    pub end: i64,
}

/// Why a wall clock means no single moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum NoMoment {
    /// The clock was put forward over it.
    Skipped,
    /// The clock was put back, and showed it twice.
    Twice,
    /// The zone is not known then.
    Unknown,
}

impl Zone {
    /// Returns the zone of `UTC`, `Z` or an offset such as `+02:00`; none for a name.
    pub fn fixed(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "UTC" | "Z" | "GMT" => Some(Self::Fixed(0)),
            _ => offset(text).map(Self::Fixed),
        }
    }

    /// Returns the moment at which the zone's clocks show this, in microseconds.
    pub fn moment(&self, clock: i64) -> Result<i64, NoMoment> {
        let offsets = match self {
            Self::Fixed(offset) => {
                return clock.checked_sub(offset * SECOND).ok_or(NoMoment::Unknown);
            }
            Self::Changing(offsets) => offsets,
        };
        let mut moments = Vec::with_capacity(2);
        let mut spans = offsets.from.iter().peekable();
        let mut known = false;
        while let Some((from, offset)) = spans.next() {
            let until = spans.peek().map_or(offsets.end, |(next, _)| *next);
            let moment = clock.saturating_sub(offset * SECOND);
            known |= moment >= *from;
            if (*from..until).contains(&moment) {
                moments.push(moment);
            }
        }
        match moments.as_slice() {
            [moment] => Ok(*moment),
            [] if known && clock < offsets.end.saturating_sub(MAX_OFFSET * SECOND) => {
                Err(NoMoment::Skipped)
            }
            [] => Err(NoMoment::Unknown),
            _ => Err(NoMoment::Twice),
        }
    }

    /// Returns what the zone's clocks show at a moment; none where the zone is not known.
    pub fn clock(&self, moment: i64) -> Option<i64> {
        let offset = match self {
            Self::Fixed(offset) => *offset,
            Self::Changing(offsets) if moment < offsets.end => {
                let after = offsets.from.partition_point(|(from, _)| *from <= moment);
                offsets.from.get(after.checked_sub(1)?)?.1
            }
            Self::Changing(_) => return None,
        };
        moment.checked_add(offset * SECOND)
    }
}

/// Reads `+02`, `+0200`, `+02:00`, `+02:00:00` or the same with a minus, in seconds.
pub(super) fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let parts: Vec<&str> = match digits.contains(':') {
        true => digits.split(':').collect(),
        false => {
            let (hours, rest) = digits.split_at_checked(2)?;
            match rest.len() {
                0 => vec![hours],
                2 => vec![hours, rest],
                _ => return None,
            }
        }
    };
    if parts.len() > 3 {
        return None;
    }
    let mut seconds = 0;
    for (part, unit) in parts.iter().zip([3_600, 60, 1]) {
        let two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let value: i64 = part.parse().ok().filter(|_| two_digits)?;
        if unit != 3_600 && value > 59 {
            return None;
        }
        seconds += value * unit;
    }
    (seconds < MAX_OFFSET).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    /// A zone one hour east of UTC, and two from moment 0 until 100 hours later.
    fn with_summer() -> Zone {
        Zone::Changing(Arc::new(Offsets {
            from: vec![(-1_000 * HOUR, 3_600), (0, 7_200), (100 * HOUR, 3_600)],
            end: 1_000 * HOUR,
        }))
    }

    #[test]
    fn offsets_have_the_forms_of_iso_8601() {
        for (text, expected) in [
            ("Z", Some(0)),
            ("utc", Some(0)),
            ("+02", Some(7_200)),
            ("+0230", Some(9_000)),
            ("-05:30", Some(-19_800)),
            ("+00:19:32", Some(1_172)),
            ("+15:59", Some(57_540)),
            ("+16", None),
            ("+2", None),
            ("02:00", None),
            ("+02:60", None),
            ("+020", None),
            ("+ü", None),
            ("+02:00:00:00", None),
            ("Europe/Berlin", None),
        ] {
            assert_eq!(Zone::fixed(text), expected.map(Zone::Fixed), "{text}");
        }
    }

    #[test]
    fn a_clock_means_one_moment_or_none() {
        let zone = with_summer();
        assert_eq!(zone.moment(0), Ok(-HOUR));
        assert_eq!(zone.moment(HOUR - 1), Ok(-1));
        assert_eq!(zone.moment(HOUR), Err(NoMoment::Skipped));
        assert_eq!(zone.moment(2 * HOUR - 1), Err(NoMoment::Skipped));
        assert_eq!(zone.moment(2 * HOUR), Ok(0));
        assert_eq!(zone.moment(101 * HOUR - 1), Ok(99 * HOUR - 1));
        assert_eq!(zone.moment(101 * HOUR), Err(NoMoment::Twice));
        assert_eq!(zone.moment(102 * HOUR), Ok(101 * HOUR));
        assert_eq!(zone.moment(-2_000 * HOUR), Err(NoMoment::Unknown));
        assert_eq!(zone.moment(2_000 * HOUR), Err(NoMoment::Unknown));
        assert_eq!(Zone::Fixed(7_200).moment(i64::MIN), Err(NoMoment::Unknown));
    }

    #[test]
    fn every_moment_has_one_clock() {
        let zone = with_summer();
        assert_eq!(zone.clock(-1), Some(HOUR - 1));
        assert_eq!(zone.clock(0), Some(2 * HOUR));
        assert_eq!(zone.clock(100 * HOUR), Some(101 * HOUR));
        assert_eq!(zone.clock(-1_001 * HOUR), None);
        assert_eq!(zone.clock(1_000 * HOUR), None);
        assert_eq!(Zone::Fixed(-60).clock(0), Some(-60 * SECOND));
    }
}
