//! Compares a table with the local one row by row: digests first, then the rows of the buckets that differ.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tokio::sync::mpsc;

use super::context::RunContext;
use super::differences::digest;
use super::observer::{Difference, DifferenceKind};
use super::peer::{PeerError, Wanted};
use super::retry::Retries;
use crate::bindings::transfers::TableComparison;
use crate::bindings::types::{Failure, TableSchema};
use crate::database::{Read, Snapshot, buckets_of};
use crate::rows::{BUCKETS, BucketSet, Buckets, Frame, KeyColumns, RowBlock};

/// The most rows that are compared at a time; each takes about 50 bytes of memory.
const PASS_ROWS: u64 = 500_000;

/// The most rows of a table that are reported by their keys.
pub const MAX_NAMED: u64 = 10_000;

/// Compares one table. With `create`, the local table does not exist, and all rows are new.
pub async fn table(
    run: RunContext<'_>,
    table: &TableSchema,
    create: bool,
) -> Result<TableComparison, Failure> {
    let (remote, _) = digest(run, &table.table, BUCKETS).await?;
    let remote = Buckets::decode(&remote)?;
    let mut comparison = TableComparison {
        table: table.table.clone(),
        remote: remote.total().rows,
        local: 0,
        new: 0,
        changed: 0,
        same: 0,
        local_only: 0,
    };
    if create {
        comparison.new = comparison.remote;
        return Ok(comparison);
    }
    let database = run.target.snapshot().await?;
    let local = buckets_of(database.as_ref(), table).await?;
    comparison.local = local.total().rows;
    let differing = local.differences(&remote);
    comparison.same = comparison.remote - remote.rows_in(&differing);
    let mut named = 0;
    for pass in passes(&differing, &remote, &local) {
        run.check_cancelled()?;
        let mut compare = Pass {
            run,
            table,
            key: KeyColumns::of(table),
            buckets: pass,
            comparison: &mut comparison,
            named: &mut named,
        };
        let rows = compare.remote_rows().await?;
        compare.compare_local(database.as_ref(), rows).await?;
    }
    Ok(comparison)
}

/// Groups the differing buckets so that the rows of each group fit into memory.
fn passes(differing: &BucketSet, remote: &Buckets, local: &Buckets) -> Vec<BucketSet> {
    let mut passes = Vec::new();
    let mut pass = BucketSet::default();
    let mut rows = 0;
    for bucket in differing.iter() {
        let single: BucketSet = [bucket].into_iter().collect();
        let more = remote.rows_in(&single) + local.rows_in(&single);
        if rows + more > PASS_ROWS && rows > 0 {
            passes.push(std::mem::take(&mut pass));
            rows = 0;
        }
        rows += more;
        pass.insert(bucket);
    }
    if !pass.is_empty() {
        passes.push(pass);
    }
    passes
}

/// A row of the peer that was not found in the local table yet.
struct Unmet {
    digest: u128,
    /// How many rows have this digest; more than one only without a primary key.
    rows: u64,
    /// Its key, unless too many rows are reported already.
    key: Option<Vec<u8>>,
}

/// By the digest of the key.
type Rows = HashMap<u128, Unmet>;

struct Pass<'a> {
    run: RunContext<'a>,
    table: &'a TableSchema,
    key: KeyColumns,
    buckets: BucketSet,
    comparison: &'a mut TableComparison,
    named: &'a mut u64,
}

impl Pass<'_> {
    async fn remote_rows(&self) -> Result<Rows, Failure> {
        let mut retries = Retries::default();
        loop {
            match self.fetch().await {
                Err(PeerError::Broken(failure)) => {
                    retries.wait(&self.run, &self.table.table, failure).await?;
                }
                result => return Ok(result?),
            }
        }
    }

    async fn fetch(&self) -> Result<Rows, PeerError> {
        let wanted = Wanted::Buckets(&self.buckets);
        let mut incoming = self.run.peer.rows(&self.table.table, wanted).await?;
        let mut rows = Rows::new();
        loop {
            match incoming.next().await? {
                Frame::Rows(block) => {
                    for row in block.rows() {
                        let key = self.key.key(row);
                        let name = *self.named + (rows.len() as u64) < MAX_NAMED;
                        let unmet = rows.entry(self.key.digest(row)).or_insert_with(|| Unmet {
                            digest: row.digest(),
                            rows: 0,
                            key: name.then_some(key),
                        });
                        unmet.rows += 1;
                    }
                }
                Frame::Alive => {}
                Frame::End(_) | Frame::Digest(_) => return Ok(rows),
            }
        }
    }

    async fn compare_local(&mut self, local: &dyn Snapshot, mut rows: Rows) -> Result<(), Failure> {
        let (sender, mut blocks) = mpsc::channel(2);
        let read = Read {
            ordered: false,
            ..Read::all(self.table)
        };
        let meet = async {
            while let Some(block) = blocks.recv().await {
                self.meet(&block, &mut rows);
            }
        };
        let (read, ()) = tokio::join!(local.read(read, sender), meet);
        read?;
        for unmet in rows.into_values() {
            self.comparison.new += unmet.rows;
            if let Some(key) = unmet.key {
                self.name(DifferenceKind::New, &key);
            }
        }
        Ok(())
    }

    fn meet(&mut self, block: &RowBlock, rows: &mut Rows) {
        for row in block.rows() {
            if !self.buckets.contains(self.key.bucket(row)) {
                continue;
            }
            let Entry::Occupied(mut found) = rows.entry(self.key.digest(row)) else {
                self.comparison.local_only += 1;
                self.name(DifferenceKind::LocalOnly, &self.key.key(row));
                continue;
            };
            if found.get().digest == row.digest() {
                self.comparison.same += 1;
            } else {
                self.comparison.changed += 1;
                self.name(DifferenceKind::Changed, &self.key.key(row));
            }
            found.get_mut().rows -= 1;
            if found.get().rows == 0 {
                found.remove();
            }
        }
    }

    fn name(&mut self, kind: DifferenceKind, key: &[u8]) {
        if *self.named >= MAX_NAMED {
            return;
        }
        *self.named += 1;
        self.run.events.differs(Difference {
            table: self.table.table.clone(),
            kind,
            key: RowBlock::parse_row(key).unwrap_or_default(),
        });
    }
}
