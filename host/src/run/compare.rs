//! Compares a table with the local one row by row: digests first, then the rows of the buckets that differ.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tokio::sync::mpsc;

use super::conflicts::Resolver;
use super::context::RunContext;
use super::differences::{digest, not_asked_for};
use super::observer::{Difference, DifferenceKind};
use super::peer::{PeerError, Wanted};
use super::pull::check_columns;
use super::retry::Retries;
use super::trial::Trial;
use crate::bindings::transfers::{StrategyEffect, TableComparison};
use crate::bindings::types::{Conversion, Failure, TableSchema};
use crate::database::{Read, RowConverter, Snapshot, buckets_of};
use crate::failure::{ErrorCode, failure};
use crate::rows::{BUCKETS, BucketSet, Buckets, Frame, KeyColumns, RowBlock, format_key};

/// The most rows that are compared at a time; each takes about 50 bytes of memory.
const PASS_ROWS: u64 = 500_000;

/// The most rows of one pass that are kept in memory: a bucket cannot be divided.
const MAX_PASS_ROWS: u64 = 1_000_000;

/// The most rows of a table that are reported by their keys.
pub const MAX_NAMED: u64 = 10_000;

/// The most bytes of keys that one pass keeps to report them.
const MAX_NAMED_BYTES: usize = 8 << 20;

/// Compares one table. With `create`, the local table does not exist, and all rows are new. Values that these policies
/// convert are equal to what they are converted to; digests of the peer cannot tell that, so all its rows are received.
/// A resolver is asked about the rows that are on both sides with different values.
pub async fn table(
    run: RunContext<'_>,
    table: &TableSchema,
    policies: &[(String, Conversion)],
    create: bool,
    resolver: Option<&Resolver>,
) -> Result<TableComparison, Failure> {
    let converter = match create {
        true => None,
        false => run.target.converter(table, policies).await?,
    };
    let converter = converter.as_deref();
    let remote = match converter {
        Some(converter) => converted_buckets(run, table, converter).await?,
        None => {
            let (remote, _) = digest(run, &table.table, BUCKETS).await?;
            Buckets::decode(&remote)?
        }
    };
    let mut comparison = TableComparison {
        table: table.table.clone(),
        remote: remote.total().rows,
        local: 0,
        new: 0,
        changed: 0,
        same: 0,
        local_only: 0,
        effect: None,
    };
    if create {
        comparison.new = comparison.remote;
        return Ok(comparison);
    }
    let database = run.target.snapshot().await?;
    let held = converter.map_or(table, RowConverter::held);
    let local = buckets_of(database.as_ref(), Read::compared(held)).await?;
    comparison.local = local.total().rows;
    let differing = local.differences(&remote);
    comparison.same = comparison.remote.saturating_sub(remote.rows_in(&differing));
    let mut named = 0;
    let mut trial = resolver.map(Trial::new);
    for pass in passes(&differing, &remote, &local) {
        run.check_cancelled()?;
        let mut compare = Pass {
            run,
            table,
            key: KeyColumns::of(table),
            converter,
            announced: remote.rows_in(&pass),
            buckets: pass,
            comparison: &mut comparison,
            named: &mut named,
            trial: trial.as_mut(),
        };
        let rows = compare.remote_rows().await?;
        compare.compare_local(database.as_ref(), rows).await?;
    }
    comparison.effect = trial.map(|trial| StrategyEffect::Decided(trial.decided()));
    Ok(comparison)
}

/// Receives all rows of the peer, and returns their digests as the target would hold them.
async fn converted_buckets(
    run: RunContext<'_>,
    table: &TableSchema,
    converter: &dyn RowConverter,
) -> Result<Buckets, Failure> {
    let mut retries = Retries::default();
    loop {
        match receive_converted(run, table, converter).await {
            Err(PeerError::Broken(failure)) => retries.wait(&run, &table.table, failure).await?,
            result => return Ok(result?),
        }
    }
}

async fn receive_converted(
    run: RunContext<'_>,
    table: &TableSchema,
    converter: &dyn RowConverter,
) -> Result<Buckets, PeerError> {
    let key = KeyColumns::of(table);
    let mut buckets = Buckets::default();
    let mut incoming = run.rows(&table.table, Wanted::All).await?;
    check_columns(&incoming, table).map_err(PeerError::Refused)?;
    loop {
        match incoming.next().await? {
            Frame::Rows(block) => buckets.add(&converter.convert(&block).rows, &key),
            Frame::Alive => run.check_cancelled().map_err(PeerError::Refused)?,
            Frame::End(_) => return Ok(buckets),
            Frame::Digest(_) => {
                let refused = not_asked_for("digests instead of rows", &table.table);
                return Err(PeerError::Refused(refused));
            }
        }
    }
}

/// Groups the differing buckets so that the rows of each group fit into memory.
fn passes(differing: &BucketSet, remote: &Buckets, local: &Buckets) -> Vec<BucketSet> {
    let mut passes = Vec::new();
    let mut pass = BucketSet::default();
    let mut rows = 0u64;
    for bucket in differing.iter() {
        let single: BucketSet = [bucket].into_iter().collect();
        let more = remote.rows_in(&single);
        let more = more.saturating_add(local.rows_in(&single));
        if rows.saturating_add(more) > PASS_ROWS && rows > 0 {
            passes.push(std::mem::take(&mut pass));
            rows = 0;
        }
        rows = rows.saturating_add(more);
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
    /// All of it, if a strategy may be asked about it.
    row: Option<Vec<u8>>,
}

/// By the digest of the key.
type Rows = HashMap<u128, Unmet>;

struct Pass<'a, 'r> {
    run: RunContext<'a>,
    table: &'a TableSchema,
    key: KeyColumns,
    /// Makes the peer's rows what the target would hold of them.
    converter: Option<&'a dyn RowConverter>,
    buckets: BucketSet,
    /// Rows of the peer in these buckets, as its digests say.
    announced: u64,
    comparison: &'a mut TableComparison,
    named: &'a mut u64,
    trial: Option<&'a mut Trial<'r>>,
}

impl Pass<'_, '_> {
    async fn remote_rows(&mut self) -> Result<Rows, Failure> {
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

    async fn fetch(&mut self) -> Result<Rows, PeerError> {
        let wanted = match self.converter {
            // The peer knows the buckets of its own rows only.
            Some(_) => Wanted::All,
            None => Wanted::Buckets(&self.buckets),
        };
        let mut incoming = self.run.rows(&self.table.table, wanted).await?;
        check_columns(&incoming, self.table).map_err(PeerError::Refused)?;
        let mut rows = Rows::new();
        if let Some(trial) = &mut self.trial {
            trial.begin_pass();
        }
        let (mut received, mut named_bytes) = (0u64, 0usize);
        loop {
            match incoming.next().await? {
                Frame::Rows(block) => {
                    let block = match self.converter {
                        Some(converter) => converter.convert(&block).rows,
                        None => block,
                    };
                    for row in block.rows() {
                        if !self.buckets.contains(self.key.bucket(row)) {
                            if self.converter.is_some() {
                                continue;
                            }
                            return Err(self.refused("rows that were not asked for"));
                        }
                        received = received.saturating_add(1);
                        self.check_number(received)?;
                        let key = self.key.key(row);
                        let with_key = named_bytes.saturating_add(key.len());
                        let named = self.named.saturating_add(rows.len() as u64);
                        let name = named < MAX_NAMED && with_key <= MAX_NAMED_BYTES;
                        let trial = &mut self.trial;
                        let unmet = rows.entry(self.key.digest(row)).or_insert_with(|| Unmet {
                            row: trial.as_mut().and_then(|trial| trial.keep(row.bytes())),
                            digest: row.digest(),
                            rows: 0,
                            key: name.then(|| {
                                named_bytes = with_key;
                                key
                            }),
                        });
                        unmet.rows = unmet.rows.saturating_add(1);
                    }
                }
                Frame::Alive => {}
                Frame::End(_) => return Ok(rows),
                Frame::Digest(_) => return Err(self.refused("digests instead of rows")),
            }
        }
    }

    /// Fails if the peer sends more rows than its digests say, or than fit into memory.
    fn check_number(&self, received: u64) -> Result<(), PeerError> {
        if received > MAX_PASS_ROWS {
            return Err(PeerError::Refused(failure(
                ErrorCode::Limit,
                format!(
                    "more than {MAX_PASS_ROWS} rows of table {:?} would have to be compared at once",
                    self.table.table
                ),
                "compare fewer rows",
            )));
        }
        if received > self.announced {
            return Err(self.refused(&format!(
                "more rows than the {} of its digests",
                self.announced
            )));
        }
        Ok(())
    }

    fn refused(&self, what: &str) -> PeerError {
        PeerError::Refused(not_asked_for(what, &self.table.table))
    }

    /// Returns the table as the rows that are compared have it.
    fn held(&self) -> &TableSchema {
        self.converter.map_or(self.table, RowConverter::held)
    }

    async fn compare_local(&mut self, local: &dyn Snapshot, mut rows: Rows) -> Result<(), Failure> {
        let held = self.held().clone();
        let (sender, mut blocks) = mpsc::channel(2);
        let read = Read::compared(&held);
        let meet = async {
            while let Some(block) = blocks.recv().await {
                self.meet(&block, &mut rows);
                if let Some(trial) = &mut self.trial {
                    trial.ask().await?;
                }
            }
            Ok::<(), Failure>(())
        };
        // A strategy that fails ends the reading too.
        let reading = async { Ok(local.read(read, sender).await?) };
        tokio::try_join!(reading, meet)?;
        for unmet in rows.into_values() {
            self.comparison.new = self.comparison.new.saturating_add(unmet.rows);
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
                self.comparison.local_only = self.comparison.local_only.saturating_add(1);
                self.name(DifferenceKind::LocalOnly, &self.key.key(row));
                continue;
            };
            if found.get().digest == row.digest() {
                self.comparison.same = self.comparison.same.saturating_add(1);
            } else {
                self.comparison.changed = self.comparison.changed.saturating_add(1);
                if let Some(trial) = &mut self.trial {
                    trial.add(found.get().row.as_deref(), row.bytes());
                }
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
            key: format_key(self.held(), &RowBlock::parse_row(key).unwrap_or_default()),
        });
    }
}
