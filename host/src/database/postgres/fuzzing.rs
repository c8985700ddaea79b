//! Entry points for the fuzz targets.

use bytes::BytesMut;

use super::codec::copy_stream::{CopyReader, end_copy, start_copy};
use super::codec::decode;
use super::codec::encode::ColumnEncoding;
use super::codec::numeric::{self, Decimal};
use super::codec::types::{CatalogType, ColumnType};
use super::codec::wide_text::Scratch;
use crate::bindings::types::{Cell, LogicalType};
use crate::rows::{BlockBuilder, CellRef, RowBlock};

/// The object identifiers of types with a binary form of their own, and of one without.
pub const TYPES: [i64; 20] = [
    16, 17, 19, 20, 21, 23, 25, 114, 700, 701, 869, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950,
    3802,
];

/// A column of a PostgreSQL table.
#[derive(Debug)]
pub struct Column(ColumnType);

impl Column {
    /// A column of a type with a modifier, as in `pg_attribute`.
    #[must_use]
    pub fn new(oid: i64, modifier: i32) -> Self {
        Self(ColumnType::new(CatalogType {
            oid,
            element: 0,
            modifier,
            shown: "declared".to_owned(),
            declared: "declared".to_owned(),
            foreign_cast: None,
            base: "base".to_owned(),
            bare: "bare".to_owned(),
            domain: false,
        }))
    }

    /// Returns the logical type of its cells.
    #[must_use]
    pub fn logical(&self) -> &LogicalType {
        &self.0.logical
    }

    /// Encodes a cell of an incoming column, without the field's length; none for NULL.
    pub fn encode(
        &self,
        incoming: &LogicalType,
        cell: CellRef<'_>,
    ) -> Result<Option<Vec<u8>>, String> {
        let encoding = ColumnEncoding {
            incoming: incoming.clone(),
            local: self.0.logical.clone(),
            physical: self.0.physical,
            by_class: false,
            check_documents: true,
        };
        let mut field = BytesMut::new();
        encoding.encode(cell, &mut field)?;
        let (length, data) = field.split_first_chunk::<4>().ok_or("no length")?;
        match i32::from_be_bytes(*length) {
            -1 => Ok(None),
            length if usize::try_from(length) == Ok(data.len()) => Ok(Some(data.to_vec())),
            _ => Err("the length is wrong".to_owned()),
        }
    }

    /// Decodes a field.
    #[must_use]
    pub fn decode(&self, field: &[u8]) -> Option<Cell> {
        let mut scratch = Scratch::default();
        decode::cell(self.0.physical, field, &mut scratch, 1)
            .ok()
            .map(CellRef::to_cell)
    }
}

/// Reads the rows in pieces of a COPY stream into blocks, as a snapshot does. Returns whether the stream is complete;
/// none if it is malformed.
pub fn read_copy<'a>(
    columns: &[Column],
    pieces: impl Iterator<Item = &'a [u8]>,
    mut take: impl FnMut(RowBlock),
) -> Option<bool> {
    let types = columns.iter().map(|column| column.0.physical).collect();
    let mut reader = CopyReader::new(types);
    let mut rows = BlockBuilder::new(columns.len());
    for piece in pieces {
        reader.push(piece);
        while reader.next_row(&mut rows).ok()? {
            if rows.is_full() {
                take(rows.take());
            }
        }
    }
    if !rows.is_empty() {
        take(rows.take());
    }
    Some(reader.is_complete())
}

/// Returns a COPY stream with these encoded rows.
#[must_use]
pub fn copy_stream(rows: &[u8]) -> Vec<u8> {
    let mut stream = BytesMut::new();
    start_copy(&mut stream);
    stream.extend_from_slice(rows);
    end_copy(&mut stream);
    stream.to_vec()
}

/// Encodes a decimal text and decodes it again; none if it is no decimal number.
#[must_use]
pub fn decimal_round_trip(text: &str) -> Option<String> {
    let number = Decimal::parse(text)?;
    if number.unrepresentable(None).is_some() {
        return None;
    }
    let mut data = Vec::new();
    number.encode(&mut data);
    print_numeric(&data)
}

/// Prints a binary `numeric`; none if it is malformed.
#[must_use]
pub fn print_numeric(data: &[u8]) -> Option<String> {
    let mut text = String::new();
    numeric::decode(data, &mut text).map(|()| text)
}
