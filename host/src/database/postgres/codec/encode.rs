//! Encodes canonical cells as PostgreSQL's binary values: exactly, or not at all.

use bytes::{BufMut, BytesMut};

use super::numeric::Decimal;
use super::types::{PhysicalType, TextLimit};
use super::value::{
    Value, boolean, date, double, exactly_as, in_range, integer, mismatch, moment, ranged, rounded,
    single, text, value, with_digits, within_a_day, without_nul,
};
use crate::bindings::types::LogicalType;
use crate::rows::{CellRef, EncodedCell, parse_uuid, temporal};

/// How the cells of an incoming column are encoded for a local one.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct ColumnEncoding {
    pub incoming: LogicalType,
    pub local: LogicalType,
    pub physical: PhysicalType,
    /// Whether each cell says itself what it means, whatever its column declares, as those of SQLite do.
    pub by_class: bool,
    /// Whether documents are checked before PostgreSQL does it: those that come from PostgreSQL are well formed.
    pub check_documents: bool,
}

impl ColumnEncoding {
    /// Appends an encoded cell; its bytes are copied where both formats agree. See [`Self::encode`].
    pub fn copy_cell(&self, cell: EncodedCell<'_>, out: &mut BytesMut) -> Result<(), String> {
        match (&self.incoming, self.physical) {
            (incoming, PhysicalType::Int8)
                if self.by_class || *incoming == LogicalType::Integer =>
            {
                if let Some(bytes) = cell.integer() {
                    out.put_i32(8);
                    out.put_slice(&bytes);
                    return Ok(());
                }
            }
            (incoming, PhysicalType::Text(TextLimit::None))
                if self.by_class || *incoming == LogicalType::Text =>
            {
                if let Some(text) = cell.text().and_then(storable) {
                    out.put_i32(text.length);
                    out.put_slice(text.bytes);
                    return Ok(());
                }
            }
            (LogicalType::Json, PhysicalType::Jsonb) if !self.check_documents => {
                if let Some(text) = cell.text().and_then(storable) {
                    out.put_i32(text.length + 1);
                    out.put_u8(1);
                    out.put_slice(text.bytes);
                    return Ok(());
                }
            }
            _ => {}
        }
        let cell = cell.decode().ok_or("the cell is not well formed")?;
        self.encode(cell, out)
    }

    /// Appends a cell as a field of a COPY row. The error says why it does not fit, without the value.
    pub fn encode(&self, cell: CellRef<'_>, out: &mut BytesMut) -> Result<(), String> {
        if let PhysicalType::WideText(form) = self.physical {
            let text = form.print(cell)?;
            return match text {
                Some(text) => Self::field(out, |out| {
                    out.put_slice(text.as_bytes());
                    Ok(())
                }),
                None => {
                    out.put_i32(-1);
                    Ok(())
                }
            };
        }
        let read = match value(&self.incoming, cell) {
            Err(_) if self.by_class => value(&LogicalType::Any, cell),
            read => read,
        };
        match read? {
            Some(value) => Self::field(out, |out| self.put(value, out)),
            None => {
                out.put_i32(-1);
                Ok(())
            }
        }
    }

    fn field(
        out: &mut BytesMut,
        put: impl FnOnce(&mut BytesMut) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = out.len();
        out.put_i32(0);
        put(out)?;
        let length = i32::try_from(out.len() - start - 4).map_err(|_| "the value is too large")?;
        if let Some(prefix) = out.get_mut(start..start + 4) {
            prefix.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn put(&self, value: Value<'_>, out: &mut BytesMut) -> Result<(), String> {
        let value = match (value, &self.incoming) {
            // A domain whose values another database holds as they are printed.
            (Value::Printed(text), LogicalType::Other(_)) => Value::Text(text),
            // SQLite has no truth values of its own.
            (Value::Boolean(value), _) if self.by_class => Value::Integer(value.into()),
            (value, _) if self.by_class => value,
            (value, _) => exactly_as(value, self.physical),
        };
        match self.physical {
            PhysicalType::Bool => out.put_u8(u8::from(boolean(value)?)),
            PhysicalType::Int2 => out.put_i16(ranged(integer(value)?)?),
            PhysicalType::Int4 => out.put_i32(ranged(integer(value)?)?),
            PhysicalType::Int8 => out.put_i64(integer(value)?),
            PhysicalType::Float4 => out.put_f32(single(value)?),
            PhysicalType::Float8 => out.put_f64(double(value)?),
            // SQLite has infinite decimals as texts as well; one read back could not be told from the other.
            PhysicalType::Numeric(_) if self.by_class && is_infinite(value) => {
                return Err("an infinite number is none of a column of decimals".to_owned());
            }
            PhysicalType::Numeric(limit) => with_digits(value, |digits| {
                let number = Decimal::parse(digits).ok_or("the text is not a decimal number")?;
                match number.unrepresentable(limit) {
                    Some(reason) => Err(reason),
                    None => {
                        number.encode(out);
                        Ok(())
                    }
                }
            })?,
            PhysicalType::Text(limit) => match value {
                // The value of a column of integers, and not one integer among texts.
                Value::Integer(number) if !self.by_class => {
                    let digits = number.to_string();
                    out.put_slice(text(Value::Text(&digits), limit)?.as_bytes());
                }
                value => out.put_slice(text(value, limit)?.as_bytes()),
            },
            PhysicalType::Bytea => match value {
                Value::Bytes(bytes) => out.put_slice(bytes),
                other => return Err(mismatch(other, "bytea")),
            },
            PhysicalType::Date => out.put_i32(date(value)?),
            PhysicalType::Time(digits) => {
                let at = moment(value, "time", temporal::parse_time)?;
                out.put_i64(rounded(within_a_day(at)?, digits)?);
            }
            PhysicalType::Timestamp(digits) => {
                let at = moment(value, "timestamp", |text| {
                    temporal::parse_timestamp(text, false)
                })?;
                out.put_i64(rounded(in_range(at)?, digits)?);
            }
            PhysicalType::Timestamptz(digits) => {
                let at = moment(value, "timestamptz", |text| {
                    temporal::parse_timestamp(text, true)
                })?;
                out.put_i64(rounded(in_range(at)?, digits)?);
            }
            PhysicalType::Uuid => match value {
                Value::Uuid(bytes) => out.put_slice(&bytes),
                Value::Text(text) => {
                    out.put_slice(&parse_uuid(text).ok_or("the text is not a uuid as printed")?);
                }
                other => return Err(mismatch(other, "uuid")),
            },
            PhysicalType::Json => out.put_slice(self.document(value)?.as_bytes()),
            PhysicalType::Jsonb => {
                out.put_u8(1);
                out.put_slice(self.document(value)?.as_bytes());
            }
            // [`Self::encode`] has printed it.
            PhysicalType::WideText(_) => return Err(mismatch(value, "a wider column")),
            PhysicalType::ByText => match (value, &self.incoming) {
                (Value::Text(text), _) => out.put_slice(without_nul(text)?.as_bytes()),
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

fn is_infinite(value: Value<'_>) -> bool {
    matches!(value, Value::Float(float) if !float.is_finite())
}

/// A text without NUL, and its length.
struct Storable<'a> {
    bytes: &'a [u8],
    length: i32,
}

fn storable(bytes: &[u8]) -> Option<Storable<'_>> {
    // Room for the version of a jsonb.
    let length = i32::try_from(bytes.len())
        .ok()
        .filter(|length| *length < i32::MAX)?;
    memchr::memchr(0, bytes)
        .is_none()
        .then_some(Storable { bytes, length })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::bindings::types::Cell;
    use crate::database::postgres::codec::decode;
    use crate::database::postgres::codec::types::TextLimit;
    use crate::database::postgres::codec::wide_text::Scratch;
    use proptest::prelude::*;

    fn encoding(incoming: LogicalType, physical: PhysicalType) -> ColumnEncoding {
        ColumnEncoding {
            local: incoming.clone(),
            incoming,
            physical,
            by_class: false,
            check_documents: true,
        }
    }

    /// Types that both sides have, with cells that they can hold.
    fn native() -> impl Strategy<Value = (LogicalType, PhysicalType, Cell)> {
        use LogicalType as L;
        let integer = |logical: L, physical, range: std::ops::Range<i64>| {
            (Just(logical), Just(physical), range.prop_map(Cell::Integer))
        };
        prop_oneof![
            (
                Just(L::Boolean),
                Just(PhysicalType::Bool),
                any::<bool>().prop_map(Cell::Boolean)
            ),
            integer(L::Integer, PhysicalType::Int2, -32_768..32_768),
            integer(
                L::Integer,
                PhysicalType::Int4,
                -2_147_483_648..2_147_483_648
            ),
            (
                Just(L::Integer),
                Just(PhysicalType::Int8),
                any::<i64>().prop_map(Cell::Integer)
            ),
            integer(L::Date, PhysicalType::Date, -2_451_545..2_145_031_949),
            integer(L::Time, PhysicalType::Time(6), 0..86_400_000_001),
            integer(
                L::Timestamp,
                PhysicalType::Timestamp(6),
                -1_000_000..1_000_000
            ),
            integer(
                L::Timestamptz,
                PhysicalType::Timestamptz(6),
                -211_813_488_000_000_000..9_223_371_331_200_000_000
            ),
            (
                Just(L::Float),
                Just(PhysicalType::Float8),
                any::<u64>().prop_map(|bits| Cell::Real(f64::from_bits(bits)))
            ),
            (
                Just(L::Float),
                Just(PhysicalType::Float4),
                any::<f32>().prop_map(|single| Cell::Real(single.into()))
            ),
            (
                Just(L::Text),
                Just(PhysicalType::Text(TextLimit::None)),
                "[^\0]{0,20}".prop_map(Cell::Text)
            ),
            (
                Just(L::Decimal),
                Just(PhysicalType::Numeric(None)),
                "(0|-?[1-9][0-9]{0,20})(\\.[0-9]{0,9}[1-9])?".prop_map(Cell::Text)
            ),
            (
                Just(L::Bytes),
                Just(PhysicalType::Bytea),
                proptest::collection::vec(any::<u8>(), 0..20).prop_map(Cell::Bytes)
            ),
            (
                Just(L::Uuid),
                Just(PhysicalType::Uuid),
                proptest::collection::vec(any::<u8>(), 16).prop_map(Cell::Bytes)
            ),
            (
                Just(L::Json),
                Just(PhysicalType::Jsonb),
                Just(Cell::Text("[1]".to_owned()))
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out((logical, physical, cell) in native()) {
            for incoming in [logical.clone(), LogicalType::Any] {
                let mut out = BytesMut::new();
                let encoded = encoding(incoming.clone(), physical).encode((&cell).into(), &mut out);
                if incoming == LogicalType::Any && encoded.is_err() {
                    continue;
                }
                prop_assert_eq!(encoded, Ok(()));
                let mut scratch = Scratch::default();
                let back = decode::cell(physical, &out[4..], &mut scratch, 1).unwrap().to_cell();
                match (&back, &cell) {
                    (Cell::Real(back), Cell::Real(cell)) => prop_assert_eq!(back.to_bits(), cell.to_bits()),
                    _ => prop_assert_eq!(&back, &cell),
                }
            }
        }

        #[test]
        fn any_text_fits_or_not_without_panic((_, physical, _) in native(), text: String, number: i64) {
            for incoming in [
                LogicalType::Any,
                LogicalType::Text,
                LogicalType::Decimal,
                LogicalType::Json,
                LogicalType::Timestamp,
                LogicalType::Date,
                LogicalType::Time,
            ] {
                let encoding = encoding(incoming, physical);
                let _ = encoding.encode(CellRef::Text(&text), &mut BytesMut::new());
                let _ = encoding.encode(CellRef::Integer(number), &mut BytesMut::new());
            }
        }
    }

    #[test]
    fn forms_that_would_come_back_as_others_are_refused() {
        let text = PhysicalType::Text(TextLimit::None);
        for (incoming, physical, cell) in [
            (
                LogicalType::Decimal,
                PhysicalType::Numeric(None),
                CellRef::Text("007"),
            ),
            (
                LogicalType::Decimal,
                PhysicalType::Numeric(None),
                CellRef::Text("-0.0"),
            ),
            (LogicalType::Time, text, CellRef::Integer(-1)),
            (LogicalType::Time, text, CellRef::Integer(86_400_000_001)),
        ] {
            let encoded = encoding(incoming, physical).encode(cell, &mut BytesMut::new());
            assert!(encoded.is_err(), "{cell:?}");
        }
    }

    #[test]
    fn reasons_never_show_the_value() {
        for (incoming, physical, cell) in [
            (
                LogicalType::Text,
                PhysicalType::Date,
                CellRef::Text("secret"),
            ),
            (
                LogicalType::Text,
                PhysicalType::Text(TextLimit::Characters(2)),
                CellRef::Text("secret"),
            ),
            (
                LogicalType::Decimal,
                PhysicalType::Numeric(None),
                CellRef::Text("secret"),
            ),
            (
                LogicalType::Integer,
                PhysicalType::Int2,
                CellRef::Text("secret"),
            ),
            (
                LogicalType::Json,
                PhysicalType::Json,
                CellRef::Text("secret"),
            ),
        ] {
            let reason = encoding(incoming, physical)
                .encode(cell, &mut BytesMut::new())
                .unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
