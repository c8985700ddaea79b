//! Rows that earlier attempts and runs rejected: those that arrive again leave the list.

use std::collections::HashMap;

use bytes::Bytes;

use super::differences::Differences;
use crate::bindings::types::TableSchema;
use crate::database::{DatabaseError, Reject, Target};
use crate::rows::{KeyColumns, RowBlock};

/// A kept row: its run, and its number there.
type Id = (String, u64);

/// Removes the sample of rejects that an attempt of a run kept which was given up: they are behind the last committed row,
/// and the ledger does not count them.
pub async fn forget_sample(
    target: &mut dyn Target,
    run: &str,
    table: &str,
) -> Result<(), DatabaseError> {
    let kept = target.kept_rejects(table).await?.into_iter();
    let kept = kept.filter(|reject| reject.run == run);
    let rows: Vec<u64> = kept.map(|reject| reject.row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let entry = target.ledger_entry(run, table).await?;
    let counts = entry.map(|entry| entry.counts).unwrap_or_default();
    let sample = uncounted(rows, counts.failed, counts.received());
    let sample: Vec<Id> = sample
        .into_iter()
        .map(|row| (run.to_owned(), row))
        .collect();
    match sample.is_empty() {
        true => Ok(()),
        false => target.forget_rejects(table, &sample).await,
    }
}

/// Returns the last of the kept rows, as many as are more than `failed`, and only those behind the last committed row.
fn uncounted(mut rows: Vec<u64>, failed: u64, received: u64) -> Vec<u64> {
    rows.sort_unstable();
    let counted = usize::try_from(failed).unwrap_or(usize::MAX);
    let behind = rows.into_iter().skip(counted);
    behind.filter(|row| *row > received).collect()
}

/// The kept rejects of a table that has a primary key.
#[derive(Debug)]
pub struct KeptRejects {
    key: KeyColumns,
    /// By the digests of their keys, with the buckets that these are in.
    by_key: HashMap<u128, (u16, Vec<Id>)>,
    /// Those that arrived again in the chunk under way.
    arrived: Vec<Id>,
    /// Those that arrived again in committed chunks.
    settled: Vec<Id>,
}

impl KeptRejects {
    /// Finds the kept rejects of a table; none if there are no such rows, or if they have no key.
    pub async fn find(
        target: &mut dyn Target,
        table: &TableSchema,
    ) -> Result<Option<Self>, DatabaseError> {
        let Some(key) = KeyColumns::primary(table) else {
            return Ok(None);
        };
        let rejects = target.kept_rejects(&table.table).await?;
        let kept = Self::of(key, table.columns.len(), rejects);
        Ok((!kept.by_key.is_empty()).then_some(kept))
    }

    fn of(key: KeyColumns, width: usize, rejects: Vec<Reject>) -> Self {
        let mut by_key: HashMap<u128, (u16, Vec<Id>)> = HashMap::new();
        for reject in rejects {
            // A table with other columns has other keys.
            let Ok(block) = RowBlock::parse(Bytes::from(reject.cells), 1, width) else {
                continue;
            };
            let row = block.first_row();
            let (_, ids) = by_key
                .entry(key.digest(row))
                .or_insert_with(|| (key.bucket(row), Vec::new()));
            ids.push((reject.run, reject.row));
        }
        Self {
            key,
            by_key,
            arrived: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Returns how many rows of a run are kept.
    pub fn count_of(&self, run: &str) -> u64 {
        let ids = self.by_key.values().flat_map(|(_, ids)| ids);
        ids.filter(|(of, _)| of == run).count() as u64
    }

    /// Notes that rows of other buckets than those that differ are the same at both sites.
    pub fn compared(&mut self, differences: &Differences) {
        let buckets = differences.buckets();
        let same = self
            .by_key
            .values()
            .filter(|(bucket, _)| !buckets.contains(*bucket));
        let same: Vec<Id> = same.flat_map(|(_, ids)| ids.iter().cloned()).collect();
        self.settled.extend(same);
    }

    /// Notes the rows of a block that arrived.
    pub fn arrived(&mut self, block: &RowBlock) {
        for row in block.rows() {
            if let Some((_, ids)) = self.by_key.get(&self.key.digest(row)) {
                self.arrived.extend(ids.iter().cloned());
            }
        }
    }

    /// Notes that the chunk under way is committed.
    pub fn committed(&mut self) {
        self.settled.append(&mut self.arrived);
    }

    /// Notes that the chunk under way is given up.
    pub fn rolled_back(&mut self) {
        self.arrived.clear();
    }

    /// Takes what arrived again from the list of rejects. What was rejected once more is in it anew.
    pub async fn forget(
        &mut self,
        target: &mut dyn Target,
        table: &str,
    ) -> Result<(), DatabaseError> {
        let settled = std::mem::take(&mut self.settled);
        if settled.is_empty() {
            return Ok(());
        }
        target.forget_rejects(table, &settled).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, Generation, LogicalType};
    use crate::rows::{BlockBuilder, CellRef};

    fn table() -> TableSchema {
        let column = |name: &str| Column {
            name: name.to_owned(),
            logical: LogicalType::Integer,
            origin: String::new(),
            nullable: true,
            default: None,
            generation: Generation::None,
        };
        TableSchema {
            table: "t".to_owned(),
            columns: vec![column("value"), column("id")],
            primary_key: vec!["id".to_owned()],
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn block(rows: &[(i64, i64)]) -> RowBlock {
        let mut builder = BlockBuilder::new(2);
        for (value, id) in rows {
            builder.push(CellRef::Integer(*value));
            builder.push(CellRef::Integer(*id));
            builder.end_row();
        }
        builder.take()
    }

    fn reject(run: &str, row: u64, id: i64) -> Reject {
        Reject {
            run: run.to_owned(),
            table: "t".to_owned(),
            row,
            key: id.to_string(),
            reason: String::new(),
            cells: block(&[(7, id)]).data().to_vec(),
        }
    }

    #[test]
    fn only_rows_that_the_ledger_does_not_count_are_a_sample() {
        assert_eq!(uncounted(vec![7, 2, 6], 1, 5), [6, 7]);
        // A retry gives rejects new numbers.
        assert_eq!(uncounted(vec![6, 7], 2, 5), [0u64; 0]);
        assert_eq!(uncounted(vec![1, 2], 0, 5), [0u64; 0]);
    }

    #[test]
    fn rows_of_committed_chunks_are_settled() {
        let key = KeyColumns::primary(&table()).unwrap();
        let rejects = vec![reject("a", 3, 1), reject("b", 4, 1), reject("b", 5, 2)];
        let mut kept = KeptRejects::of(key, 2, rejects);
        assert_eq!((kept.count_of("a"), kept.count_of("b")), (1, 2));
        kept.arrived(&block(&[(0, 2), (0, 3)]));
        kept.rolled_back();
        kept.committed();
        assert!(kept.settled.is_empty());
        kept.arrived(&block(&[(9, 1)]));
        kept.committed();
        assert_eq!(kept.settled, [("a".to_owned(), 3), ("b".to_owned(), 4)]);
    }
}
