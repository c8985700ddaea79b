//! Numbers in every usual spelling.

/// The most zeros that an exponent adds.
const MAX_ZEROS: i64 = 20_000;

/// Returns the digits of a number as `numeric` prints them: `+1.50e3` is `1500`, `.5` is `0.5`, `007` is `7`.
pub(super) fn decimal(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    match text.to_ascii_lowercase().as_str() {
        "nan" => return Some("NaN".to_owned()),
        "inf" | "+inf" | "infinity" | "+infinity" => return Some("Infinity".to_owned()),
        "-inf" | "-infinity" => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let (whole, fraction) = place_point(&digits, point)?;
    let whole = whole.trim_start_matches('0');
    let is_zero = whole.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let sign = if negative && !is_zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction.as_str() {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    })
}

/// Returns the integer that a number is.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = decimal(text)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let is_whole = fraction.bytes().all(|digit| digit == b'0');
    whole.parse().ok().filter(|_| is_whole)
}

/// Returns the single-precision number whose shortest digits are this number.
pub(super) fn single(text: &str) -> Option<f32> {
    let digits = decimal(text)?;
    let number: f32 = digits.parse().ok()?;
    let finite = number.is_finite() || matches!(digits.as_str(), "Infinity" | "-Infinity" | "NaN");
    let printed = decimal(&number.to_string())?;
    (finite && without_zeros(&printed) == without_zeros(&digits)).then_some(number)
}

fn without_zeros(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = text.parse().ok()?;
    (exponent.abs() <= MAX_ZEROS).then_some(exponent)
}

/// Divides digits at the point, with as many zeros as it takes.
fn place_point(digits: &str, point: i64) -> Option<(String, String)> {
    let length = i64::try_from(digits.len()).ok()?;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
    Some(if point <= 0 {
        (String::new(), format!("{}{digits}", zeros(-point)))
    } else if point >= length {
        (format!("{digits}{}", zeros(point - length)), String::new())
    } else {
        let (whole, fraction) = digits.split_at_checked(usize::try_from(point).ok()?)?;
        (whole.to_owned(), fraction.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_is_printed_as_numeric_prints_it() {
        for (text, expected) in [
            ("7", "7"),
            (" +007 ", "7"),
            ("1.50", "1.50"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("1.50e3", "1500"),
            ("1.50E1", "15.0"),
            ("15e-3", "0.015"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("0e9", "0"),
            ("nan", "NaN"),
            ("+Inf", "Infinity"),
            ("-infinity", "-Infinity"),
        ] {
            assert_eq!(decimal(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in [
            "",
            " ",
            "+",
            ".",
            "-.",
            "e5",
            "1e",
            "1e+",
            "1,5",
            "1,000",
            "1 000",
            "1_000",
            "0x10",
            "١",
            "1.2.3",
            "--1",
            "+-1",
            "1e20001",
            "1e-99999999999999999999",
            "5%",
            "$5",
            "true",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_integers() {
        for (text, expected) in [
            ("1.0", Some(1)),
            ("1e3", Some(1_000)),
            ("-0.0", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808.00", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.5", None),
            ("NaN", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn single_precision_is_taken_by_its_shortest_digits() {
        assert_eq!(single("0.1"), Some(0.1));
        assert_eq!(single("1.50"), Some(1.5));
        assert_eq!(single("16777217"), None);
        assert_eq!(single("0.1000000000000000055"), None);
        assert_eq!(single("1e39"), None);
        assert!(single("NaN").is_some_and(f32::is_nan));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String, like in "[-+]?[0-9.]{0,9}([eE][-+]?[0-9]{0,6})?") {
            for text in [text, like] {
                let _ = (decimal(&text), integer(&text), single(&text));
            }
        }

        #[test]
        fn doubles_keep_their_number(number: f64) {
            let digits = decimal(&format!("{number:e}"));
            prop_assert_eq!(digits.and_then(|digits| digits.parse().ok()).map(f64::is_nan), Some(number.is_nan()));
            if !number.is_nan() && number != 0.0 {
                let back: Option<f64> = decimal(&format!("{number:e}")).and_then(|digits| digits.parse().ok());
                prop_assert_eq!(back, Some(number));
            }
        }
    }
}
