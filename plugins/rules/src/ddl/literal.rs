//! Defaults that are plain values: parsed from the peer's text and printed again, so that no unparsed text reaches a
//! statement.

/// The value of a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `NULL`, which means the same as no default.
    Null,
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// A number: sign, digits, point and exponent.
    Number(String),
    /// A string, without its quotes.
    Text(String),
    /// `CURRENT_TIMESTAMP`.
    CurrentTimestamp,
}

impl Literal {
    /// Returns the value as both databases write it.
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

/// Which values the new column holds, as far as defaults are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The values of the old column, in a database of the same kind: every literal keeps its meaning.
    Same,
    /// Booleans.
    Boolean,
    /// 64-bit integers.
    Integer,
    /// Numbers.
    Number,
    /// Numbers as their digits in text.
    Digits,
    /// Text.
    Text,
    /// Dates and times.
    Moment,
    /// Values without a literal that both databases have.
    Other,
}

impl Holds {
    /// Returns the literal as a default of such a column; none if it would have another meaning.
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
            // A database may print other digits of a fraction than were written.
            (Self::Text, Number(text)) => Text(integer(text)?.to_string()),
            _ => return None,
        };
        Some(suits.sql())
    }
}

/// Parses a default and returns the literal with its casts (`'x'::character varying`), innermost first. Parentheses are
/// ignored. Returns none for an expression, and for text that a statement cannot contain.
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

/// Returns whether the literal keeps its value through all casts: none has a length or precision that could cut it, and
/// none rounds a number.
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

/// The classes of types of PostgreSQL within which a literal keeps its meaning.
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
    /// A type that is a class of its own.
    Own(String),
}

impl Class {
    /// Returns the class of a type without length or precision, as `format_type` prints it.
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

/// Returns the literal at the start of the text, and what follows it.
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

/// Returns the string literal whose opening quote was read, and what follows it; none if it contains NUL, which no
/// statement can.
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

/// Returns the length of the number at the start of the text, in bytes: a sign, digits and points, an exponent.
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

/// Returns the length of a cast's type name, in bytes: up to the next cast or a closing parenthesis that is not its own.
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

/// Returns whether the text is a finite number, as both databases write it.
fn number(text: &str) -> bool {
    number_length(text) == text.len()
        && !text.starts_with('+')
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Returns the text as a 64-bit integer; none if it has a plus sign.
fn integer(text: &str) -> Option<i64> {
    if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests;
