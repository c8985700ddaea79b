//! Holds the rows of the chunk under way as they were received.

use super::key_order::KeyOrder;
use super::row_encoder::{RowEncoder, StagedBlock};
use crate::bindings::types::Cell;
use crate::database::Changed;
use crate::rows::{RowBlock, RowRef};

/// A row that the table does not take.
#[derive(Clone, Debug)]
pub(super) struct RefusedRow {
    /// Its number among the rows of the run, from 1.
    pub row: u64,
    pub reason: String,
}

/// What is staged and not yet committed.
pub(super) struct ChunkRows {
    /// Rows received before the chunk.
    before: u64,
    count: u64,
    /// Each block with the number of rows before it.
    blocks: Vec<(u64, RowBlock)>,
    /// Of the plan's keys.
    pub key_order: KeyOrder,
    /// Rows that no column can hold.
    pub unfit: Vec<RefusedRow>,
    /// Rows that refer to rejected rows of other chunks and tables: their numbers, and those of the foreign keys.
    pub orphans: Vec<(u64, usize)>,
    /// How many values of the other rows were changed to fit.
    pub changed: Changed,
}

impl ChunkRows {
    /// Creates an empty chunk behind so many rows.
    pub fn new(before: u64, key_order: KeyOrder) -> Self {
        Self {
            before,
            count: 0,
            blocks: Vec::new(),
            key_order,
            unfit: Vec::new(),
            orphans: Vec::new(),
            changed: Changed::new(),
        }
    }

    /// Returns how many rows were received before the chunk.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Returns how many rows the chunk has, those that were left out included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of the last row.
    pub fn last(&self) -> u64 {
        self.before + self.count
    }

    /// Adds a block that was encoded.
    pub fn add(&mut self, block: &RowBlock, encoder: &RowEncoder, staged: &mut StagedBlock) {
        self.blocks.push((self.last(), block.clone()));
        self.count += u64::from(block.row_count());
        self.unfit.append(&mut staged.unfit);
        for (column, values) in encoder.columns().iter().zip(&staged.changed) {
            if *values > 0 {
                *self.changed.entry(column.name.clone()).or_default() += values;
            }
        }
    }

    /// Returns all rows with their numbers.
    pub fn numbered_rows(&self) -> impl Iterator<Item = (u64, RowRef<'_>)> {
        let blocks = self.blocks.iter();
        blocks.flat_map(|(before, block)| (before + 1..).zip(block.rows()))
    }

    /// Returns a lookup of rows by their numbers.
    pub fn lookup(&self) -> RowLookup<'_> {
        RowLookup::new(&self.blocks)
    }

    /// Returns the cells of a row, as one encoded row.
    pub fn encoded_row(&self, number: u64) -> Vec<u8> {
        let row = self.lookup().row(number);
        row.map(|row| row.bytes().to_vec()).unwrap_or_default()
    }

    /// Begins the next chunk behind so many rows.
    pub fn restart(&mut self, before: u64) {
        self.before = before;
        self.count = 0;
        self.blocks.clear();
        self.key_order.reset();
        self.unfit.clear();
        self.orphans.clear();
        self.changed.clear();
    }
}

/// Finds rows by their numbers; fast where these ascend.
pub(super) struct RowLookup<'a> {
    /// Each with the number of rows before it.
    blocks: &'a [(u64, RowBlock)],
    block: Option<Rest<'a>>,
}

/// The rest of a block.
struct Rest<'a> {
    rows: Box<dyn Iterator<Item = RowRef<'a>> + Send + 'a>,
    /// The number of the row before the next one, and of the last row.
    before: u64,
    last: u64,
}

impl<'a> RowLookup<'a> {
    fn new(blocks: &'a [(u64, RowBlock)]) -> Self {
        Self {
            blocks,
            block: None,
        }
    }

    pub fn row(&mut self, number: u64) -> Option<RowRef<'a>> {
        let is_ahead = |rest: &Rest<'_>| rest.before < number && number <= rest.last;
        if !self.block.as_ref().is_some_and(is_ahead) {
            let found = self.blocks.partition_point(|(before, _)| *before < number);
            let (before, block) = self.blocks.get(found.checked_sub(1)?)?;
            self.block = Some(Rest {
                rows: Box::new(block.rows()),
                before: *before,
                last: before + u64::from(block.row_count()),
            });
        }
        let rest = self.block.as_mut()?;
        let skipped = usize::try_from(number - rest.before - 1).ok()?;
        rest.before = number;
        rest.rows.nth(skipped)
    }

    pub fn cells(&mut self, number: u64) -> Option<Vec<Cell>> {
        Some(self.row(number)?.map(|cell| cell.to_cell()).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::rows::{BlockBuilder, CellRef};

    #[test]
    fn rows_are_found_by_their_numbers_in_any_order() {
        let mut blocks = Vec::new();
        let mut before = 100;
        for count in [3, 1, 4] {
            let mut builder = BlockBuilder::new(1);
            for row in 1..=count {
                builder.push(CellRef::Integer(before as i64 + row));
                builder.end_row();
            }
            blocks.push((before, builder.take()));
            before += count as u64;
        }
        let mut lookup = RowLookup::new(&blocks);
        for number in [101, 102, 103, 104, 105, 108, 106, 106, 101, 104] {
            let cells = lookup.cells(number);
            assert_eq!(cells, Some(vec![Cell::Integer(number as i64)]));
        }
        for number in [0, 100, 109, 1_000] {
            assert_eq!(lookup.cells(number), None, "{number}");
        }
        assert_eq!(RowLookup::new(&[]).cells(1), None);
    }
}
