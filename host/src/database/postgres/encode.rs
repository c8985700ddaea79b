//! Canonical cells to PostgreSQL's binary values: exactly, or not at all.

use bytes::{BufMut, BytesMut};

use super::decode::SIGNATURE;
use super::numeric::Decimal;
use super::types::Carrier;
use super::value::{
    Value, boolean, date, double, in_range, integer, mismatch, moment, parse_uuid, ranged, rounded,
    single, text, value, with_digits, without_nul,
};
use crate::bindings::types::LogicalType;
use crate::rows::{CellRef, temporal};

const DAY: i64 = 86_400_000_000;

/// Where an incoming column goes.
#[derive(Clone, Debug)]
pub(super) struct Conversion {
    pub incoming: LogicalType,
    pub local: LogicalType,
    pub carrier: Carrier,
    /// Whether documents have to be looked at before PostgreSQL does: those of PostgreSQL itself are well formed.
    pub check_documents: bool,
}

impl Conversion {
    /// Appends a cell as a field of a COPY row; the error says why it does not fit, without the value.
    pub(super) fn encode(&self, cell: CellRef<'_>, out: &mut BytesMut) -> Result<(), String> {
        let Some(value) = value(&self.incoming, cell)? else {
            out.put_i32(-1);
            return Ok(());
        };
        let start = out.len();
        out.put_i32(0);
        self.put(value, out)?;
        let length = i32::try_from(out.len() - start - 4).map_err(|_| "the value is too large")?;
        if let Some(prefix) = out.get_mut(start..start + 4) {
            prefix.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn put(&self, value: Value<'_>, out: &mut BytesMut) -> Result<(), String> {
        match self.carrier {
            Carrier::Bool => out.put_u8(u8::from(boolean(value)?)),
            Carrier::Int2 => out.put_i16(ranged(integer(value)?)?),
            Carrier::Int4 => out.put_i32(ranged(integer(value)?)?),
            Carrier::Int8 => out.put_i64(integer(value)?),
            Carrier::Float4 => out.put_f32(single(value)?),
            Carrier::Float8 => out.put_f64(double(value)?),
            Carrier::Numeric(limit) => with_digits(value, |digits| {
                let number = Decimal::parse(digits).ok_or("the text is not a decimal number")?;
                match number.misfit(limit) {
                    Some(reason) => Err(reason),
                    None => {
                        number.encode(out);
                        Ok(())
                    }
                }
            })?,
            Carrier::Text(limit) => out.put_slice(text(value, limit)?.as_bytes()),
            Carrier::Bytea => match value {
                Value::Bytes(bytes) => out.put_slice(bytes),
                other => return Err(mismatch(other, "bytea")),
            },
            Carrier::Date => out.put_i32(date(value)?),
            Carrier::Time(digits) => {
                let at = moment(value, "time", temporal::parse_time)?;
                if !(0..=DAY).contains(&at) {
                    return Err("the time is outside of a day".to_owned());
                }
                out.put_i64(rounded(at, digits)?);
            }
            Carrier::Timestamp(digits) => {
                let at = moment(value, "timestamp", |text| {
                    temporal::parse_timestamp(text, false)
                })?;
                out.put_i64(rounded(in_range(at)?, digits)?);
            }
            Carrier::Timestamptz(digits) => {
                let at = moment(value, "timestamptz", |text| {
                    temporal::parse_timestamp(text, true)
                })?;
                out.put_i64(rounded(in_range(at)?, digits)?);
            }
            Carrier::Uuid => match value {
                Value::Uuid(bytes) => out.put_slice(bytes),
                Value::Text(text) => {
                    out.put_slice(&parse_uuid(text).ok_or("the text is not a uuid as printed")?);
                }
                other => return Err(mismatch(other, "uuid")),
            },
            Carrier::Json => out.put_slice(self.document(value)?.as_bytes()),
            Carrier::Jsonb => {
                out.put_u8(1);
                out.put_slice(self.document(value)?.as_bytes());
            }
            Carrier::ByText => match (value, &self.incoming) {
                (Value::Text(text), _) | (Value::Printed(text), LogicalType::Other(_)) => {
                    out.put_slice(without_nul(text)?.as_bytes());
                }
                (Value::Printed(text), incoming) if *incoming == self.local => {
                    out.put_slice(without_nul(text)?.as_bytes());
                }
                (other, _) => return Err(mismatch(other, "this type")),
            },
        }
        Ok(())
    }

    fn document<'a>(&self, value: Value<'a>) -> Result<&'a str, String> {
        let (Value::Json(text) | Value::Text(text)) = value else {
            return Err(mismatch(value, "json"));
        };
        let document = without_nul(text)?;
        if self.check_documents || matches!(value, Value::Text(_)) {
            match serde_json::from_str::<serde::de::IgnoredAny>(document) {
                // PostgreSQL allows deeper documents and says itself when one is too deep.
                Err(error) if !error.to_string().contains("recursion limit") => {
                    return Err("the text is not a JSON document".to_owned());
                }
                _ => {}
            }
        }
        Ok(document)
    }
}

/// Begins a COPY stream in binary format.
pub(super) fn start_copy(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u64(0);
}

/// Ends a COPY stream in binary format.
pub(super) fn end_copy(out: &mut BytesMut) {
    out.put_i16(-1);
}
