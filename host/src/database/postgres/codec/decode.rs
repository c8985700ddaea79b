//! Decodes PostgreSQL's binary values to canonical cells.

use super::numeric;
use super::types::PhysicalType;
use super::wide_text::Scratch;
use crate::rows::{CellRef, MAX_ROW_BYTES};

const JSONB_VERSION: u8 = 1;

/// Why the rows of a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::database::postgres) enum DecodeError {
    #[error("its rows are not in PostgreSQL's COPY format")]
    Format,
    #[error("a row is larger than {MAX_ROW_BYTES} bytes")]
    TooLarge,
    #[error("a value of the column at position {0} has a form that its type does not have")]
    Value(usize),
    #[error("a text of the column at position {0} is not UTF-8")]
    Encoding(usize),
}

/// Decodes one value to a canonical cell; numbers are printed to `scratch`. `position` is the column's, from 1.
pub(in crate::database::postgres) fn cell<'a>(
    physical: PhysicalType,
    data: &'a [u8],
    scratch: &'a mut Scratch,
    position: usize,
) -> Result<CellRef<'a>, DecodeError> {
    let value = match physical {
        PhysicalType::Bool => match data {
            [0] => Some(CellRef::Boolean(false)),
            [1] => Some(CellRef::Boolean(true)),
            _ => None,
        },
        PhysicalType::Int2 => {
            array(data).map(|bytes| CellRef::Integer(i16::from_be_bytes(bytes).into()))
        }
        PhysicalType::Int4 => {
            array(data).map(|bytes| CellRef::Integer(i32::from_be_bytes(bytes).into()))
        }
        // The canonical epoch is PostgreSQL's.
        PhysicalType::Int8
        | PhysicalType::Time(_)
        | PhysicalType::Timestamp(_)
        | PhysicalType::Timestamptz(_) => {
            array(data).map(|bytes| CellRef::Integer(i64::from_be_bytes(bytes)))
        }
        PhysicalType::Float4 => {
            array(data).map(|bytes| CellRef::Real(f32::from_be_bytes(bytes).into()))
        }
        PhysicalType::Float8 => array(data).map(|bytes| CellRef::Real(f64::from_be_bytes(bytes))),
        PhysicalType::Date => {
            array(data).map(|bytes| CellRef::Integer(days(i32::from_be_bytes(bytes))))
        }
        PhysicalType::Numeric(_) => {
            scratch.text.clear();
            numeric::decode(data, &mut scratch.text).map(|()| CellRef::Text(&scratch.text))
        }
        PhysicalType::Uuid => (data.len() == 16).then_some(CellRef::Bytes(data)),
        PhysicalType::Bytea => Some(CellRef::Bytes(data)),
        PhysicalType::WideText(form) => match utf8(data, position)? {
            CellRef::Text(text) => Some(form.read(text, scratch)),
            _ => None,
        },
        PhysicalType::Text(_) | PhysicalType::Json | PhysicalType::ByText => {
            return utf8(data, position);
        }
        PhysicalType::Jsonb => match document(data) {
            Some(document) => return utf8(document, position),
            None => None,
        },
    };
    value.ok_or(DecodeError::Value(position))
}

/// Returns the text of a jsonb.
pub(super) fn document(data: &[u8]) -> Option<&[u8]> {
    match data.split_first() {
        Some((&JSONB_VERSION, document)) => Some(document),
        _ => None,
    }
}

fn array<const N: usize>(data: &[u8]) -> Option<[u8; N]> {
    data.try_into().ok()
}

fn utf8(data: &[u8], position: usize) -> Result<CellRef<'_>, DecodeError> {
    std::str::from_utf8(data)
        .map(CellRef::Text)
        .map_err(|_| DecodeError::Encoding(position))
}

fn days(days: i32) -> i64 {
    match days {
        i32::MIN => i64::MIN,
        i32::MAX => i64::MAX,
        days => days.into(),
    }
}
