//! Jobs: a run's rows from a peer into a database, as an order says. A job never decides.

mod chunk;
mod compare;
mod conflicts;
mod context;
mod ddl;
mod differences;
mod peer;
mod pull;
mod rejects;
mod retry;
mod retry_context;
mod scheduler;
mod strategy;
mod verify;

use std::sync::Arc;

use tokio::sync::watch;

use crate::bindings::transfers::{CopyInstruction, TableComparison, TableInstruction};
use crate::bindings::types::{Failure, TableReport};
use crate::database::{CheckedStatement, Database, DatabaseError, without_computed};
use crate::failure::{ErrorCode, failure};
use crate::resources::Resources;
use crate::sandbox::ConflictStrategies;
use context::RunContext;
use retry_context::RetryContext;
use strategy::Strategy;

pub use rejects::retry as retry_rejects;

/// Why a job ended early.
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

    /// The table the job was at.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// What to tell.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        self.failure
    }
}

impl From<DatabaseError> for RunError {
    fn from(error: DatabaseError) -> Self {
        Self {
            table: None,
            failure: error.into(),
        }
    }
}

/// One table of the order, with everything checked that can be checked before anything is written.
struct PreparedTable {
    instruction: TableInstruction,
    strategy: Strategy,
    before: Vec<CheckedStatement>,
    after: Vec<CheckedStatement>,
    /// The tables that its rows may refer to.
    parents: Vec<String>,
    /// What a retry of its rejects has to know.
    retry_context: String,
}

impl PreparedTable {
    fn name(&self) -> &str {
        &self.instruction.incoming.table
    }

    /// Whether a look for differences can save moving rows.
    fn compares(&self) -> bool {
        self.instruction.differences && self.is_keyed()
    }

    /// Whether rows are found again by their key.
    fn is_keyed(&self) -> bool {
        let plan = &self.strategy.plan;
        !plan.regenerate_key
            && !plan.key.is_empty()
            && !self.instruction.incoming.primary_key.is_empty()
    }
}

/// Pulls all tables of an order. Every table is prepared before the first is written; a table's rows are committed in
/// whole chunks; `cancelled` ends the job at a chunk's end.
pub async fn pull(
    resources: &Arc<Resources>,
    strategies: &[ConflictStrategies],
    instruction: CopyInstruction,
    cancelled: watch::Receiver<bool>,
) -> Result<Vec<TableReport>, RunError> {
    let database = database(resources, &instruction)?;
    let mut prepared = Vec::with_capacity(instruction.tables.len());
    for table in &instruction.tables {
        let name = table.incoming.table.clone();
        let table = prepare(strategies, database.as_ref(), table.clone()).await;
        prepared.push(table.map_err(RunError::at(&name))?);
    }
    let run = RunContext {
        resources,
        database: &database,
        instruction: &instruction,
        cancelled: &cancelled,
    };
    scheduler::all(run, &prepared).await
}

/// Compares all tables of an order with what is here. Nothing is written.
pub async fn compare(
    resources: &Arc<Resources>,
    instruction: CopyInstruction,
    cancelled: watch::Receiver<bool>,
) -> Result<Vec<TableComparison>, RunError> {
    let database = database(resources, &instruction)?;
    let run = RunContext {
        resources,
        database: &database,
        instruction: &instruction,
        cancelled: &cancelled,
    };
    let mut comparisons = Vec::with_capacity(instruction.tables.len());
    for table in &instruction.tables {
        let mut table = table.clone();
        table.incoming = without_computed(table.incoming);
        let compared = compare::table(run, &table).await;
        comparisons.push(compared.map_err(RunError::at(&table.incoming.table))?);
    }
    Ok(comparisons)
}

fn database(
    resources: &Resources,
    instruction: &CopyInstruction,
) -> Result<Arc<dyn Database>, RunError> {
    let granted = resources.database(&instruction.database);
    let granted = granted.ok_or_else(|| RunError {
        table: None,
        failure: failure(
            ErrorCode::NotFound,
            format!("no database {:?}", instruction.database),
            "",
        ),
    })?;
    Ok(Arc::clone(granted.database()))
}

async fn prepare(
    strategies: &[ConflictStrategies],
    database: &dyn Database,
    mut instruction: TableInstruction,
) -> Result<PreparedTable, Failure> {
    instruction.incoming = without_computed(instruction.incoming);
    let dialect = database.dialect();
    let table = &instruction.incoming.table;
    let check = |statements: &[_]| -> Result<Vec<CheckedStatement>, Failure> {
        Ok(statements
            .iter()
            .map(|one| ddl::check(&dialect, &instruction.incoming, one))
            .collect::<Result<_, _>>()?)
    };
    let before = check(&instruction.before)?;
    let after = check(&instruction.after)?;
    let local = if instruction.create {
        instruction.incoming.clone()
    } else {
        database.describe(table).await?
    };
    let strategy = strategy::resolve(strategies, &instruction, &local).await?;
    let keys = instruction
        .incoming
        .foreign_keys
        .iter()
        .chain(&local.foreign_keys);
    let parents = keys.map(|key| key.referenced_table.clone()).collect();
    let retry_context = RetryContext::of(&instruction).to_json()?;
    Ok(PreparedTable {
        instruction,
        strategy,
        before,
        after,
        parents,
        retry_context,
    })
}
