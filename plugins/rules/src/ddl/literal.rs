//! Defaults that are plain values. They are read from the peer's text and written anew, so that nothing of that text
//! reaches the statement unread.

/// A default's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `NULL`, which says no more than no default.
    Null,
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// A number: sign, digits, point, exponent.
    Number(String),
    /// A string, without its quotes.
    Text(String),
    /// `CURRENT_TIMESTAMP`.
    CurrentTimestamp,
}

impl Literal {
    /// The value as both databases write it.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Boolean(true) => "TRUE".to_owned(),
            Self::Boolean(false) => "FALSE".to_owned(),
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::CurrentTimestamp => "CURRENT_TIMESTAMP".to_owned(),
        }
    }
}

/// What values the new column holds, as far as defaults are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What the old one held, in the same database: every literal means the same.
    Same,
    /// Truth values.
    Boolean,
    /// 64-bit integers.
    Integer,
    /// Numbers.
    Number,
    /// The digits of numbers, as text.
    Digits,
    /// Text.
    Text,
    /// Dates with times.
    Moment,
    /// What no literal of both databases can say.
    Other,
}

impl Holds {
    /// The literal as a default of such a column; none if it would mean something else there.
    #[must_use]
    pub fn default(self, literal: &Literal) -> Option<String> {
        use Literal::{Boolean, CurrentTimestamp, Number, Text};
        let suits = match (self, literal) {
            (Self::Same, _)
            | (Self::Boolean, Boolean(_))
            | (Self::Text, Text(_))
            | (Self::Moment, CurrentTimestamp) => literal.clone(),
            (Self::Boolean, Number(text) | Text(text)) if text == "0" || text == "1" => {
                Boolean(text == "1")
            }
            (Self::Integer | Self::Number, Boolean(value)) => Number(u8::from(*value).to_string()),
            (Self::Integer, Number(text) | Text(text)) => Number(integer(text)?.to_string()),
            (Self::Number, Number(text) | Text(text)) if number(text) => Number(text.clone()),
            (Self::Digits, Number(text) | Text(text)) if number(text) => Text(text.clone()),
            // A database may print the digits of a fraction otherwise than they were written.
            (Self::Text, Number(text)) => Text(integer(text)?.to_string()),
            _ => return None,
        };
        Some(suits.sql())
    }
}

/// Reads a default: a literal, in any number of parentheses, with PostgreSQL's casts (`'x'::character varying`),
/// innermost first. None: an expression, or text that a statement cannot hold.
#[must_use]
pub fn parse(expression: &str) -> Option<(Literal, Vec<String>)> {
    let mut rest = expression.trim_ascii();
    let mut open = 0_usize;
    while let Some(inner) = rest.strip_prefix('(') {
        open += 1;
        rest = inner.trim_ascii_start();
    }
    let (literal, mut rest) = literal(rest)?;
    let mut casts = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(')') {
            open = open.checked_sub(1)?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            let (name, after) = after.split_at(type_length(after));
            casts.push(name.trim_ascii().to_owned());
            rest = after;
        } else {
            break;
        }
    }
    (rest.is_empty() && open == 0).then_some((literal, casts))
}

/// Whether the value is still the literal's after all casts: none has a length or precision that could cut it,
/// and numbers are not rounded on their way.
#[must_use]
pub fn casts_keep(literal: &Literal, casts: &[String]) -> bool {
    if casts.iter().any(|cast| cast.contains('(')) {
        return false;
    }
    let are = |classes: &[Class]| casts.iter().all(|cast| classes.contains(&Class::of(cast)));
    match literal {
        Literal::Null => true,
        Literal::Boolean(_) => are(&[Class::Boolean]),
        Literal::Number(text) if integer(text).is_some() => {
            are(&[Class::Integer, Class::Fraction, Class::Text])
        }
        Literal::Number(_) => are(&[Class::Fraction]),
        Literal::Text(_) => casts.len() <= 1 || are(&[Class::Text]),
        Literal::CurrentTimestamp => casts.is_empty(),
    }
}

/// Kinds of PostgreSQL's types between which a literal keeps its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// `boolean`.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers with fractions.
    Fraction,
    /// Text of any length.
    Text,
    /// One type with a meaning of its own.
    Own(String),
}

impl Class {
    /// The class of a type without length or precision, as `format_type` prints it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "boolean" => Self::Boolean,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "numeric" | "real" | "double precision" => Self::Fraction,
            "text" | "character varying" | "character" | "bpchar" | "name" => Self::Text,
            other => Self::Own(other.to_owned()),
        }
    }
}

/// The literal at the start of the text, and what follows it.
fn literal(text: &str) -> Option<(Literal, &str)> {
    if let Some(string) = text.strip_prefix('\'') {
        return string_literal(string);
    }
    let word = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default();
    let after = text.get(word.len()..)?;
    match word.to_ascii_uppercase().as_str() {
        "NULL" => return Some((Literal::Null, after)),
        "TRUE" => return Some((Literal::Boolean(true), after)),
        "FALSE" => return Some((Literal::Boolean(false), after)),
        "CURRENT_TIMESTAMP" => return Some((Literal::CurrentTimestamp, after)),
        _ => {}
    }
    let (digits, after) = text.split_at(number_length(text));
    number(digits).then(|| (Literal::Number(digits.to_owned()), after))
}

/// The rest of a string after its opening quote. A NUL cannot stand in a statement.
fn string_literal(text: &str) -> Option<(Literal, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None if value.contains('\0') => return None,
            None => return Some((Literal::Text(value), after)),
        }
    }
}

/// Bytes of the number that the text starts with: digits and points, a sign in front, an exponent behind.
fn number_length(text: &str) -> usize {
    let mut previous = b' ';
    text.bytes()
        .take_while(|&byte| {
            let part = match byte {
                b'0'..=b'9' | b'.' => true,
                b'e' | b'E' => previous.is_ascii_digit() || previous == b'.',
                b'+' | b'-' => matches!(previous, b' ' | b'e' | b'E'),
                _ => false,
            };
            previous = byte;
            part
        })
        .count()
}

/// Bytes of a cast's type name: up to the next cast or the parenthesis that is not its own.
fn type_length(text: &str) -> usize {
    let (mut quoted, mut open) = (false, 0_usize);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => open += 1,
            b')' if open > 0 => open -= 1,
            b')' | b':' | b'\'' => return position,
            _ => {}
        }
    }
    text.len()
}

/// Whether the text is a finite number, as both databases write it.
fn number(text: &str) -> bool {
    number_length(text) == text.len()
        && !text.starts_with('+')
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The text as a 64-bit integer without a sign for plus.
fn integer(text: &str) -> Option<i64> {
    if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_are_read_as_databases_print_them() {
        let text = |value: &str| Literal::Text(value.into());
        let number = |value: &str| Literal::Number(value.into());
        for (printed, literal, casts) in [
            (
                "'x'::character varying",
                text("x"),
                &["character varying"][..],
            ),
            ("'it''s'::text", text("it's"), &["text"]),
            ("''", text(""), &[]),
            ("'a::b)'::text", text("a::b)"), &["text"]),
            ("(0)::numeric", number("0"), &["numeric"]),
            ("'-1'::integer", text("-1"), &["integer"]),
            ("(-1)", number("-1"), &[]),
            ("((1.5))", number("1.5"), &[]),
            ("1e-5", number("1e-5"), &[]),
            (" 42 ", number("42"), &[]),
            (
                "('x'::character varying(3))::text",
                text("x"),
                &["character varying(3)", "text"],
            ),
            ("'a'::\"my \"\"type)\"", text("a"), &["\"my \"\"type)\""]),
            ("'{}'::text[]", text("{}"), &["text[]"]),
            (
                "NULL::character varying",
                Literal::Null,
                &["character varying"],
            ),
            ("true", Literal::Boolean(true), &[]),
            ("False", Literal::Boolean(false), &[]),
            ("current_timestamp", Literal::CurrentTimestamp, &[]),
        ] {
            let casts: Vec<String> = casts.iter().map(ToString::to_string).collect();
            assert_eq!(parse(printed), Some((literal, casts)), "{printed}");
        }
    }

    #[test]
    fn expressions_are_not_literals() {
        for expression in [
            "",
            "()",
            "now()",
            "nextval('a'::regclass)",
            "1 + 1",
            "1-1",
            "'a' || 'b'",
            "'a",
            "(1",
            "1)",
            "x",
            "\"x\"",
            "x'00'",
            "CURRENT_TIMESTAMP(3)",
            "0x1F",
            "1_000",
            "- 1",
            "--1",
            "1e",
            ".",
            "e5",
            "1; DROP TABLE x",
            "1 -- x",
            "'a' 'b'",
            "'a\0b'",
            "inf",
            "nan",
            "1e999",
            "+1",
            "'a'::text; DROP TABLE x; --'",
            "1\u{a0}",
            "TRUE_",
        ] {
            assert_eq!(parse(expression), None, "{expression:?}");
        }
    }

    #[test]
    fn casts_that_cut_or_round_are_noticed() {
        for (printed, keeps) in [
            ("'x'::character varying", true),
            ("('x'::character varying)::text", true),
            ("('abc'::character varying)::character varying(2)", false),
            ("(5)::numeric", true),
            ("(5.7)::numeric", true),
            ("(5.7)::integer", false),
            ("('5.7'::numeric)::integer", false),
            ("(5)::boolean", false),
            ("('2020-01-01'::date)::text", false),
            ("CURRENT_TIMESTAMP::date", false),
        ] {
            let (literal, casts) = parse(printed).unwrap();
            assert_eq!(casts_keep(&literal, &casts), keeps, "{printed}");
        }
    }

    #[test]
    fn a_default_changes_its_form_but_not_its_meaning() {
        for (holds, literal, expected) in [
            (Holds::Boolean, "1", Some("TRUE")),
            (Holds::Boolean, "'0'", Some("FALSE")),
            (Holds::Boolean, "2", None),
            (Holds::Integer, "true", Some("1")),
            (Holds::Integer, "'-5'", Some("-5")),
            (Holds::Integer, "1.5", None),
            (Holds::Integer, "9223372036854775808", None),
            (Holds::Integer, "CURRENT_TIMESTAMP", None),
            (Holds::Number, "'0.50'", Some("0.50")),
            (Holds::Number, "'NaN'", None),
            (Holds::Digits, "0.00", Some("'0.00'")),
            (Holds::Digits, "'x'", None),
            (Holds::Text, "'it''s'", Some("'it''s'")),
            (Holds::Text, "7", Some("'7'")),
            (Holds::Text, "1.50", None),
            (Holds::Text, "CURRENT_TIMESTAMP", None),
            (
                Holds::Moment,
                "CURRENT_TIMESTAMP",
                Some("CURRENT_TIMESTAMP"),
            ),
            (Holds::Moment, "'now'", None),
            (Holds::Other, "'x'", None),
            (Holds::Same, "1.50", Some("1.50")),
        ] {
            let (parsed, _) = parse(literal).unwrap();
            assert_eq!(
                holds.default(&parsed).as_deref(),
                expected,
                "{holds:?} {literal}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_trouble(text in any::<String>()) {
            if let Some((literal, casts)) = parse(&text) {
                let _ = casts_keep(&literal, &casts);
            }
        }

        #[test]
        fn strings_come_back(text in "[^\0]{0,20}") {
            let literal = Literal::Text(text);
            prop_assert_eq!(parse(&literal.sql()), Some((literal.clone(), vec![])));
        }

        #[test]
        fn numbers_come_back(value in any::<i64>(), real in -1e300_f64..1e300) {
            for digits in [value.to_string(), real.to_string(), format!("{real:e}")] {
                prop_assert_eq!(parse(&digits), Some((Literal::Number(digits), vec![])));
            }
        }
    }
}
