//! Finds the one value of a column's type that a text or a number denotes, as `docs/conversions.md` lists it.

mod document;
mod moments;
mod numbers;
mod words;
pub(in crate::database::postgres) mod zone;

pub(in crate::database::postgres) use moments::Refusal;

use super::types::PhysicalType;
use crate::bindings::types::{Cell, EpochUnit, LogicalType};
use crate::rows::CellRef;
use document::NoForm;
use zone::Zone;

const DAY: i64 = 86_400_000_000;

/// What values do not say by themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::database::postgres) struct Rules {
    /// The zone of date-times without one.
    pub zone: Option<Zone>,
    /// What numbers in columns of dates and times count.
    pub epoch: Option<EpochUnit>,
}

/// The column that a value is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::database::postgres) struct Goal<'a> {
    /// The logical type of the cells that arrive.
    pub incoming: &'a LogicalType,
    /// The logical type of the column.
    pub local: &'a LogicalType,
    pub physical: PhysicalType,
}

/// Returns the value of the column's type that a cell denotes, and the logical type to read it by. It may still be out of
/// the column's range.
pub(in crate::database::postgres) fn parse(
    cell: CellRef<'_>,
    goal: Goal<'_>,
    rules: &Rules,
) -> Result<(LogicalType, Cell), Refusal> {
    let zone = rules.zone.as_ref();
    if let (Some(moment), CellRef::Integer(value)) = (Stored::of(goal.incoming), cell) {
        return moment.convert(value, goal.physical, zone);
    }
    let nothing = Refusal::Nothing;
    let integer = |value| (LogicalType::Integer, Cell::Integer(value));
    let printed = |text| (LogicalType::Text, Cell::Text(text));
    match (goal.physical, cell) {
        (_, CellRef::Null) => Err(nothing),
        (PhysicalType::Bool, cell) => {
            let value = match cell {
                CellRef::Text(text) => words::boolean(text),
                CellRef::Real(value) if value == 0.0 || value == 1.0 => Some(value == 1.0),
                _ => None,
            };
            let value = value.ok_or(nothing)?;
            Ok((LogicalType::Boolean, Cell::Boolean(value)))
        }
        (PhysicalType::Int2 | PhysicalType::Int4 | PhysicalType::Int8, cell) => {
            let digits = digits(cell).ok_or(nothing)?;
            Ok(integer(numbers::integer(&digits).ok_or(nothing)?))
        }
        (PhysicalType::Float4, cell) => {
            let digits = digits(cell).ok_or(nothing)?;
            match numbers::single(&digits) {
                Some(single) => Ok((LogicalType::Float, Cell::Real(single.into()))),
                None => Ok((
                    LogicalType::Decimal,
                    Cell::Text(numbers::decimal(&digits).ok_or(nothing)?),
                )),
            }
        }
        // It was computed, and could not be told from a text that says it.
        (PhysicalType::Numeric(_), CellRef::Real(value)) if !value.is_finite() => Err(nothing),
        (PhysicalType::Float8 | PhysicalType::Numeric(_), cell) => {
            let digits = digits(cell).and_then(|digits| numbers::decimal(&digits));
            Ok((LogicalType::Decimal, Cell::Text(digits.ok_or(nothing)?)))
        }
        (PhysicalType::Text(_), CellRef::Integer(value)) => Ok(printed(value.to_string())),
        (PhysicalType::Uuid, cell) => {
            let bytes = match cell {
                CellRef::Text(text) => words::uuid(text).map(Vec::from),
                CellRef::Bytes(bytes) if bytes.len() == 16 => Some(bytes.to_vec()),
                _ => None,
            };
            Ok((LogicalType::Uuid, Cell::Bytes(bytes.ok_or(nothing)?)))
        }
        (PhysicalType::Json | PhysicalType::Jsonb, cell) => {
            let text = match cell {
                CellRef::Text(text) if goal.physical == PhysicalType::Jsonb => {
                    Some(document::canonical(text).map_err(|reason| match reason {
                        NoForm::Twice => Refusal::Part("a key of the document comes twice"),
                        NoForm::Unread => nothing,
                    })?)
                }
                CellRef::Integer(value) => Some(value.to_string()),
                CellRef::Real(value) if value.is_finite() => numbers::decimal(&value.to_string()),
                CellRef::Boolean(value) => Some(value.to_string()),
                _ => None,
            };
            Ok((LogicalType::Json, Cell::Text(text.ok_or(nothing)?)))
        }
        (
            PhysicalType::Date
            | PhysicalType::Time(_)
            | PhysicalType::Timestamp(_)
            | PhysicalType::Timestamptz(_),
            cell,
        ) => moment(cell, goal.physical, rules),
        (PhysicalType::ByText, cell) => by_text(cell, goal.local, rules).map(printed),
        _ => Err(nothing),
    }
}

/// Returns true if the type itself would read other spellings, so that it is the parsed text that it gets.
pub(in crate::database::postgres) fn comes_first(physical: PhysicalType) -> bool {
    matches!(physical, PhysicalType::Jsonb | PhysicalType::ByText)
}

/// Moments as their columns hold them.
#[derive(Clone, Copy)]
enum Stored {
    Date,
    Timestamp,
    Timestamptz,
    /// Other types whose integers and bytes are no numbers.
    Opaque,
}

impl Stored {
    fn of(logical: &LogicalType) -> Option<Self> {
        match logical {
            LogicalType::Date => Some(Self::Date),
            LogicalType::Timestamp => Some(Self::Timestamp),
            LogicalType::Timestamptz => Some(Self::Timestamptz),
            LogicalType::Time | LogicalType::Uuid => Some(Self::Opaque),
            _ => None,
        }
    }

    fn convert(
        self,
        value: i64,
        physical: PhysicalType,
        zone: Option<&Zone>,
    ) -> Result<(LogicalType, Cell), Refusal> {
        let endless = matches!(value, i64::MIN | i64::MAX);
        let clock = match self {
            Self::Opaque => return Err(Refusal::Nothing),
            Self::Date | Self::Timestamp | Self::Timestamptz if endless => value,
            Self::Date => value.checked_mul(DAY).ok_or(Refusal::Nothing)?,
            Self::Timestamp => value,
            Self::Timestamptz => {
                let zone = zone.ok_or(Refusal::NeedsZone)?;
                zone.clock(value).ok_or(Refusal::Nothing)?
            }
        };
        match physical {
            PhysicalType::Timestamp(_) => Ok((LogicalType::Timestamp, Cell::Integer(clock))),
            PhysicalType::Date => Ok((LogicalType::Date, Cell::Integer(moments::midnight(clock)?))),
            PhysicalType::Timestamptz(_) if endless => {
                Ok((LogicalType::Timestamptz, Cell::Integer(clock)))
            }
            PhysicalType::Timestamptz(_) => {
                let moment = zone.ok_or(Refusal::NeedsZone)?.moment(clock)?;
                Ok((LogicalType::Timestamptz, Cell::Integer(moment)))
            }
            _ => Err(Refusal::Nothing),
        }
    }
}

/// Returns a number or a text as digits.
fn digits(cell: CellRef<'_>) -> Option<String> {
    match cell {
        CellRef::Text(text) => Some(text.to_owned()),
        CellRef::Integer(value) => Some(value.to_string()),
        CellRef::Real(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Reads a date or time from a text, or from a number where its unit is known.
fn moment(
    cell: CellRef<'_>,
    physical: PhysicalType,
    rules: &Rules,
) -> Result<(LogicalType, Cell), Refusal> {
    let zone = rules.zone.as_ref();
    let number = match cell {
        CellRef::Text(text) => {
            let read = match physical {
                PhysicalType::Date => moments::date(text, zone),
                PhysicalType::Time(_) => moments::time(text),
                PhysicalType::Timestamp(_) => moments::timestamp(text, zone),
                _ => moments::timestamptz(text, zone),
            };
            match (read, numbers::decimal(text)) {
                (Err(Refusal::Nothing), Some(number)) => number,
                (read, _) => return Ok((logical(physical), Cell::Integer(read?))),
            }
        }
        CellRef::Integer(value) => value.to_string(),
        CellRef::Real(value) if value.is_finite() => {
            numbers::decimal(&value.to_string()).ok_or(Refusal::Nothing)?
        }
        _ => return Err(Refusal::Nothing),
    };
    let unit = rules.epoch.as_ref().ok_or(Refusal::NeedsEpoch)?;
    let number = moments::microseconds(&number, unit).ok_or(Refusal::Nothing)?;
    let value = match physical {
        PhysicalType::Time(_) => i64::try_from(number)
            .ok()
            .filter(|number| (0..=DAY).contains(number))
            .ok_or(Refusal::Part("the time has a date"))?,
        PhysicalType::Timestamptz(_) => moments::counted(number)?,
        PhysicalType::Date => {
            moments::midnight(moments::clock_of(moments::counted(number)?, zone)?)?
        }
        _ => moments::clock_of(moments::counted(number)?, zone)?,
    };
    Ok((logical(physical), Cell::Integer(value)))
}

fn logical(physical: PhysicalType) -> LogicalType {
    match physical {
        PhysicalType::Date => LogicalType::Date,
        PhysicalType::Time(_) => LogicalType::Time,
        PhysicalType::Timestamp(_) => LogicalType::Timestamp,
        _ => LogicalType::Timestamptz,
    }
}

/// Returns a value of a type that PostgreSQL reads by itself, as it prints it.
fn by_text(cell: CellRef<'_>, local: &LogicalType, rules: &Rules) -> Result<String, Refusal> {
    let nothing = Refusal::Nothing;
    match (local, cell) {
        (LogicalType::Timetz, CellRef::Text(text)) => moments::timetz(text, rules.zone.as_ref()),
        (LogicalType::Interval, CellRef::Text(text)) => words::interval(text).ok_or(nothing),
        (LogicalType::Interval, CellRef::Integer(value)) => {
            let unit = rules.epoch.as_ref().ok_or(Refusal::NeedsEpoch)?;
            let number = moments::microseconds(&value.to_string(), unit);
            let number = number.and_then(|number| i64::try_from(number).ok());
            number.and_then(words::interval_of).ok_or(nothing)
        }
        (LogicalType::Other(name), CellRef::Text(text)) => match name.as_str() {
            "inet" => words::inet(text),
            "macaddr" => words::macaddr(text),
            _ => None,
        }
        .ok_or(nothing),
        _ => Err(nothing),
    }
}
