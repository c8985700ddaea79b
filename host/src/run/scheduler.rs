//! Schedules the tables of a run: how many at a time, and parents before their children.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::RunError;
use super::context::RunContext;
use super::pull::TablePull;
use super::table::PreparedTable;
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::{Dialect, Failure, TableReport};
use crate::database::Target;

/// The most tables at a time.
pub const MAX_JOBS: usize = 16;

/// A table's number and report, with the connection that is free again.
type Done = (usize, Box<dyn Target>, Result<TableReport, Failure>);

/// Pulls all tables, then brings all of them to the state of one snapshot. Returns the reports in the tables' sequence.
pub async fn all(
    run: RunContext<'_>,
    instruction: &CopyInstruction,
    tables: &[PreparedTable],
) -> Result<Vec<TableReport>, RunError> {
    let mut target = run.target.target().await?;
    target.prepare().await?;
    let mut idle = vec![target];
    let jobs = jobs(run, instruction);
    let mut reports = BTreeMap::new();
    let mut waiting: Vec<usize> = (0..tables.len()).collect();
    let mut under_way: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
    loop {
        while under_way.len() < jobs
            && let Some(next) = next(tables, &mut waiting, &reports)
            && let Some(table) = tables.get(next)
        {
            let mut target = match idle.pop() {
                Some(target) => target,
                None => run.target.target().await?,
            };
            under_way.push(Box::pin(async move {
                let report = TablePull::new(run, table).all(target.as_mut()).await;
                (next, target, report)
            }));
        }
        let Some((number, target, report)) = under_way.next().await else {
            break;
        };
        idle.push(target);
        let name = tables.get(number).map_or("", PreparedTable::name);
        let report = report.map_err(RunError::at(name))?;
        run.events.table_complete(report.clone());
        reports.insert(number, report);
    }
    drop(under_way);
    if let Some(mut target) = idle.pop() {
        close_gaps(run, tables, target.as_mut(), &mut reports).await?;
    }
    Ok(reports.into_values().collect())
}

fn jobs(run: RunContext<'_>, instruction: &CopyInstruction) -> usize {
    match run.target.dialect() {
        // Only one connection can write.
        Dialect::Sqlite => 1,
        _ => usize::try_from(instruction.jobs)
            .unwrap_or(MAX_JOBS)
            .clamp(1, MAX_JOBS),
    }
}

/// Takes the first waiting table whose parents are complete. The sequence of an instruction is such that there is one as
/// soon as no table is under way.
fn next(
    tables: &[PreparedTable],
    waiting: &mut Vec<usize>,
    reports: &BTreeMap<usize, TableReport>,
) -> Option<usize> {
    let incomplete: BTreeSet<&str> = tables
        .iter()
        .enumerate()
        .filter(|(number, _)| !reports.contains_key(number))
        .map(|(_, table)| table.name())
        .collect();
    let is_ready = |number: &usize| {
        tables.get(*number).is_some_and(|table| {
            let mut others = table
                .parents
                .iter()
                .filter(|parent| *parent != table.name());
            // When all tables before it are complete, the first one waits for nobody.
            waiting.first() == Some(number) && reports.len() == *number
                || others.all(|parent| !incomplete.contains(parent.as_str()))
        })
    };
    let position = waiting.iter().position(is_ready)?;
    Some(waiting.remove(position))
}

/// Brings all tables to the state of the last snapshot, if they come from several: otherwise a child could miss its parent.
/// Rows that got new keys cannot be told from others; their report says that there were several snapshots.
async fn close_gaps(
    run: RunContext<'_>,
    tables: &[PreparedTable],
    target: &mut dyn Target,
    reports: &mut BTreeMap<usize, TableReport>,
) -> Result<(), RunError> {
    let mut snapshots = BTreeSet::new();
    let mut several = false;
    for table in tables {
        let entry = target.ledger_entry(&table.write.run, table.name()).await?;
        if let Some(entry) = entry {
            several |= entry.snapshots > 1;
            snapshots.extend(entry.snapshot);
        }
    }
    if !several && snapshots.len() < 2 {
        return Ok(());
    }
    for (number, table) in tables.iter().enumerate() {
        if !table.is_keyed() {
            continue;
        }
        let report = TablePull::new(run, table).differences(target).await;
        let report = report.map_err(RunError::at(table.name()))?;
        reports.insert(number, report);
    }
    Ok(())
}
