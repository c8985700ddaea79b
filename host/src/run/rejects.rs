//! Retries rejected rows without the peer.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::conflicts::Resolver;
use super::retry_context::RetryContext;
use super::{present_columns, rejected_parents, strategy, verify};
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Failure, TableReport};
use crate::database::{
    ChunkCounts, Database, LoadMode, Reject, Step, TableWrite, TableWriter, Target,
};
use crate::failure::{ErrorCode, failure};
use crate::rows::RowBlock;
use crate::sandbox::ConflictStrategies;

/// The most rejected rows that are read.
const MAX_REJECTS: u32 = 1_000_000;

/// Retries all rejected rows of a run by its own strategies, and returns one report a table. `run` may be the beginning of
/// the run's id.
///
/// Fails with `not-found` if no such run has rejects, with `bad-request` if several runs begin so, and with `internal` if the
/// ledger does not say how the rows were written.
pub async fn retry(
    strategies: &[ConflictStrategies],
    database: &dyn Database,
    run: &str,
) -> Result<Vec<TableReport>, Failure> {
    let rejects = database.rejects(MAX_REJECTS).await?;
    let run = full_id(&rejects, run)?;
    let mut tables: BTreeMap<String, Vec<Reject>> = BTreeMap::new();
    for reject in rejects.into_iter().filter(|reject| reject.run == run) {
        tables.entry(reject.table.clone()).or_default().push(reject);
    }
    let mut target = database.target().await?;
    target.prepare().await?;
    let mut reports = Vec::with_capacity(tables.len());
    for (table, rejects) in parents_first(target.as_mut(), &run, tables).await? {
        let report = retry_table(
            strategies,
            database,
            target.as_mut(),
            &run,
            &table,
            &rejects,
        )
        .await;
        reports.push(report?);
    }
    Ok(reports)
}

fn full_id(rejects: &[Reject], beginning: &str) -> Result<String, Failure> {
    let mut names: Vec<&str> = rejects.iter().map(|reject| reject.run.as_str()).collect();
    names.retain(|name| name.starts_with(beginning) && !beginning.is_empty());
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(failure(
            ErrorCode::NotFound,
            format!("no run whose id begins with {beginning:?} has rejected rows"),
            "`tombolo rejects DB` lists the rejected rows and their runs",
        )),
        _ => Err(failure(
            ErrorCode::BadRequest,
            format!("the ids of several runs begin with {beginning:?}"),
            "give more digits of the id",
        )),
    }
}

/// Sorts tables so that rejected parents are retried before the rows that refer to them.
async fn parents_first(
    target: &mut dyn Target,
    run: &str,
    mut tables: BTreeMap<String, Vec<Reject>>,
) -> Result<Vec<(String, Vec<Reject>)>, Failure> {
    let mut parents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables.keys() {
        let entry = target.ledger_entry(run, table).await?;
        let kept = entry.and_then(|entry| serde_json::from_str(&entry.retry_context).ok());
        let keys = kept.map_or_else(Vec::new, |kept: RetryContext| kept.incoming.foreign_keys);
        let names = keys.into_iter().map(|key| key.referenced_table);
        parents.insert(table.clone(), names.filter(|name| name != table).collect());
    }
    let mut sorted = Vec::with_capacity(tables.len());
    loop {
        let is_first = |table: &&String| {
            let mut parents = parents.get(*table).into_iter().flatten();
            !parents.any(|parent| tables.contains_key(parent))
        };
        // Tables that refer to each other come in any order.
        let first = tables
            .keys()
            .find(is_first)
            .or_else(|| tables.keys().next());
        let Some((table, rejects)) = first.cloned().and_then(|name| tables.remove_entry(&name))
        else {
            return Ok(sorted);
        };
        sorted.push((table, rejects));
    }
}

async fn retry_table(
    strategies: &[ConflictStrategies],
    database: &dyn Database,
    target: &mut dyn Target,
    run: &str,
    table: &str,
    rejects: &[Reject],
) -> Result<TableReport, Failure> {
    let lost = || {
        failure(
            ErrorCode::Internal,
            format!("the ledger of run {run:?} does not say how table {table:?} was written"),
            "pull the table again",
        )
    };
    let entry = target.ledger_entry(run, table).await?.ok_or_else(lost)?;
    let kept: RetryContext = serde_json::from_str(&entry.retry_context).map_err(|_| lost())?;
    let local = database.describe(table).await?;
    let incoming = present_columns::adapt(kept.incoming, &local, rejects);
    let instruction = TableInstruction {
        incoming,
        strategy: kept.strategy,
        params: kept.params,
        source: None,
        create: false,
        before: Vec::new(),
        after: Vec::new(),
        one_chunk: false,
        rows: None,
        differences: false,
        conversions: kept.conversions,
    };
    let strategy = strategy::resolve(strategies, &instruction, &local).await?;
    let block = block(&instruction, rejects).ok_or_else(lost)?;
    let keys = instruction.incoming.foreign_keys.iter();
    let keys: Vec<_> = keys.chain(&local.foreign_keys).cloned().collect();
    let rejected_parents =
        rejected_parents::find(target, run, &instruction.incoming, &keys, true).await?;
    let mut writer = target
        .begin_table(TableWrite {
            run: run.to_owned(),
            incoming: instruction.incoming.clone(),
            plan: strategy.plan,
            create: None,
            mode: LoadMode::Staged,
            row_by_row: strategy.resolver.is_some(),
            reject_limit: u64::MAX,
            retry_context: entry.retry_context,
            conversions: instruction.conversions.clone(),
            retry: true,
            rejected_parents,
        })
        .await?;
    let written = write(writer.as_mut(), &block, strategy.resolver.as_ref()).await;
    if written.is_err()
        && let Err(error) = writer.rollback().await
    {
        tracing::warn!(%error, "a chunk could not be rolled back; closing the connection does it");
    }
    let counts = written?;
    let outcome = writer.finish(&[]).await?;
    let stored = verify::stored(
        database,
        target,
        run,
        &instruction.incoming,
        &outcome,
        counts,
    )
    .await?;
    Ok(TableReport {
        table: table.to_owned(),
        created: counts.created,
        updated: counts.updated,
        same: counts.same,
        skipped: counts.skipped,
        failed: counts.failed,
        bytes: block.data().len() as u64,
        snapshots: outcome.snapshots,
        stored,
        changed: outcome.changed,
    })
}

/// Writes all rows in one chunk.
async fn write(
    writer: &mut dyn TableWriter,
    block: &RowBlock,
    resolver: Option<&Resolver>,
) -> Result<ChunkCounts, Failure> {
    let staged = writer.stage(block).await?;
    if let Some(resolver) = resolver {
        resolver.resolve(writer).await?;
    }
    match (staged, writer.commit().await?) {
        (Step::Done(()), Step::Done(counts)) => Ok(counts),
        _ => Err(failure(
            ErrorCode::Internal,
            "the target refused to write rejected rows through a staging",
            "",
        )),
    }
}

/// Returns the rows as they arrived; none if they do not fit the instruction's columns.
fn block(instruction: &TableInstruction, rejects: &[Reject]) -> Option<RowBlock> {
    let mut data = BytesMut::new();
    for reject in rejects {
        data.extend_from_slice(&reject.cells);
    }
    let rows = u32::try_from(rejects.len()).ok()?;
    RowBlock::parse(Bytes::from(data), rows, instruction.incoming.columns.len()).ok()
}
