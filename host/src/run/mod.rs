//! Runs: pulls a peer's rows into a database, or compares them with it, as an instruction says.

mod arrivals;
mod chunk;
mod compare;
mod conflicts;
mod context;
mod ddl;
mod decisions;
mod differences;
mod kept_rejects;
mod observer;
mod peer;
mod present_columns;
mod pull;
mod quota;
mod regenerated_keys;
mod rejected_parents;
mod rejects;
mod retry;
mod retry_context;
mod scheduler;
mod small_tables;
mod strategy;
mod table;
mod touched;
mod trial;
mod verify;

use crate::bindings::transfers::{
    CopyInstruction, StrategyEffect, TableComparison, TableInstruction,
};
use crate::bindings::types::{Failure, TableReport};
use crate::database::{DatabaseError, without_computed};
use table::PreparedTable;

pub use compare::MAX_NAMED;
pub use context::RunContext;
pub use observer::{Difference, DifferenceKind, Interruption, RunObserver, TableProgress};
pub use peer::{IncomingRows, PeerError, PeerRows, Wanted};
pub use quota::Quota;
pub use rejects::retry as retry_rejects;
pub use scheduler::MAX_JOBS;
pub use touched::TouchedTables;

/// The tables of the target that are described by the same queries.
const DESCRIBED_TOGETHER: usize = 100;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[error("{}", failure.message)]
pub struct RunError {
    table: Option<String>,
    failure: Failure,
}

impl RunError {
    fn at(table: &str) -> impl FnOnce(Failure) -> Self {
        let table = table.to_owned();
        move |failure| Self {
            table: Some(table),
            failure,
        }
    }

    /// Returns the table that was under way; none if the run failed as a whole.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// Returns what to tell people.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        self.failure
    }
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        Self {
            table: None,
            failure,
        }
    }
}

impl From<DatabaseError> for RunError {
    fn from(error: DatabaseError) -> Self {
        Failure::from(error).into()
    }
}

/// Pulls all tables of an instruction and returns one report a table, in the instruction's sequence.
///
/// Every table is checked before the first is written. The rows of a table are committed in whole chunks, also where the
/// run fails or is cancelled.
pub async fn pull(
    run: RunContext<'_>,
    instruction: &CopyInstruction,
) -> Result<Vec<TableReport>, RunError> {
    let mut prepared = Vec::with_capacity(instruction.tables.len());
    for tables in instruction.tables.chunks(DESCRIBED_TOGETHER) {
        let existing = tables.iter().filter(|table| !table.create);
        let names: Vec<String> = existing.map(|table| table.incoming.table.clone()).collect();
        let described = match names.as_slice() {
            [] => Vec::new(),
            names => run.target.describe_all(names).await?,
        };
        let mut described = described.into_iter();
        for table in tables {
            let at = RunError::at(&table.incoming.table);
            let local = match table.create {
                true => Ok(None),
                false => described.next().transpose().map_err(Failure::from),
            };
            let table = match local {
                Ok(local) => PreparedTable::prepare(run, instruction, table, local).await,
                Err(failure) => Err(failure),
            };
            prepared.push(table.map_err(at)?);
        }
    }
    regenerated_keys::check(&prepared)?;
    scheduler::all(run, instruction, &prepared).await
}

/// Compares all tables of an instruction with the local ones and returns one comparison a table. Nothing is written.
pub async fn compare(
    run: RunContext<'_>,
    instruction: &CopyInstruction,
) -> Result<Vec<TableComparison>, RunError> {
    let mut comparisons = Vec::with_capacity(instruction.tables.len());
    for table in &instruction.tables {
        let compared = compare_table(run, instruction, table).await;
        comparisons.push(compared.map_err(RunError::at(&table.incoming.table))?);
    }
    Ok(comparisons)
}

/// Compares one table, and asks its strategy what it would do, if the instruction names one.
async fn compare_table(
    run: RunContext<'_>,
    instruction: &CopyInstruction,
    table: &TableInstruction,
) -> Result<TableComparison, Failure> {
    if table.strategy.is_empty() {
        let incoming = without_computed(table.incoming.clone());
        return compare::table(run, &incoming, &table.conversions, table.create, None).await;
    }
    let local = match table.create {
        true => None,
        false => Some(run.target.describe(&table.incoming.table).await?),
    };
    let prepared = PreparedTable::prepare(run, instruction, table, local).await?;
    let trial = prepared.resolver.as_ref();
    let incoming = &prepared.write.incoming;
    let policies = &table.conversions;
    let mut compared = compare::table(run, incoming, policies, table.create, trial).await?;
    if let Some(rule) = prepared.rule.filter(|_| !table.create) {
        compared.effect = Some(StrategyEffect::Rule(rule));
    }
    Ok(compared)
}
