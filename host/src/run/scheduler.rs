//! Schedules the tables of a run: how many at a time, and parents before their children.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::context::RunContext;
use super::pull::TablePull;
use super::table::PreparedTable;
use super::{RunError, small_tables};
use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::{Failure, TableReport};
use crate::database::{DatabaseError, LedgerEntry, Target};

/// The most tables at a time.
pub const MAX_JOBS: usize = 16;

/// The most tables that a failure names.
const MAX_NAMED: usize = 8;

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
    let jobs = jobs(run, instruction);
    let mut entries = entries(tables, target.as_mut()).await?;
    let mut reports = BTreeMap::new();
    small_tables::pull(run, jobs, tables, &entries, target.as_mut(), &mut reports).await?;
    let mut idle = vec![target];
    let mut waiting: Vec<usize> = (0..tables.len()).collect();
    waiting.retain(|number| !reports.contains_key(number));
    let mut unfinished: BTreeSet<&str> = waiting
        .iter()
        .filter_map(|number| tables.get(*number).map(PreparedTable::name))
        .collect();
    let mut under_way: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
    let mut exceeded: Option<Failure> = None;
    loop {
        while under_way.len() < jobs
            && exceeded.is_none()
            && let Some(next) = next(tables, &mut waiting, &unfinished)
            && let Some(table) = tables.get(next)
        {
            let mut target = match idle.pop() {
                Some(target) => target,
                None => run.target.target().await?,
            };
            let entry = entries.get_mut(next).and_then(Option::take);
            let transfer = TablePull::new(run, table).from(entry);
            under_way.push(Box::pin(async move {
                let report = transfer.all(target.as_mut()).await;
                (next, target, report)
            }));
        }
        let Some((number, target, report)) = under_way.next().await else {
            break;
        };
        idle.push(target);
        let name = tables.get(number).map_or("", PreparedTable::name);
        match report {
            Ok(report) => {
                run.events.table_complete(report.clone());
                unfinished.remove(name);
                reports.insert(number, report);
            }
            // The other tables under way end at their next frame, and commit what arrived.
            Err(failure) if run.quota.is_exceeded() => {
                exceeded.get_or_insert(failure);
            }
            Err(failure) => return Err(RunError::at(name)(failure)),
        }
    }
    drop(under_way);
    let Some(mut target) = idle.pop() else {
        return Ok(Vec::new());
    };
    if exceeded.is_none() {
        let closed = close_gaps(run, tables, target.as_mut(), &mut reports).await;
        match closed {
            Err(error) if run.quota.is_exceeded() => exceeded = Some(error.into_failure()),
            closed => closed?,
        }
    }
    match exceeded {
        None => {
            run.touched.correct(reports.values_mut());
            Ok(reports.into_values().collect())
        }
        Some(failure) => Err(incomplete(tables, target.as_mut(), &reports, failure)
            .await?
            .into()),
    }
}

/// Adds to the failure of a run that received as much as it may what is in the target.
async fn incomplete(
    tables: &[PreparedTable],
    target: &mut dyn Target,
    reports: &BTreeMap<usize, TableReport>,
    mut failure: Failure,
) -> Result<Failure, DatabaseError> {
    let complete = reports.len();
    let mut parts = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        if reports.contains_key(&number) {
            continue;
        }
        let entry = target.ledger_entry(&table.write.run, table.name()).await?;
        let rows = entry.map_or(0, |entry| entry.counts.received());
        if rows > 0 {
            parts.push(format!("{rows} rows of table {:?}", table.name()));
        }
    }
    let untouched = tables
        .len()
        .saturating_sub(complete)
        .saturating_sub(parts.len());
    let more = parts.len().saturating_sub(MAX_NAMED);
    parts.truncate(MAX_NAMED);
    if more > 0 {
        parts.push(format!("a part of {more} further tables"));
    }
    let begun = match parts.is_empty() {
        true => String::new(),
        false => format!(", the first {}", parts.join(", the first ")),
    };
    let rest = match untouched {
        0 => String::new(),
        count => format!(", and nothing of {count}"),
    };
    failure.message = format!(
        "{}; in the target are {complete} of {} tables completely{begun}{rest}",
        failure.message,
        tables.len()
    );
    failure.hint = "what is there is committed and whole; repeat the command with a higher limit, and the rest follows".to_owned();
    Ok(failure)
}

fn jobs(run: RunContext<'_>, instruction: &CopyInstruction) -> usize {
    let wanted = usize::try_from(instruction.jobs).unwrap_or(MAX_JOBS);
    wanted.clamp(1, MAX_JOBS).min(run.target.writers())
}

/// Returns how far the run is with each table.
async fn entries(
    tables: &[PreparedTable],
    target: &mut dyn Target,
) -> Result<Vec<Option<LedgerEntry>>, DatabaseError> {
    let Some(first) = tables.first() else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = tables.iter().map(PreparedTable::name).collect();
    target.ledger_entries(&first.write.run, &names).await
}

/// Takes the first waiting table whose parents are complete. While no table is under way, the first one waits for nobody.
fn next(
    tables: &[PreparedTable],
    waiting: &mut Vec<usize>,
    incomplete: &BTreeSet<&str>,
) -> Option<usize> {
    let none_under_way = incomplete.len() == waiting.len();
    let is_ready = |number: &usize| {
        tables.get(*number).is_some_and(|table| {
            let mut others = table
                .parents
                .iter()
                .filter(|parent| *parent != table.name());
            waiting.first() == Some(number) && none_under_way
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
    for entry in entries(tables, target).await?.into_iter().flatten() {
        several |= entry.snapshots > 1;
        snapshots.extend(entry.snapshot);
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
