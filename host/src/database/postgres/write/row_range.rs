//! Ranges of staged rows, and the search for the rows among them that the database refuses.

use super::staging::Rows;

/// So many rows are written at a time where one of them may not fit: to find it, twice as many are written.
pub(super) const SLICE: u64 = 4_096;

/// Staged rows behind the first number, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub after: u64,
    pub last: u64,
}

impl Range {
    /// Returns how many rows have their numbers in the range.
    pub fn count(self) -> u64 {
        self.last.saturating_sub(self.after)
    }

    /// Returns the rows in statements.
    pub fn rows(self) -> Rows {
        Rows::Between(self.after, self.last)
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.after + self.count() / 2;
        (
            Self {
                last: middle,
                ..self
            },
            Self {
                after: middle,
                ..self
            },
        )
    }
}

/// The ranges that a search still has to try, in the order of their rows.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The next one is last.
    ranges: Vec<Range>,
}

impl Search {
    /// Starts with parts of at most [`SLICE`] rows.
    pub fn through(range: Range) -> Self {
        let mut ranges = Vec::new();
        let mut last = range.last;
        while last > range.after {
            let after = last.saturating_sub(SLICE).max(range.after);
            ranges.push(Range { after, last });
            last = after;
        }
        Self { ranges }
    }

    /// Returns the next range to try.
    pub fn next(&mut self) -> Option<Range> {
        self.ranges.pop()
    }

    /// Says that a row of a range was refused: its halves are tried next. Returns the row's number if it is alone.
    pub fn narrow(&mut self, refused: Range) -> Option<u64> {
        if refused.count() <= 1 {
            return Some(refused.last);
        }
        let (first, second) = refused.halves();
        self.ranges.extend([second, first]);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_each_refused_row_and_tries_every_other_one_successfully() {
        for (after, last, refused) in [
            (0, 1, vec![1]),
            (0, 10_000, vec![1, 4_096, 4_097, 9_999, 10_000]),
            (700, 713, vec![701, 702, 703]),
            (5, 5, vec![]),
        ] {
            let mut search = Search::through(Range { after, last });
            let (mut found, mut written) = (Vec::new(), Vec::new());
            while let Some(range) = search.next() {
                let mut rows = range.after + 1..=range.last;
                match rows.any(|row| refused.contains(&row)) {
                    true => found.extend(search.narrow(range)),
                    false => written.extend(range.after + 1..=range.last),
                }
            }
            assert_eq!(found, refused);
            let expected = (after + 1..=last).filter(|row| !refused.contains(row));
            assert_eq!(written, expected.collect::<Vec<_>>());
        }
    }
}
