//! Digests of a table's rows by buckets of their keys, which two sites compare instead of rows.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64, xxh3_128};

use super::{FrameError, RowBlock, RowRef};
use crate::bindings::types::TableSchema;

/// The number of buckets that a sender keeps, and the most that can be asked for.
pub const BUCKETS: u32 = 4_096;

/// Bits of a bucket's number.
const BITS: u32 = BUCKETS.trailing_zeros();

/// One bucket's bytes in a digest frame: number of rows, sum of their digests.
const ENCODED: usize = 8 + 16;

/// The positions of the primary key's cells in a row.
#[derive(Clone, Debug)]
pub struct KeyColumns {
    /// In the sequence of the key's columns.
    positions: Vec<usize>,
}

impl KeyColumns {
    /// Returns the primary key of a table; none if it has none, or not all its columns are there.
    #[must_use]
    pub fn primary(table: &TableSchema) -> Option<Self> {
        let position = |name: &String| table.columns.iter().position(|one| one.name == *name);
        let positions: Option<Vec<usize>> = table.primary_key.iter().map(position).collect();
        positions
            .filter(|positions| !positions.is_empty())
            .map(|positions| Self { positions })
    }

    /// Returns the primary key of a table, or all its columns if it has none.
    #[must_use]
    pub fn of(table: &TableSchema) -> Self {
        Self::primary(table).unwrap_or_else(|| Self {
            positions: (0..table.columns.len()).collect(),
        })
    }

    /// Returns where the key's cells are in a row.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.positions.iter().copied()
    }

    /// Returns the key's encoded cells.
    fn cells<'a>(&self, row: RowRef<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.positions.iter().filter_map(move |position| {
            let mut row = row;
            for _ in 0..*position {
                row.next_encoded()?;
            }
            Some(row.next_encoded()?.bytes())
        })
    }

    /// Returns a row's key as one encoded row.
    #[must_use]
    pub fn key(&self, row: RowRef<'_>) -> Vec<u8> {
        self.cells(row).flatten().copied().collect()
    }

    /// Returns the XXH3-128 digest of a row's key.
    #[must_use]
    pub fn digest(&self, row: RowRef<'_>) -> u128 {
        xxh3_128(&self.key(row))
    }

    /// Returns the XXH3-64 digest of a row's key.
    #[must_use]
    pub fn hash(&self, row: RowRef<'_>) -> u64 {
        let mut cells = self.cells(row);
        let (Some(first), second) = (cells.next(), cells.next()) else {
            return 0;
        };
        let Some(second) = second else {
            return xxh3_64(first);
        };
        let mut hash = Xxh3Default::new();
        for cell in [first, second].into_iter().chain(cells) {
            hash.update(cell);
        }
        hash.digest()
    }

    /// Returns the bucket of a row: the first bits of its key's XXH3-64 digest.
    #[must_use]
    pub fn bucket(&self, row: RowRef<'_>) -> u16 {
        u16::try_from(self.hash(row) >> (u64::BITS - BITS)).unwrap_or_default()
    }
}

/// The number of rows and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketDigest {
    /// How many rows.
    pub rows: u64,
    /// The sum of their digests.
    pub digest: u128,
}

impl BucketDigest {
    /// Adds the rows of another digest.
    pub fn add(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

/// The digests of all rows of a table, by bucket.
///
/// A row's bucket depends on its canonical key only, and the sums on no sequence, so that databases that sort differently
/// get the same digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets(Vec<BucketDigest>);

impl Default for Buckets {
    fn default() -> Self {
        Self(vec![BucketDigest::default(); BUCKETS as usize])
    }
}

impl Buckets {
    /// Adds the rows of a block.
    pub fn add(&mut self, block: &RowBlock, key: &KeyColumns) {
        for row in block.rows() {
            if let Some(bucket) = self.0.get_mut(usize::from(key.bucket(row))) {
                bucket.add(BucketDigest {
                    rows: 1,
                    digest: row.digest(),
                });
            }
        }
    }

    /// Returns the digest of all rows.
    #[must_use]
    pub fn total(&self) -> BucketDigest {
        let mut total = BucketDigest::default();
        self.0.iter().for_each(|bucket| total.add(*bucket));
        total
    }

    /// Returns the buckets that differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> BucketSet {
        let mut set = BucketSet::default();
        for (number, (one, other)) in (0u16..).zip(self.0.iter().zip(&other.0)) {
            if one != other {
                set.insert(number);
            }
        }
        set
    }

    /// Returns the number of rows in these buckets.
    #[must_use]
    pub fn rows_in(&self, set: &BucketSet) -> u64 {
        let numbered = (0u16..).zip(&self.0);
        let chosen = numbered.filter(|(number, _)| set.contains(*number));
        let rows = chosen.map(|(_, bucket)| bucket.rows);
        rows.fold(0, u64::saturating_add)
    }

    /// Returns the payload of a digest frame: `buckets` sums by ascending number. Neighbours are joined to get fewer buckets.
    #[must_use]
    pub fn encode(&self, buckets: u32) -> Bytes {
        let buckets = buckets.clamp(1, BUCKETS) as usize;
        let mut payload = BytesMut::with_capacity(buckets * ENCODED);
        for neighbours in self.0.chunks(BUCKETS as usize / buckets) {
            let mut joined = BucketDigest::default();
            neighbours.iter().for_each(|bucket| joined.add(*bucket));
            payload.put_u64(joined.rows);
            payload.put_u128(joined.digest);
        }
        payload.freeze()
    }

    /// Parses a payload of exactly [`BUCKETS`] sums.
    pub fn decode(payload: &Bytes) -> Result<Self, FrameError> {
        let sums = decode_sums(payload)?;
        if sums.len() != BUCKETS as usize {
            return Err(FrameError::Corrupt(
                "a digest has another number of buckets",
            ));
        }
        Ok(Self(sums))
    }

    /// Parses a payload of one sum.
    pub fn decode_total(payload: &Bytes) -> Result<BucketDigest, FrameError> {
        match decode_sums(payload)?.as_slice() {
            [total] => Ok(*total),
            _ => Err(FrameError::Corrupt(
                "a digest has another number of buckets",
            )),
        }
    }
}

fn decode_sums(payload: &Bytes) -> Result<Vec<BucketDigest>, FrameError> {
    let buckets = payload.len() / ENCODED;
    if !payload.len().is_multiple_of(ENCODED) || buckets > BUCKETS as usize {
        return Err(FrameError::Corrupt("a digest is not made of buckets"));
    }
    let mut rest = payload.clone();
    Ok((0..buckets)
        .map(|_| BucketDigest {
            rows: rest.get_u64(),
            digest: rest.get_u128(),
        })
        .collect())
}

/// A set of buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSet([u64; BUCKETS as usize / 64]);

impl Default for BucketSet {
    fn default() -> Self {
        Self([0; BUCKETS as usize / 64])
    }
}

impl BucketSet {
    /// Returns the set of all buckets.
    #[must_use]
    pub fn all() -> Self {
        Self([u64::MAX; BUCKETS as usize / 64])
    }

    /// Adds a bucket; a number beyond the last bucket changes nothing.
    pub fn insert(&mut self, bucket: u16) {
        if let Some(word) = self.0.get_mut(usize::from(bucket / 64)) {
            *word |= 1 << (bucket % 64);
        }
    }

    /// Returns true if a bucket is in the set.
    #[must_use]
    pub fn contains(&self, bucket: u16) -> bool {
        let word = self.0.get(usize::from(bucket / 64));
        word.is_some_and(|word| word >> (bucket % 64) & 1 == 1)
    }

    /// Returns the numbers of the buckets, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0u16..)
            .take(BUCKETS as usize)
            .filter(|bucket| self.contains(*bucket))
    }

    /// Returns the number of buckets.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Returns true for the empty set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the set as a query parameter: one bit a bucket, lowest number first, in hexadecimal digits.
    #[must_use]
    pub fn encode(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        hex::encode(bytes)
    }
}

impl FromIterator<u16> for BucketSet {
    fn from_iter<I: IntoIterator<Item = u16>>(buckets: I) -> Self {
        let mut set = Self::default();
        buckets.into_iter().for_each(|bucket| set.insert(bucket));
        set
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::rows::{BlockBuilder, CellRef};

    fn block(rows: impl Iterator<Item = (i64, &'static str)>) -> RowBlock {
        let mut builder = BlockBuilder::new(2);
        for (key, text) in rows {
            builder.push(CellRef::Text(text));
            builder.push(CellRef::Integer(key));
            builder.end_row();
        }
        builder.take()
    }

    fn buckets(rows: impl Iterator<Item = (i64, &'static str)>) -> Buckets {
        let key = KeyColumns { positions: vec![1] };
        let mut buckets = Buckets::default();
        buckets.add(&block(rows), &key);
        buckets
    }

    #[test]
    fn order_makes_no_difference_and_one_row_does() {
        let forward = buckets((0..1_000).map(|key| (key, "a")));
        let backward = buckets((0..1_000).rev().map(|key| (key, "a")));
        assert_eq!(forward, backward);
        let changed = buckets((0..1_000).map(|key| (key, if key == 7 { "b" } else { "a" })));
        let differences = forward.differences(&changed);
        assert_eq!(differences.len(), 1);
        assert_ne!(forward.total(), changed.total());
        assert!(forward.rows_in(&differences) < 10);
        assert_eq!(forward.total().rows, 1_000);
    }

    #[test]
    fn digests_travel() {
        let sent = buckets((0..50_000).map(|key| (key, "a")));
        assert_eq!(Buckets::decode(&sent.encode(BUCKETS)).unwrap(), sent);
        assert_eq!(
            Buckets::decode_total(&sent.encode(1)).unwrap(),
            sent.total()
        );
        assert!(Buckets::decode(&sent.encode(64)).is_err());
        assert!(Buckets::decode(&Bytes::from_static(&[0; 25])).is_err());
        assert!(Buckets::decode(&vec![0; ENCODED * (BUCKETS as usize + 1)].into()).is_err());
    }

    #[test]
    fn a_peers_numbers_of_rows_do_not_overflow() {
        let most = vec![0xff; ENCODED * BUCKETS as usize];
        let sums = Buckets::decode(&most.into()).unwrap();
        assert_eq!(sums.total().rows, u64::MAX);
        assert_eq!(sums.rows_in(&BucketSet::all()), u64::MAX);
        assert_eq!(sums.encode(1).len(), ENCODED);
    }

    #[test]
    fn sets_travel_as_bits() {
        let set: BucketSet = [0, 9, 4_095].into_iter().collect();
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert!(set.contains(9) && !set.contains(8));
        let encoded = set.encode();
        assert_eq!(encoded.len(), 1_024);
        assert!(encoded.starts_with("0102") && encoded.ends_with("80"));
    }

    #[test]
    fn keys_of_several_columns_count_in_key_order() {
        let rows = block([(1, "a")].into_iter());
        let row = rows.rows().next().unwrap();
        let one = KeyColumns {
            positions: vec![0, 1],
        };
        let other = KeyColumns {
            positions: vec![1, 0],
        };
        assert_ne!(one.key(row), other.key(row));
        assert_ne!(one.hash(row), other.hash(row));
        assert_eq!(one.hash(row), xxh3_64(&one.key(row)));
    }
}
