//! Checks that the rows of a stream are those that come next, and tells whether an attempt brought new ones.

use std::cmp::Ordering;
use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use crate::bindings::types::{Cell, Column, Failure, Generation, LogicalType, TableSchema};
use crate::database::Origin;
use crate::failure::{ErrorCode, failure};
use crate::rows::{BucketSet, KeyColumns, RowBlock, RowRef};

/// The most breaks of one table after which an attempt with new rows begins the retries again.
const MAX_BREAKS: u32 = 10_000;

/// The rows of one stream, in the order of their keys.
pub struct Arrivals<'a> {
    table: &'a TableSchema,
    key: Option<KeyColumns>,
    /// For each column of the key: whether every database sorts it alike.
    sorted: Vec<bool>,
    /// The key of the last row.
    last: Option<Vec<Cell>>,
    /// The buckets that were asked for; none if all rows were.
    buckets: Option<&'a BucketSet>,
}

impl<'a> Arrivals<'a> {
    /// Expects the rows of a table after this key, or those of some buckets.
    pub fn new(
        table: &'a TableSchema,
        after: Option<Vec<Cell>>,
        buckets: Option<&'a BucketSet>,
    ) -> Self {
        let columns = table.primary_key.iter();
        let sorted = columns.map(|name| {
            let mut columns = table.columns.iter();
            columns
                .find(|column| column.name == *name)
                .is_some_and(sorts_alike)
        });
        Self {
            table,
            key: KeyColumns::primary(table),
            sorted: sorted.collect(),
            last: after,
            buckets,
        }
    }

    /// Takes the next block. Fails with `corrupt` if its rows do not come after those before, or were not asked for.
    ///
    /// Only the block's ends are compared: they tell whether the stream gets on, and cost nothing.
    pub fn add(&mut self, block: &RowBlock) -> Result<(), Failure> {
        if let Some(buckets) = self.buckets {
            let key = self.key.clone();
            let key = key.unwrap_or_else(|| KeyColumns::of(self.table));
            if !block.rows().all(|row| buckets.contains(key.bucket(row))) {
                return Err(self.refused("rows that were not asked for"));
            }
        }
        let Some(key) = &self.key else { return Ok(()) };
        let cells = |row: RowRef<'_>| RowBlock::parse_row(&key.key(row)).unwrap_or_default();
        let (first, last) = (cells(block.first_row()), cells(block.last_row()));
        let before = self.last.as_deref();
        let follows = before.is_none_or(|before| self.may_follow(before, &first))
            && (block.row_count() == 1 || self.may_follow(&first, &last));
        if !follows {
            return Err(self.refused("rows that do not come after those that it sent before"));
        }
        self.last = Some(last);
        Ok(())
    }

    /// Returns false if a key cannot come after another one.
    fn may_follow(&self, before: &[Cell], key: &[Cell]) -> bool {
        for ((before, cell), sorted) in before.iter().zip(key).zip(&self.sorted) {
            let order = match (before, cell) {
                // SQLite allows several rows with NULL in their key.
                (Cell::Null, _) | (_, Cell::Null) => return true,
                (Cell::Integer(before), Cell::Integer(cell)) if *sorted => cell.cmp(before),
                (Cell::Bytes(before), Cell::Bytes(cell)) if *sorted => cell.cmp(before),
                (before, cell) if before == cell => Ordering::Equal,
                // How the sender sorts them is not known here.
                _ => return true,
            };
            match order {
                Ordering::Less => return false,
                Ordering::Greater => return true,
                Ordering::Equal => {}
            }
        }
        false
    }

    fn refused(&self, what: &str) -> Failure {
        failure(
            ErrorCode::Corrupt,
            format!(
                "the other site sent {what}, in table {:?}",
                self.table.table
            ),
            "what is committed is complete; use the same version of tombolo on both sides, and do not trust a site that goes on like this",
        )
    }
}

/// Whether every database sorts a column's cells as Rust does. A column of SQLite's integers can be text in PostgreSQL.
fn sorts_alike(column: &Column) -> bool {
    let numbered = matches!(
        column.generation,
        Generation::IdentityAlways | Generation::IdentityDefault
    );
    let is_postgres = Origin::parse(&column.origin).is_postgres();
    match column.logical {
        LogicalType::Integer => numbered || is_postgres,
        LogicalType::Bytes => is_postgres,
        _ => false,
    }
}

/// How far the attempts to receive one table came.
#[derive(Debug, Default)]
pub struct Reached {
    /// Digests of the keys after which an attempt went on.
    keys: HashSet<u128>,
    /// The most rows that one attempt committed.
    rows: u64,
    breaks: u32,
}

impl Reached {
    /// Notes where the first attempt goes on.
    pub fn begin(&mut self, last_key: Option<&[Cell]>) {
        if let Some(key) = last_key {
            self.keys.insert(digest(key));
        }
    }

    /// Returns whether an attempt that goes on after a key brought a new row: it ended at a key where none ended before.
    pub fn is_new_key(&mut self, last_key: Option<&[Cell]>) -> bool {
        last_key.is_some_and(|key| self.keys.insert(digest(key))) && self.counts()
    }

    /// Returns whether an attempt that begins at the first row brought a new row: it committed more rows than all before.
    pub fn is_farther(&mut self, rows: u64) -> bool {
        let farther = rows > self.rows;
        self.rows = self.rows.max(rows);
        farther && self.counts()
    }

    fn counts(&mut self) -> bool {
        self.breaks = self.breaks.saturating_add(1);
        self.breaks <= MAX_BREAKS
    }
}

fn digest(key: &[Cell]) -> u128 {
    xxh3_128(&RowBlock::encode_row(key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::rows::{BlockBuilder, CellRef};

    fn table(logical: LogicalType, origin: &str) -> TableSchema {
        let column = |name: &str, logical, origin: &str| Column {
            name: name.to_owned(),
            logical,
            origin: origin.to_owned(),
            nullable: true,
            default: None,
            generation: Generation::None,
        };
        TableSchema {
            table: "t".to_owned(),
            columns: vec![
                column("value", LogicalType::Text, "pg:text"),
                column("id", logical, origin),
            ],
            primary_key: vec!["id".to_owned()],
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn block(keys: &[CellRef<'_>]) -> RowBlock {
        let mut builder = BlockBuilder::new(2);
        for key in keys {
            builder.push(CellRef::Text("x"));
            builder.push(*key);
            builder.end_row();
        }
        builder.take()
    }

    fn integers(keys: &[i64]) -> RowBlock {
        let keys: Vec<CellRef<'_>> = keys.iter().map(|key| CellRef::Integer(*key)).collect();
        block(&keys)
    }

    #[test]
    fn rows_come_after_the_last_key() {
        let table = table(LogicalType::Integer, "pg:bigint");
        let mut arrivals = Arrivals::new(&table, None, None);
        arrivals.add(&integers(&[-5])).unwrap();
        arrivals.add(&integers(&[1, 2])).unwrap();
        for wrong in [&[1, 2][..], &[2, 3], &[2], &[-9], &[4, 3]] {
            let mut arrivals = Arrivals::new(&table, Some(vec![Cell::Integer(2)]), None);
            let failure = arrivals.add(&integers(wrong)).unwrap_err();
            assert_eq!(failure.code, "corrupt", "{wrong:?}");
        }
    }

    #[test]
    fn a_key_that_databases_sort_differently_may_not_come_twice_in_a_row() {
        let table = table(LogicalType::Text, "pg:text");
        let texts = |keys: &[&'static str]| {
            let keys: Vec<CellRef<'_>> = keys.iter().map(|key| CellRef::Text(key)).collect();
            block(&keys)
        };
        let mut arrivals = Arrivals::new(&table, Some(vec![Cell::Text("b".to_owned())]), None);
        assert!(arrivals.add(&texts(&["b", "c"])).is_err());
        let mut arrivals = Arrivals::new(&table, Some(vec![Cell::Text("b".to_owned())]), None);
        arrivals.add(&texts(&["a", "Z"])).unwrap();
    }

    #[test]
    fn integers_that_may_be_texts_at_the_sender_come_in_any_order() {
        let table = table(LogicalType::Integer, "sqlite:INT");
        let mut arrivals = Arrivals::new(&table, None, None);
        arrivals.add(&integers(&[10, 9])).unwrap();
        let mut arrivals = Arrivals::new(&table, None, None);
        arrivals
            .add(&block(&[CellRef::Null, CellRef::Null]))
            .unwrap();
    }

    #[test]
    fn rows_of_other_buckets_are_refused() {
        let table = table(LogicalType::Integer, "pg:bigint");
        let none = BucketSet::default();
        let mut arrivals = Arrivals::new(&table, None, Some(&none));
        assert!(arrivals.add(&integers(&[1])).is_err());
        let all = BucketSet::all();
        let mut arrivals = Arrivals::new(&table, None, Some(&all));
        arrivals.add(&integers(&[1, 2])).unwrap();
    }

    #[test]
    fn only_new_rows_count_as_getting_on() {
        let key = |value| [Cell::Integer(value)];
        let mut reached = Reached::default();
        reached.begin(Some(&key(1)));
        assert!(!reached.is_new_key(None));
        assert!(!reached.is_new_key(Some(&key(1))));
        assert!(reached.is_new_key(Some(&key(2))));
        assert!(!reached.is_new_key(Some(&key(1))));
        assert!(!reached.is_new_key(Some(&key(2))));
        let mut reached = Reached::default();
        assert!(!reached.is_farther(0));
        assert!(reached.is_farther(2));
        assert!(!reached.is_farther(2));
        assert!(reached.is_farther(3));
        let mut reached = Reached::default();
        let counted = (0..20_000).filter(|value| reached.is_new_key(Some(&key(*value))));
        assert_eq!(counted.count(), 10_000);
    }
}
