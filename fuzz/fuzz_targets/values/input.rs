//! What is tried: values and types that are likely to mean something to each other.

use arbitrary::Arbitrary;
use tombolo::bindings::types::{Cell, LogicalType};
use tombolo::fuzzing::postgres::{self, Column};
use tombolo::rows::temporal;

#[derive(Arbitrary, Debug)]
pub enum Input {
    Postgres { column: Type, incoming: Logical, value: Value },
    Field { column: Type, field: Vec<u8> },
    Copy { columns: Vec<Type>, rows: Vec<Vec<Option<Vec<u8>>>>, noise: Vec<u8>, cut: u8 },
    Sqlite { declared: u8, logical: Logical, value: Value },
    Numeric { count: u8, weight: i16, sign: Sign, scale: u16, groups: Vec<u16>, raw: Option<Vec<u8>> },
    Text(Text),
}

#[derive(Arbitrary, Debug)]
pub struct Type {
    number: u8,
    modifier: Option<i32>,
}

impl Type {
    pub fn column(&self) -> Column {
        let types = postgres::TYPES;
        let oid = types[usize::from(self.number) % types.len()];
        Column::new(oid, self.modifier.unwrap_or(-1))
    }
}

#[derive(Arbitrary, Debug)]
pub enum Sign {
    Positive,
    Negative,
    NotANumber,
    Infinity,
    NegativeInfinity,
    Other(u16),
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Logical {
    /// The column's own.
    Own,
    Boolean,
    Integer,
    Float,
    Decimal,
    Text,
    Bytes,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Any,
    Other,
}

impl Logical {
    pub fn of(&self, own: &LogicalType) -> LogicalType {
        match self {
            Self::Own => own.clone(),
            Self::Boolean => LogicalType::Boolean,
            Self::Integer => LogicalType::Integer,
            Self::Float => LogicalType::Float,
            Self::Decimal => LogicalType::Decimal,
            Self::Text => LogicalType::Text,
            Self::Bytes => LogicalType::Bytes,
            Self::Date => LogicalType::Date,
            Self::Time => LogicalType::Time,
            Self::Timetz => LogicalType::Timetz,
            Self::Timestamp => LogicalType::Timestamp,
            Self::Timestamptz => LogicalType::Timestamptz,
            Self::Interval => LogicalType::Interval,
            Self::Uuid => LogicalType::Uuid,
            Self::Json => LogicalType::Json,
            Self::Any => LogicalType::Any,
            Self::Other => LogicalType::Other("pg:inet".to_owned()),
        }
    }
}

#[derive(Arbitrary, Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Small(i8),
    Real(u64),
    Whole(i32),
    Text(Text),
    Bytes(Vec<u8>),
    Uuid([u8; 16]),
}

impl Value {
    pub fn cell(&self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Boolean(value) => Cell::Boolean(*value),
            Self::Integer(value) => Cell::Integer(*value),
            Self::Small(value) => Cell::Integer((*value).into()),
            Self::Real(bits) => Cell::Real(f64::from_bits(*bits)),
            Self::Whole(value) => Cell::Real((*value).into()),
            Self::Text(text) => Cell::Text(text.text()),
            Self::Bytes(bytes) => Cell::Bytes(bytes.clone()),
            Self::Uuid(bytes) => Cell::Bytes(bytes.to_vec()),
        }
    }
}

/// Texts that are likely to mean something.
#[derive(Arbitrary, Debug)]
pub enum Text {
    Raw(String),
    Decimal { minus: bool, whole: u64, zeros: u8, fraction: Option<u64>, leading: u8, trailing: u8 },
    Float(u64),
    Date(i32, Option<(u8, char)>),
    Time(u64, Option<(u8, char)>),
    Timestamp(i64, bool, Option<(u8, char)>),
    Uuid(u128),
}

impl Text {
    pub fn text(&self) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Decimal { minus, whole, zeros, fraction, leading, trailing } => {
                let zeros_of = |count: &u8, most| "0".repeat(usize::from(count % most));
                let sign = if *minus { "-" } else { "" };
                let mut text = format!("{sign}{}{whole}{}", zeros_of(leading, 3), zeros_of(zeros, 40));
                if let Some(fraction) = fraction {
                    text.push_str(&format!(".{}{fraction}{}", zeros_of(leading, 7), zeros_of(trailing, 9)));
                }
                text
            }
            Self::Float(bits) => f64::from_bits(*bits).to_string(),
            Self::Date(days, change) => {
                changed(temporal::format_date(i64::from(*days).clamp(-2_451_545, 2_145_031_948)), change)
            }
            Self::Time(at, change) => {
                changed(temporal::format_time((at % 86_400_000_001) as i64), change)
            }
            Self::Timestamp(at, utc, change) => {
                let at = (*at).clamp(-211_813_488_000_000_000, 9_223_371_331_199_999_999);
                changed(temporal::format_timestamp(at, *utc), change)
            }
            Self::Uuid(number) => {
                let digits = format!("{number:032x}");
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                parts.join("-")
            }
        }
    }
}

/// One character is another.
fn changed(text: String, change: &Option<(u8, char)>) -> String {
    let Some((at, by)) = change else { return text };
    let at = usize::from(*at) % text.chars().count();
    let replaced = |(place, old)| if place == at { *by } else { old };
    text.chars().enumerate().map(replaced).collect()
}
