//! Rows of the chunk under way, as they arrived.

use crate::bindings::types::Cell;
use crate::rows::{RowBlock, RowRef};

/// Looks rows up by their numbers: fast where these ascend.
pub(in crate::database::postgres) struct Arrived<'a> {
    /// Each with the number of rows before it.
    blocks: &'a [(u64, RowBlock)],
    block: Option<Rest<'a>>,
}

/// What is left of a block.
struct Rest<'a> {
    rows: Box<dyn Iterator<Item = RowRef<'a>> + Send + 'a>,
    /// The number of the row before the next one, and of the last row.
    before: u64,
    last: u64,
}

impl<'a> Arrived<'a> {
    pub fn new(blocks: &'a [(u64, RowBlock)]) -> Self {
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
        let mut arrived = Arrived::new(&blocks);
        for number in [101, 102, 103, 104, 105, 108, 106, 106, 101, 104] {
            let cells = arrived.cells(number);
            assert_eq!(cells, Some(vec![Cell::Integer(number as i64)]));
        }
        for number in [0, 100, 109, 1_000] {
            assert_eq!(arrived.cells(number), None, "{number}");
        }
        assert_eq!(Arrived::new(&[]).cells(1), None);
    }
}
