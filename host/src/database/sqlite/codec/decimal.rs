//! Finds the numbers of SQLite that are exactly a decimal number in text form.

/// A number of SQLite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(i64),
    Real(f64),
}

/// Returns the number that a plain decimal is exactly: an integer, or the double whose shortest form has the same digits.
pub fn exact(text: &str) -> Option<Number> {
    let decimal = Digits::of_plain(text)?;
    if decimal.exponent >= 0 {
        // A fraction has only zeros.
        let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
        if let Ok(integer) = whole.parse() {
            return Some(Number::Integer(integer));
        }
    }
    let real: f64 = text.parse().ok()?;
    (real.is_finite() && Digits::of_real(real)? == decimal).then_some(Number::Real(real))
}

/// Returns the double whose shortest form has the same digits as the integer, if there is one. From 2^53 on, a double may
/// equal the integer exactly and still be printed as another.
pub fn integer_as_real(integer: i64) -> Option<f64> {
    let real = integer as f64;
    if integer.unsigned_abs() <= 1 << 53 {
        return Some(real);
    }
    let digits = Digits::of_plain(&integer.to_string());
    (Digits::of_real(real) == digits).then_some(real)
}

/// Returns the integer for which [`integer_as_real`] returns the double, if there is one.
pub fn real_as_integer(real: f64) -> Option<i64> {
    let integer = is_integral(real).then_some(real as i64)?;
    integer_as_real(integer).map(|_| integer)
}

/// Returns true if SQLite stores the double as an integer in a column of numeric affinity (`sqlite3VdbeIntegerAffinity`).
pub fn is_integral(real: f64) -> bool {
    let integer = real as i64;
    integer as f64 == real && integer != i64::MIN && integer != i64::MAX
}

/// Returns true if SQLite reads a text as a number (`sqlite3AtoF`): one number with white space around it, not
/// hexadecimal.
pub fn looks_like_number(text: &str) -> bool {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r');
    let bytes = text.as_bytes();
    let start = bytes.iter().take_while(|byte| space(byte)).count();
    let mut rest = bytes.get(start..).unwrap_or_default();
    rest = skip_sign(rest);
    let (whole, mut rest) = skip_digits(rest);
    let mut digits = whole;
    if let Some(after) = rest.strip_prefix(b".") {
        let (fraction, after) = skip_digits(after);
        digits += fraction;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let (exponent, after) = skip_digits(skip_sign(after));
        if exponent == 0 {
            return false;
        }
        rest = after;
    }
    digits > 0 && rest.iter().all(space)
}

fn skip_sign(bytes: &[u8]) -> &[u8] {
    bytes
        .strip_prefix(b"-")
        .or_else(|| bytes.strip_prefix(b"+"))
        .unwrap_or(bytes)
}

fn skip_digits(bytes: &[u8]) -> (usize, &[u8]) {
    let count = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    (count, bytes.get(count..).unwrap_or_default())
}

/// A decimal number without the zeros around its digits: `digits` × 10^`exponent`.
#[derive(Debug, PartialEq)]
struct Digits {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Digits {
    /// Parses the form `-12.340`: no exponent, no leading zeros, no sign but `-`.
    fn of_plain(text: &str) -> Option<Self> {
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || (whole.len() > 1 && whole.starts_with('0'))
            || !digits(whole)
            || !digits(fraction)
        {
            return None;
        }
        let exponent = -i64::try_from(fraction.len()).ok()?;
        Some(Self::trimmed(
            negative,
            format!("{whole}{fraction}"),
            exponent,
        ))
    }

    /// Returns the shortest digits that are parsed as this double.
    fn of_real(real: f64) -> Option<Self> {
        let shortest = format!("{:e}", real.abs());
        let (mantissa, exponent) = shortest.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self::trimmed(
            real.is_sign_negative(),
            format!("{whole}{fraction}"),
            exponent,
        ))
    }

    fn trimmed(negative: bool, digits: String, exponent: i64) -> Self {
        let significant = digits.trim_end_matches('0');
        let zeros = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            };
        }
        Self {
            negative,
            digits: significant.to_owned(),
            // A text of 2^63 digits does not exist.
            exponent: exponent + i64::try_from(zeros).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_become_the_number_they_are() {
        for (text, number) in [
            ("0", Number::Integer(0)),
            ("0.00", Number::Integer(0)),
            ("-0", Number::Integer(0)),
            ("-12.00", Number::Integer(-12)),
            ("1.10", Number::Real(1.1)),
            ("-0.5", Number::Real(-0.5)),
            ("9223372036854775807", Number::Integer(i64::MAX)),
            ("10000000000000000000", Number::Real(1e19)),
        ] {
            assert_eq!(exact(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_a_double_cannot_hold_is_no_number() {
        for text in [
            "0.12345678901234567890",
            "12345678901234567890",
            "007",
            "+1",
            "1e5",
            ".5",
            "5.",
            " 1",
            "",
            "-",
            "NaN",
            "1.2.3",
        ] {
            assert_eq!(exact(text), None, "{text}");
        }
        // Beyond every double.
        assert_eq!(exact(&"9".repeat(400)), None);
        assert_eq!(integer_as_real((1 << 53) + 1), None);
        assert_eq!(integer_as_real(i64::MAX), None);
        // Exactly doubles, which are printed as …036854776000 and …7330033700.
        assert_eq!(integer_as_real(i64::MIN), None);
        assert_eq!(integer_as_real(-4_322_132_057_330_033_664), None);
        assert_eq!(real_as_integer(-4_322_132_057_330_033_664.0), None);
        assert_eq!(integer_as_real(1 << 53), Some(9_007_199_254_740_992.0));
        assert_eq!(real_as_integer(-1e18), Some(-1_000_000_000_000_000_000));
    }

    proptest! {
        #[test]
        fn every_double_is_the_decimal_it_prints(bits: u64) {
            let real = f64::from_bits(bits);
            prop_assume!(real.is_finite() && !is_integral(real));
            prop_assert_eq!(exact(&format!("{real}")), Some(Number::Real(real)));
        }

        #[test]
        fn integers_are_integers(integer: i64, zeros in 0usize..4) {
            let text = if zeros == 0 { integer.to_string() } else { format!("{integer}.{}", "0".repeat(zeros)) };
            prop_assert_eq!(exact(&text), Some(Number::Integer(integer)));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = (exact(&text), looks_like_number(&text));
        }
    }
}
