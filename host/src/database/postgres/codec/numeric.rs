//! Converts `numeric` between its text and its binary form: base-10000 digits, the weight of the first, sign, scale.

use bytes::BufMut;

use super::types::NumericLimit;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// The largest number of digits before the point (`NUMERIC_WEIGHT_MAX`) and behind it (`NUMERIC_DSCALE_MAX`).
const MAX_INTEGER_DIGITS: usize = 131_072;
const MAX_SCALE: usize = 16_383;

const GROUP: usize = 4;

/// Appends the text of a binary `numeric`, exactly as PostgreSQL prints it; `None` if PostgreSQL would not have sent it.
pub(in crate::database::postgres) fn decode(data: &[u8], text: &mut String) -> Option<()> {
    let (header, digits) = data.split_first_chunk::<8>()?;
    let [count, weight, sign, scale] = words(header);
    match sign {
        NAN => text.push_str("NaN"),
        INFINITY => text.push_str("Infinity"),
        NEGATIVE_INFINITY => text.push_str("-Infinity"),
        POSITIVE | NEGATIVE => {
            let scale = usize::from(scale);
            if digits.len() != usize::from(count) * 2 || scale > MAX_SCALE {
                return None;
            }
            let weight = weight.cast_signed();
            if !is_normal(digits, weight, sign == NEGATIVE, scale) {
                return None;
            }
            if sign == NEGATIVE {
                text.push('-');
            }
            write_digits(digits, i32::from(weight), scale, text)?;
        }
        _ => return None,
    }
    Some(())
}

fn words(header: &[u8; 8]) -> [u16; 4] {
    let [a, b, c, d, e, f, g, h] = *header;
    [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes)
}

/// Returns true if the number is in its only form: no zeros around the groups, no negative zero, and no digits that the
/// scale hides.
fn is_normal(digits: &[u8], weight: i16, negative: bool, scale: usize) -> bool {
    let (Some(first), Some(last)) = (digits.first_chunk::<2>(), digits.last_chunk::<2>()) else {
        return weight == 0 && !negative;
    };
    let last_group = u16::from_be_bytes(*last);
    if *first == [0, 0] || last_group == 0 {
        return false;
    }
    let groups = i64::try_from(digits.len() / 2).unwrap_or(i64::MAX);
    let groups_behind_the_point = groups - 1 - i64::from(weight);
    let zeros = [1_000, 100, 10]
        .iter()
        .filter(|unit| last_group % **unit == 0);
    let behind_the_point = groups_behind_the_point * 4 - zeros.count() as i64;
    usize::try_from(behind_the_point).map_or(true, |shown| shown <= scale)
}

fn write_digits(digits: &[u8], weight: i32, scale: usize, text: &mut String) -> Option<()> {
    let group = |place: i32| -> Option<u16> {
        let Some(index) = usize::try_from(weight - place).ok() else {
            return Some(0);
        };
        match digits.get(index * 2..index * 2 + 2) {
            Some(&[high, low]) => {
                Some(u16::from_be_bytes([high, low])).filter(|&group| group < 10_000)
            }
            _ => Some(0),
        }
    };
    if weight < 0 {
        text.push('0');
    } else {
        text.push_str(&group(weight)?.to_string());
        for place in (0..weight).rev() {
            write_group(text, group(place)?);
        }
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut place = -1;
        while text.len() < end {
            write_group(text, group(place)?);
            place -= 1;
        }
        text.truncate(end);
    }
    Some(())
}

fn write_group(text: &mut String, group: u16) {
    for unit in [1_000, 100, 10, 1] {
        text.push(char::from(b'0' + (group / unit % 10) as u8));
    }
}

/// A decimal number's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Decimal<'a> {
    NotANumber,
    Infinity {
        negative: bool,
    },
    /// Digits before the point without leading zeros, and behind it.
    Finite {
        negative: bool,
        integer: &'a str,
        fraction: &'a str,
    },
}

impl<'a> Decimal<'a> {
    /// Parses `-12.50`, `NaN`, `Infinity`, `-Infinity`; exponents, blanks and other spellings are `None`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match rest {
            "NaN" if !negative => return Some(Self::NotANumber),
            "Infinity" => return Some(Self::Infinity { negative }),
            _ => {}
        }
        let (integer, fraction) = match rest.split_once('.') {
            Some((integer, fraction)) if !fraction.is_empty() => (integer, fraction),
            Some(_) => return None,
            None => (rest, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if integer.is_empty() || !digits(integer) || !digits(fraction) {
            return None;
        }
        let integer = integer.trim_start_matches('0');
        let zero = integer.is_empty() && fraction.trim_start_matches('0').is_empty();
        Some(Self::Finite {
            negative: negative && !zero,
            integer,
            fraction,
        })
    }

    /// Returns true if both are the same number, whatever their scale.
    pub fn same_number(self, other: Self) -> bool {
        self.trimmed() == other.trimmed()
    }

    fn trimmed(self) -> Self {
        match self {
            Self::Finite {
                negative,
                integer,
                fraction,
            } => Self::Finite {
                negative,
                integer,
                fraction: fraction.trim_end_matches('0'),
            },
            other => other,
        }
    }

    /// Returns why a column with this limit cannot hold the number exactly; none if it can.
    pub fn unrepresentable(self, limit: Option<NumericLimit>) -> Option<String> {
        match (self.trimmed(), limit) {
            (Self::Finite { integer, .. }, None) if integer.len() > MAX_INTEGER_DIGITS => {
                Some("the number has too many digits before the point".to_owned())
            }
            (Self::Finite { fraction, .. }, None) if fraction.len() > MAX_SCALE => {
                Some("the number has too many digits behind the point".to_owned())
            }
            (Self::Infinity { .. }, Some(_)) => {
                Some("infinity cannot be held by a numeric with a precision".to_owned())
            }
            (
                Self::Finite {
                    integer, fraction, ..
                },
                Some(limit),
            ) => unrepresentable_digits(integer, fraction, limit),
            _ => None,
        }
    }

    /// Appends the binary form. The caller has asked [`Self::unrepresentable`].
    pub fn encode(self, out: &mut impl BufMut) {
        let special = |out: &mut dyn BufMut, sign| {
            out.put_u16(0);
            out.put_u16(0);
            out.put_u16(sign);
            out.put_u16(0);
        };
        let (negative, integer, fraction) = match self {
            Self::NotANumber => return special(out, NAN),
            Self::Infinity { negative: false } => return special(out, INFINITY),
            Self::Infinity { negative: true } => return special(out, NEGATIVE_INFINITY),
            Self::Finite {
                negative,
                integer,
                fraction,
            } => (negative, integer, fraction),
        };
        let (weight, groups) = groups(integer, fraction);
        let scale = fraction.len().min(MAX_SCALE);
        out.put_u16(u16::try_from(groups.len()).unwrap_or(u16::MAX));
        out.put_i16(weight);
        out.put_u16(if negative { NEGATIVE } else { POSITIVE });
        out.put_u16(u16::try_from(scale).unwrap_or(u16::MAX));
        for group in groups {
            out.put_u16(group);
        }
    }
}

/// PostgreSQL's own rule, without its rounding: no digit below the scale, and none above precision minus scale.
fn unrepresentable_digits(integer: &str, fraction: &str, limit: NumericLimit) -> Option<String> {
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    let zeros_behind = |text: &str| length(text) - length(text.trim_end_matches('0'));
    let zeros_before = |text: &str| length(text) - length(text.trim_start_matches('0'));
    let zero = integer.is_empty() && fraction.is_empty();
    let lowest = if fraction.is_empty() {
        -zeros_behind(integer)
    } else {
        length(fraction)
    };
    let highest = if integer.is_empty() {
        -zeros_before(fraction)
    } else {
        length(integer)
    };
    if zero {
        None
    } else if lowest > limit.scale {
        Some(format!(
            "the number has digits below the scale of {}",
            limit.scale
        ))
    } else if highest > limit.precision - limit.scale {
        Some(format!(
            "the number has too many digits for a precision of {} and a scale of {}",
            limit.precision, limit.scale
        ))
    } else {
        None
    }
}

/// Base-10000 digits without zeros around them, and the weight of the first.
fn groups(integer: &str, fraction: &str) -> (i16, Vec<u16>) {
    let lead = (GROUP - integer.len() % GROUP) % GROUP;
    let digits = std::iter::repeat_n(b'0', lead)
        .chain(integer.bytes())
        .chain(fraction.bytes());
    let mut groups = Vec::with_capacity((integer.len() + fraction.len()) / GROUP + 2);
    let (mut group, mut filled) = (0u16, 0);
    for digit in digits {
        group = group * 10 + u16::from(digit - b'0');
        filled += 1;
        if filled == GROUP {
            groups.push(group);
            (group, filled) = (0, 0);
        }
    }
    if filled > 0 {
        groups.push((filled..GROUP).fold(group, |group, _| group * 10));
    }
    let weight = integer.len().div_ceil(GROUP) as i64 - 1;
    let zeros = groups.iter().take_while(|&&group| group == 0).count();
    groups.drain(..zeros);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        return (0, groups);
    }
    let weight = weight - i64::try_from(zeros).unwrap_or(i64::MAX);
    (i16::try_from(weight).unwrap_or(i16::MAX), groups)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn round_trip(text: &str) -> String {
        let mut data = Vec::new();
        Decimal::parse(text).unwrap().encode(&mut data);
        let mut printed = String::new();
        decode(&data, &mut printed).unwrap();
        printed
    }

    #[test]
    fn numbers_come_back() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "100000000",
            "0.0001",
            "0.00001",
            "-12345.6789",
            "99999999999999999999.000000000001",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            assert_eq!(round_trip(text), text);
        }
        assert_eq!(round_trip("-0.00"), "0.00");
        assert_eq!(round_trip("0012.5"), "12.5");
        for text in [
            "", "-", ".5", "5.", "1e5", " 1", "+1", "-NaN", "1.2.3", "0x1",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn forms_that_postgresql_never_makes_are_refused() {
        let read = |words: &[u16]| {
            let data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let mut text = String::new();
            decode(&data, &mut text).map(|()| text)
        };
        assert_eq!(read(&[2, 0, POSITIVE, 2, 1, 2300]).as_deref(), Some("1.23"));
        assert_eq!(read(&[0, 0, POSITIVE, 2]).as_deref(), Some("0.00"));
        for words in [
            &[1, 0, POSITIVE, 0, 0][..],
            &[2, 1, POSITIVE, 0, 0, 1],
            &[2, 0, POSITIVE, 4, 1, 0],
            &[0, 0, NEGATIVE, 0],
            &[0, 5, POSITIVE, 0],
            // Digits that the scale hides.
            &[2, 0, POSITIVE, 1, 1, 2300],
            &[1, 0xFFFF, POSITIVE, 3, 1],
            &[1, 0, POSITIVE, 0, 10_000],
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let fits = |text, precision, scale| {
            let limit = NumericLimit { precision, scale };
            Decimal::parse(text)
                .unwrap()
                .unrepresentable(Some(limit))
                .is_none()
        };
        assert!(fits("123.45", 5, 2));
        assert!(fits("123.450", 5, 2));
        assert!(!fits("123.456", 5, 2));
        assert!(!fits("1234.5", 5, 2));
        assert!(fits("0", 2, 5));
        assert!(fits("0.00012", 2, 5));
        assert!(!fits("0.0012", 2, 5));
        assert!(fits("12000", 2, -3));
        assert!(!fits("12100", 2, -3));
        assert!(!fits("Infinity", 5, 2));
        assert!(fits("NaN", 5, 2));
    }

    proptest! {
        #[test]
        fn any_number_comes_back(text in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?") {
            let zero = text.bytes().all(|byte| !(b'1'..=b'9').contains(&byte));
            let expected = if zero { text.trim_start_matches('-') } else { &text };
            prop_assert_eq!(round_trip(&text), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(data in proptest::collection::vec(any::<u8>(), 0..40), text: String) {
            let _ = decode(&data, &mut String::new());
            let _ = Decimal::parse(&text);
        }
    }
}
