//! Encoded blocks of rows.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

use crate::bindings::types::Cell;

use super::{CellRef, FRAME_BYTES, FRAME_ROWS, FrameError};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INTEGER: u8 = 3;
const REAL: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;

/// Encoded rows that are well formed: `rows` times `columns` cells and nothing after them.
///
/// Blocks are the unit of the data plane: readers build them, frames carry them, writers walk them. Nothing between a socket
/// and a database owns single cells.
#[derive(Clone, Debug)]
pub struct RowBlock {
    data: Bytes,
    rows: u32,
    columns: usize,
    digest: u128,
    /// The offset of the last row.
    last: usize,
}

impl RowBlock {
    /// Checks untrusted bytes and takes them as a block of so many rows. Fails with [`FrameError::Cell`] if they are not well
    /// formed.
    pub fn parse(data: Bytes, rows: u32, columns: usize) -> Result<Self, FrameError> {
        // Rows without cells would take no bytes, however many are announced.
        if rows == 0 || columns == 0 {
            return Err(FrameError::Cell);
        }
        let mut rest: &[u8] = &data;
        let mut digest = 0u128;
        let mut last = 0;
        for _ in 0..rows {
            let start = rest;
            last = data.len() - start.len();
            for _ in 0..columns {
                let (cell, after) = split_encoded(rest).ok_or(FrameError::Cell)?;
                if !cell.is_well_formed() {
                    return Err(FrameError::Cell);
                }
                rest = after;
            }
            let (row, _) = start.split_at(start.len() - rest.len());
            digest = digest.wrapping_add(xxh3_128(row));
        }
        if !rest.is_empty() {
            return Err(FrameError::Cell);
        }
        Ok(Self {
            data,
            rows,
            columns,
            digest,
            last,
        })
    }

    /// Returns the cells of one encoded row of any width; none if it is not well formed.
    #[must_use]
    pub fn parse_row(data: &[u8]) -> Option<Vec<Cell>> {
        let mut rest = data;
        let mut cells = Vec::new();
        while !rest.is_empty() {
            let (cell, after) = split_encoded(rest)?;
            cells.push(cell.decode()?.to_cell());
            rest = after;
        }
        Some(cells)
    }

    /// Encodes one row.
    #[must_use]
    pub fn encode_row(cells: &[Cell]) -> Vec<u8> {
        let mut builder = BlockBuilder::new(cells.len());
        for cell in cells {
            builder.push(cell.into());
        }
        builder.data.to_vec()
    }

    /// Returns the encoded rows.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.rows
    }

    /// Returns the number of cells of each row.
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.columns
    }

    /// Returns the rows in their sequence.
    pub fn rows(&self) -> impl Iterator<Item = RowRef<'_>> {
        let mut rest: &[u8] = &self.data;
        (0..self.rows).map(move |_| {
            let start = rest;
            for _ in 0..self.columns {
                rest = split_encoded(rest).map_or(&[][..], |(_, after)| after);
            }
            let length = start.len() - rest.len();
            RowRef {
                data: start.get(..length).unwrap_or_default(),
            }
        })
    }

    /// Returns the first row.
    #[must_use]
    pub fn first_row(&self) -> RowRef<'_> {
        self.rows().next().unwrap_or(RowRef { data: &[] })
    }

    /// Returns the last row.
    #[must_use]
    pub fn last_row(&self) -> RowRef<'_> {
        RowRef {
            data: self.data.get(self.last..).unwrap_or_default(),
        }
    }

    /// Returns the sum of the rows' digests: the same whatever their sequence.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.digest
    }
}

/// One row of a block; an iterator over its cells.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    data: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// Returns the row's encoded bytes, which are canonical: equal rows have equal bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.data
    }

    /// Returns the XXH3-128 digest of the row's bytes, its share of [`RowBlock::digest`].
    #[must_use]
    pub fn digest(&self) -> u128 {
        xxh3_128(self.data)
    }

    /// Returns the next cell as it is encoded; none after the last one.
    pub fn next_encoded(&mut self) -> Option<EncodedCell<'a>> {
        let (cell, rest) = split_encoded(self.data)?;
        self.data = rest;
        Some(cell)
    }
}

impl<'a> Iterator for RowRef<'a> {
    type Item = CellRef<'a>;

    fn next(&mut self) -> Option<CellRef<'a>> {
        self.next_encoded()?.decode()
    }
}

/// One cell as it is encoded: `i32` big-endian length of what follows, tag, payload.
#[derive(Clone, Copy, Debug)]
pub struct EncodedCell<'a> {
    data: &'a [u8],
    tag: u8,
    payload: &'a [u8],
}

impl<'a> EncodedCell<'a> {
    /// Returns all its bytes, which are canonical.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.data
    }

    /// Returns the UTF-8 bytes of a text; none for another kind of cell.
    #[must_use]
    pub fn text(self) -> Option<&'a [u8]> {
        (self.tag == TEXT).then_some(self.payload)
    }

    /// Returns the big-endian bytes of an integer; none for another kind of cell.
    #[must_use]
    pub fn integer(self) -> Option<[u8; 8]> {
        if self.tag != INTEGER {
            return None;
        }
        self.payload.try_into().ok()
    }

    /// Returns the decoded cell; none if it is not well formed.
    #[must_use]
    pub fn decode(self) -> Option<CellRef<'a>> {
        let payload = self.payload;
        Some(match (self.tag, payload.len()) {
            (NULL, 0) => CellRef::Null,
            (FALSE, 0) => CellRef::Boolean(false),
            (TRUE, 0) => CellRef::Boolean(true),
            (INTEGER, 8) => CellRef::Integer(i64::from_be_bytes(payload.try_into().ok()?)),
            (REAL, 8) => CellRef::Real(f64::from_be_bytes(payload.try_into().ok()?)),
            (TEXT, _) => CellRef::Text(std::str::from_utf8(payload).ok()?),
            (BYTES, _) => CellRef::Bytes(payload),
            _ => return None,
        })
    }

    fn is_well_formed(self) -> bool {
        match self.tag {
            TEXT => is_utf8(self.payload),
            _ => self.decode().is_some(),
        }
    }
}

/// Returns true for valid UTF-8. The standard library's check is slow for short ASCII texts.
#[must_use]
pub fn is_utf8(data: &[u8]) -> bool {
    data.is_ascii() || std::str::from_utf8(data).is_ok()
}

/// Splits one cell off.
fn split_encoded(data: &[u8]) -> Option<(EncodedCell<'_>, &[u8])> {
    let length = i32::from_be_bytes(*data.first_chunk::<4>()?);
    let (data, rest) = data.split_at_checked(usize::try_from(length).ok()?.checked_add(4)?)?;
    let (tag, payload) = data.get(4..)?.split_first()?;
    let cell = EncodedCell {
        data,
        tag: *tag,
        payload,
    };
    Some((cell, rest))
}

/// Builds blocks row by row.
#[derive(Debug)]
pub struct BlockBuilder {
    data: BytesMut,
    rows: u32,
    columns: usize,
    digest: u128,
    /// The offset at which the unfinished row begins.
    row: usize,
    /// The offset at which the last finished row begins.
    last: usize,
}

impl BlockBuilder {
    /// Returns a builder for rows of this many cells.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            data: BytesMut::new(),
            rows: 0,
            columns,
            digest: 0,
            row: 0,
            last: 0,
        }
    }

    /// Adds one cell to the unfinished row. Each row has exactly `columns` cells before [`Self::end_row`].
    pub fn push(&mut self, cell: CellRef<'_>) {
        match cell {
            CellRef::Null => self.put(NULL, &[]),
            CellRef::Boolean(value) => self.put(if value { TRUE } else { FALSE }, &[]),
            CellRef::Integer(value) => self.put(INTEGER, &value.to_be_bytes()),
            CellRef::Real(value) => self.put(REAL, &value.to_be_bytes()),
            CellRef::Text(value) => self.put(TEXT, value.as_bytes()),
            CellRef::Bytes(value) => self.put(BYTES, value),
        }
    }

    /// Adds a text that is known to be UTF-8, as [`Self::push`] does.
    pub fn push_text(&mut self, utf8: &[u8]) {
        self.put(TEXT, utf8);
    }

    fn put(&mut self, tag: u8, payload: &[u8]) {
        // Databases bound a value at 1 GiB, far below the limit of the length.
        let length = i32::try_from(payload.len() + 1).unwrap_or(i32::MAX);
        self.data.reserve(payload.len() + 5);
        self.data.put_i32(length);
        self.data.put_u8(tag);
        self.data.put_slice(payload);
    }

    /// Ends the unfinished row.
    pub fn end_row(&mut self) {
        let row = self.data.get(self.row..).unwrap_or_default();
        self.digest = self.digest.wrapping_add(xxh3_128(row));
        self.last = self.row;
        self.row = self.data.len();
        self.rows += 1;
    }

    /// Adds a whole row of another block of the same columns.
    pub fn push_row(&mut self, row: RowRef<'_>) {
        self.data.extend_from_slice(row.data);
        self.end_row();
    }

    /// Returns the number of bytes so far.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.data.len()
    }

    /// Returns true if the block is as large as a frame should be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= FRAME_ROWS || self.data.len() >= FRAME_BYTES
    }

    /// Returns true if no row was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the rows so far as a block, and begins a new one.
    pub fn take(&mut self) -> RowBlock {
        self.row = 0;
        RowBlock {
            data: self.data.split().freeze(),
            rows: std::mem::take(&mut self.rows),
            columns: self.columns,
            digest: std::mem::take(&mut self.digest),
            last: std::mem::take(&mut self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    use crate::bindings::types::Cell;

    fn cells() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<bool>().prop_map(Cell::Boolean),
            any::<i64>().prop_map(Cell::Integer),
            any::<u64>().prop_map(|bits| Cell::Real(f64::from_bits(bits))),
            any::<String>().prop_map(Cell::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Cell::Bytes),
        ]
    }

    fn block(rows: &[Vec<Cell>], columns: usize) -> RowBlock {
        let mut builder = BlockBuilder::new(columns);
        for row in rows {
            for cell in row {
                builder.push(cell.into());
            }
            builder.end_row();
        }
        builder.take()
    }

    proptest! {
        #[test]
        fn rows_come_back_bit_by_bit(rows in proptest::collection::vec(proptest::collection::vec(cells(), 3), 1..20)) {
            let built = block(&rows, 3);
            let parsed = RowBlock::parse(built.data().clone(), built.row_count(), 3).unwrap();
            let again = block(&parsed.rows().map(|row| row.map(CellRef::to_cell).collect()).collect::<Vec<_>>(), 3);
            prop_assert_eq!(built.data(), again.data());
            prop_assert_eq!(built.digest(), again.digest());
            for block in [&built, &parsed] {
                let ends = (block.rows().next().unwrap().bytes(), block.rows().last().unwrap().bytes());
                prop_assert_eq!((block.first_row().bytes(), block.last_row().bytes()), ends);
            }
        }

        #[test]
        fn strangers_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200), rows in 0u32..9, columns in 0usize..5) {
            if let Ok(block) = RowBlock::parse(data.into(), rows, columns) {
                prop_assert_eq!(block.rows().count(), rows as usize);
            }
        }
    }

    #[test]
    fn rows_that_take_no_bytes_are_refused_at_once() {
        for (rows, columns) in [(0, 1), (u32::MAX, 0)] {
            let parsed = RowBlock::parse(Bytes::new(), rows, columns);
            assert!(matches!(parsed, Err(FrameError::Cell)));
        }
    }

    #[test]
    fn order_does_not_change_the_digest_and_content_does() {
        let one = vec![Cell::Integer(1)];
        let two = vec![Cell::Integer(2)];
        let forward = block(&[one.clone(), two.clone()], 1).digest();
        assert_eq!(forward, block(&[two.clone(), one.clone()], 1).digest());
        assert_ne!(forward, block(&[one.clone(), one], 1).digest());
    }
}
