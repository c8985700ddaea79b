//! The binary format of `COPY`: its header, its trailer, and a reader for its rows.

use bytes::{Buf, BufMut, BytesMut};

use super::decode::{self, DecodeError};
use super::types::PhysicalType;
use super::wide_text::Scratch;
use crate::rows::{BlockBuilder, CellRef, MAX_ROW_BYTES, is_utf8};

/// The begin of a stream, before flags and the length of an extension.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Appends the header of a stream.
pub(in crate::database::postgres) fn start_copy(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u64(0);
}

/// Appends the trailer of a stream.
pub(in crate::database::postgres) fn end_copy(out: &mut BytesMut) {
    out.put_i16(-1);
}

/// Reads rows from pieces of a stream; holds one row and the rest of its piece.
pub(in crate::database::postgres) struct CopyReader {
    types: Vec<PhysicalType>,
    buffer: BytesMut,
    started: bool,
    ended: bool,
    scratch: Scratch,
}

impl CopyReader {
    pub fn new(types: Vec<PhysicalType>) -> Self {
        Self {
            types,
            buffer: BytesMut::new(),
            started: false,
            ended: false,
            scratch: Scratch::default(),
        }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Moves the next complete row into the builder; returns false if more bytes are needed.
    pub fn next_row(&mut self, rows: &mut BlockBuilder) -> Result<bool, DecodeError> {
        if !self.begins_row()? {
            return Ok(false);
        }
        let Some(length) = self.row_length()? else {
            return Ok(false);
        };
        let mut rest = self.buffer.get(2..length).ok_or(DecodeError::Format)?;
        let before = rows.byte_count();
        for (position, physical) in self.types.iter().enumerate() {
            let (field, after) = split_field(rest).ok_or(DecodeError::Format)?;
            rest = after;
            match (field, physical) {
                (None, _) => rows.push(CellRef::Null),
                // `is_utf8` is fast for ASCII, as nearly all texts are.
                (
                    Some(data),
                    PhysicalType::Text(_)
                    | PhysicalType::Json
                    | PhysicalType::Jsonb
                    | PhysicalType::ByText,
                ) => {
                    let text = match physical {
                        PhysicalType::Jsonb => {
                            decode::document(data).ok_or(DecodeError::Value(position + 1))?
                        }
                        _ => data,
                    };
                    if !is_utf8(text) {
                        return Err(DecodeError::Encoding(position + 1));
                    }
                    rows.push_text(text);
                }
                (Some(data), physical) => {
                    rows.push(decode::cell(
                        *physical,
                        data,
                        &mut self.scratch,
                        position + 1,
                    )?);
                }
            }
            // A few bytes of `numeric` can be a hundred thousand digits.
            if rows.byte_count() - before > MAX_ROW_BYTES {
                return Err(DecodeError::TooLarge);
            }
        }
        rows.end_row();
        self.buffer.advance(length);
        Ok(true)
    }

    /// Returns the next complete row as it is in the stream; none if more bytes are needed.
    pub fn next_encoded(&mut self) -> Result<Option<BytesMut>, DecodeError> {
        if !self.begins_row()? {
            return Ok(None);
        }
        let length = self.row_length()?;
        Ok(length.map(|length| self.buffer.split_to(length)))
    }

    /// Returns true if a row may follow: the stream has started and not ended.
    fn begins_row(&mut self) -> Result<bool, DecodeError> {
        if !self.started && !self.start()? {
            return Ok(false);
        }
        match self.ended && !self.buffer.is_empty() {
            true => Err(DecodeError::Format),
            false => Ok(!self.ended),
        }
    }

    /// Returns true if the whole stream was read.
    pub fn is_complete(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }

    fn start(&mut self) -> Result<bool, DecodeError> {
        let Some(header) = self.buffer.get(..SIGNATURE.len() + 8) else {
            return Ok(false);
        };
        if !header.starts_with(SIGNATURE) || !header.ends_with(&[0; 8]) {
            return Err(DecodeError::Format);
        }
        self.buffer.advance(SIGNATURE.len() + 8);
        self.started = true;
        Ok(true)
    }

    /// Returns the length of the next row, if all of it arrived; notes the trailer.
    fn row_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some((count, mut rest)) = self.buffer.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            self.buffer.advance(2);
            self.ended = true;
            return Ok(None);
        }
        if usize::try_from(count) != Ok(self.types.len()) {
            return Err(DecodeError::Format);
        }
        let mut length = 2;
        for _ in 0..count {
            let Some((size, after)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            let size = match i32::from_be_bytes(*size) {
                -1 => 0,
                size => usize::try_from(size).map_err(|_| DecodeError::Format)?,
            };
            length += 4 + size;
            if length > MAX_ROW_BYTES {
                return Err(DecodeError::TooLarge);
            }
            let Some(after) = after.get(size..) else {
                return Ok(None);
            };
            rest = after;
        }
        Ok(Some(length))
    }
}

fn split_field(data: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (size, rest) = data.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*size) {
        -1 => Some((None, rest)),
        size => {
            let (field, rest) = rest.split_at_checked(usize::try_from(size).ok()?)?;
            Some((Some(field), rest))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::Cell;
    use crate::database::postgres::codec::types::TextLimit;
    use proptest::prelude::*;

    const TYPES: [PhysicalType; 2] = [PhysicalType::Int4, PhysicalType::Text(TextLimit::None)];

    fn stream() -> Vec<u8> {
        let mut data = SIGNATURE.to_vec();
        data.extend([0; 8]);
        data.extend(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x02ab");
        data.extend(b"\0\x02\xff\xff\xff\xff\0\0\0\0");
        data.extend(b"\xff\xff");
        data
    }

    fn read(pieces: &[&[u8]]) -> Result<(Vec<Vec<Cell>>, bool), DecodeError> {
        let mut reader = CopyReader::new(TYPES.to_vec());
        let mut rows = BlockBuilder::new(2);
        for piece in pieces {
            reader.push(piece);
            while reader.next_row(&mut rows)? {}
        }
        let block = rows.take();
        let rows = block
            .rows()
            .map(|row| row.map(CellRef::to_cell).collect())
            .collect();
        Ok((rows, reader.is_complete()))
    }

    #[test]
    fn rows_arrive_whatever_the_pieces() {
        let data = stream();
        let expected = vec![
            vec![Cell::Integer(7), Cell::Text("ab".to_owned())],
            vec![Cell::Null, Cell::Text(String::new())],
        ];
        for cut in 0..data.len() {
            let (front, back) = data.split_at(cut);
            assert_eq!(read(&[front, back]), Ok((expected.clone(), true)));
        }
        let (front, _) = data.split_at(data.len() - 1);
        assert_eq!(read(&[front]).map(|(_, complete)| complete), Ok(false));
    }

    #[test]
    fn malformed_streams_are_refused() {
        let header = [&SIGNATURE[..], &[0; 8]].concat();
        assert_eq!(
            read(&[b"PGCOPY\n\xff\r\n\x01\0\0\0\0\0\0\0\0"]),
            Err(DecodeError::Format)
        );
        assert_eq!(read(&[&header, b"\0\x03"]), Err(DecodeError::Format));
        assert_eq!(
            read(&[&header, b"\0\x02\x7f\xff\xff\xff"]),
            Err(DecodeError::TooLarge)
        );
        assert_eq!(
            read(&[&header, b"\0\x02\0\0\0\x01a\0\0\0\0"]),
            Err(DecodeError::Value(1))
        );
        assert_eq!(
            read(&[&header, b"\0\x02\xff\xff\xff\xff\0\0\0\x01\xff"]),
            Err(DecodeError::Encoding(2))
        );
    }

    #[test]
    fn rows_that_grow_beyond_the_limit_are_refused() {
        let columns = 300;
        let mut reader = CopyReader::new(vec![PhysicalType::Numeric(None); columns]);
        let mut row = u16::try_from(columns).unwrap().to_be_bytes().to_vec();
        for _ in 0..columns {
            // 10^131071.
            row.extend(b"\0\0\0\x0a\0\x01\x7f\xff\0\0\0\0\x03\xe8");
        }
        reader.push(&[&SIGNATURE[..], &[0; 8], &row].concat());
        let mut rows = BlockBuilder::new(columns);
        assert_eq!(reader.next_row(&mut rows), Err(DecodeError::TooLarge));
        assert!(rows.byte_count() < MAX_ROW_BYTES + 200_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            let header = [&SIGNATURE[..], &[0; 8]].concat();
            let _ = read(&[&data]);
            let _ = read(&[&header, &data]);
        }
    }
}
