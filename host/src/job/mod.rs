//! Jobs: a run's rows from a peer into a database, as an order says. A job never decides.

mod chunk;
mod compare;
mod description;
mod differences;
mod fetch;
mod judge;
mod load;
mod rejects;
mod retry;
mod run;
mod schedule;
mod statement;
mod strategy;
mod verify;

use std::sync::Arc;

use tokio::sync::watch;

use crate::bindings::transfers::{CopyOrder, TableComparison, TableOrder};
use crate::bindings::types::{Failure, Generation, TableReport, TableSchema};
use crate::database::{CheckedStatement, Database, DatabaseError};
use crate::failure::failure;
use crate::tenant::Tenant;
use description::Description;
use run::Run;
use strategy::Strategy;

pub use fetch::SNAPSHOT_EXPIRED;
pub use rejects::retry as retry_rejects;

/// Why a job ended early.
#[derive(Debug, thiserror::Error)]
#[error("{}", failure.message)]
pub struct JobError {
    table: Option<String>,
    failure: Failure,
}

impl JobError {
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

impl From<DatabaseError> for JobError {
    fn from(error: DatabaseError) -> Self {
        Self {
            table: None,
            failure: error.into(),
        }
    }
}

/// One table of the order, with everything checked that can be checked before anything is written.
struct PreparedTable {
    order: TableOrder,
    strategy: Strategy,
    before: Vec<CheckedStatement>,
    after: Vec<CheckedStatement>,
    /// The tables that its rows may refer to.
    parents: Vec<String>,
    /// What a retry of its rejects has to know.
    description: String,
}

impl PreparedTable {
    fn name(&self) -> &str {
        &self.order.incoming.table
    }

    /// Whether a look for differences can save moving rows.
    fn compares(&self) -> bool {
        self.order.differences && self.is_keyed()
    }

    /// Whether rows are found again by their key.
    fn is_keyed(&self) -> bool {
        let plan = &self.strategy.plan;
        !plan.regenerate_key && !plan.key.is_empty() && !self.order.incoming.primary_key.is_empty()
    }
}

/// Pulls all tables of an order. Every table is prepared before the first is written; a table's rows are committed in
/// whole chunks; `cancelled` ends the job at a chunk's end.
pub async fn pull(
    tenant: &Arc<Tenant>,
    order: CopyOrder,
    cancelled: watch::Receiver<bool>,
) -> Result<Vec<TableReport>, JobError> {
    let database = database(tenant, &order)?;
    let mut prepared = Vec::with_capacity(order.tables.len());
    for table in &order.tables {
        let name = table.incoming.table.clone();
        let table = prepare(tenant, database.as_ref(), table.clone()).await;
        prepared.push(table.map_err(JobError::at(&name))?);
    }
    let run = Run {
        tenant,
        database: &database,
        order: &order,
        cancelled: &cancelled,
    };
    schedule::all(run, &prepared).await
}

/// Compares all tables of an order with what is here. Nothing is written.
pub async fn compare(
    tenant: &Arc<Tenant>,
    order: CopyOrder,
    cancelled: watch::Receiver<bool>,
) -> Result<Vec<TableComparison>, JobError> {
    let database = database(tenant, &order)?;
    let run = Run {
        tenant,
        database: &database,
        order: &order,
        cancelled: &cancelled,
    };
    let mut comparisons = Vec::with_capacity(order.tables.len());
    for table in &order.tables {
        let mut table = table.clone();
        table.incoming = without_computed(table.incoming);
        let compared = compare::table(run, &table).await;
        comparisons.push(compared.map_err(JobError::at(&table.incoming.table))?);
    }
    Ok(comparisons)
}

fn database(tenant: &Tenant, order: &CopyOrder) -> Result<Arc<dyn Database>, JobError> {
    let granted = tenant.database(&order.database);
    let granted = granted.ok_or_else(|| JobError {
        table: None,
        failure: failure("not-found", format!("no database {:?}", order.database), ""),
    })?;
    Ok(Arc::clone(granted.database()))
}

async fn prepare(
    tenant: &Tenant,
    database: &dyn Database,
    mut order: TableOrder,
) -> Result<PreparedTable, Failure> {
    order.incoming = without_computed(order.incoming);
    let dialect = database.dialect();
    let table = &order.incoming.table;
    let check = |statements: &[_]| -> Result<Vec<CheckedStatement>, Failure> {
        Ok(statements
            .iter()
            .map(|one| statement::check(&dialect, &order.incoming, one))
            .collect::<Result<_, _>>()?)
    };
    let before = check(&order.before)?;
    let after = check(&order.after)?;
    let local = if order.create {
        order.incoming.clone()
    } else {
        database.describe(table).await?
    };
    let strategy = strategy::resolve(tenant.conflicts(), &order, &local).await?;
    let keys = order
        .incoming
        .foreign_keys
        .iter()
        .chain(&local.foreign_keys);
    let parents = keys.map(|key| key.referenced_table.clone()).collect();
    let description = Description::of(&order).to_json()?;
    Ok(PreparedTable {
        order,
        strategy,
        before,
        after,
        parents,
        description,
    })
}

/// The table as its rows arrive: computed columns are never sent.
fn without_computed(mut table: TableSchema) -> TableSchema {
    table
        .columns
        .retain(|column| column.generation != Generation::Computed);
    table
}
