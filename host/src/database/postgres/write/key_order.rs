//! Tells whether the keys of a chunk's rows ascend: then none of them occurs twice, and no query has to find out.

use crate::rows::CellRef;

/// Follows the keys of rows that arrive.
#[derive(Debug)]
pub(super) struct KeyOrder {
    /// Positions of the key's cells in a row, ascending.
    positions: Vec<usize>,
    last: Vec<i128>,
    next: Vec<i128>,
    ascends: bool,
}

impl KeyOrder {
    /// For keys of the cells at these positions.
    pub fn new(mut positions: Vec<usize>) -> Self {
        positions.sort_unstable();
        Self {
            ascends: !positions.is_empty(),
            positions,
            last: Vec::new(),
            next: Vec::new(),
        }
    }

    /// Compares the next row's key with the one before.
    pub fn follow<'a>(&mut self, row: impl Iterator<Item = CellRef<'a>>) {
        if !self.ascends {
            return;
        }
        self.next.clear();
        let mut cells = row.enumerate();
        for position in &self.positions {
            let cell = cells.find(|(at, _)| at == position);
            let Some(rank) = cell.and_then(|(_, cell)| rank(cell)) else {
                self.ascends = false;
                return;
            };
            self.next.push(rank);
        }
        self.ascends = self.last.is_empty() || self.last < self.next;
        std::mem::swap(&mut self.last, &mut self.next);
    }

    /// Returns true if every key was greater than the one before.
    pub fn ascends(&self) -> bool {
        self.ascends
    }

    /// Starts again with no rows.
    pub fn reset(&mut self) {
        self.last.clear();
        self.ascends = !self.positions.is_empty();
    }
}

/// Returns a number that orders cells of a column. None if a database may take another cell to be equal.
fn rank(cell: CellRef<'_>) -> Option<i128> {
    match cell {
        CellRef::Integer(value) => Some(value.into()),
        // Sixteen bytes are a uuid; flipping the top bit makes its order that of signed numbers.
        CellRef::Bytes(bytes) => {
            let bits = u128::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 127);
            Some(i128::from_be_bytes(bits.to_be_bytes()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CellRef::{Bytes, Integer, Null, Text};

    fn ascends(positions: &[usize], rows: &[&[CellRef<'_>]]) -> bool {
        let mut order = KeyOrder::new(positions.to_vec());
        for row in rows {
            order.follow(row.iter().copied());
        }
        order.ascends()
    }

    #[test]
    fn only_keys_that_are_greater_than_the_last_ascend() {
        assert!(ascends(&[0], &[&[Integer(-1)], &[Integer(2)]]));
        assert!(!ascends(&[0], &[&[Integer(2)], &[Integer(2)]]));
        assert!(!ascends(
            &[0],
            &[&[Integer(3)], &[Integer(2)], &[Integer(4)]]
        ));
        assert!(ascends(&[0], &[&[Bytes(&[1; 16])], &[Bytes(&[0xff; 16])]]));
        assert!(!ascends(&[0], &[&[Bytes(&[7; 16])], &[Bytes(&[7; 16])]]));
        let row = |one, two| [Text("a"), Integer(one), Null, Integer(two)];
        assert!(ascends(&[3, 1], &[&row(1, 1), &row(1, 2), &row(2, 1)]));
        assert!(!ascends(&[3, 1], &[&row(1, 2), &row(1, 2)]));
    }

    #[test]
    fn keys_that_may_equal_others_in_another_form_do_not_count() {
        assert!(!ascends(&[0], &[&[Text("a")], &[Text("b")]]));
        assert!(!ascends(&[0], &[&[Null], &[Integer(1)]]));
        assert!(!ascends(&[0], &[&[Bytes(b"short")]]));
        assert!(!ascends(&[1], &[&[Integer(1)]]));
        assert!(!ascends(&[], &[&[Integer(1)]]));
    }

    #[test]
    fn a_new_chunk_starts_without_keys() {
        let mut order = KeyOrder::new(vec![0]);
        order.follow([Integer(9)].into_iter());
        order.follow([Integer(9)].into_iter());
        assert!(!order.ascends());
        order.reset();
        order.follow([Integer(1)].into_iter());
        assert!(order.ascends());
    }
}
