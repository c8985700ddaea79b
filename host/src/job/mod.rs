//! Jobs: a run's rows from a peer into a database, as an order says. A job never decides.

mod fetch;
mod load;
mod statement;
mod strategy;

use std::sync::Arc;

use tokio::sync::watch;

use crate::bindings::transfers::{CopyOrder, TableOrder};
use crate::bindings::types::{Failure, Generation, TableReport, TableSchema};
use crate::database::{CheckedStatement, Database, DatabaseError};
use crate::failure::failure;
use crate::tenant::Tenant;
use strategy::Strategy;

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
}

/// Pulls all tables of an order. Every table is prepared before the first is written; a table's rows are committed in
/// whole chunks; `cancelled` ends the job at a chunk's end.
pub async fn pull(
    tenant: &Arc<Tenant>,
    order: CopyOrder,
    cancelled: watch::Receiver<bool>,
) -> Result<Vec<TableReport>, JobError> {
    let database = tenant
        .database(&order.database)
        .map(|granted| Arc::clone(granted.database()))
        .ok_or_else(|| JobError {
            table: None,
            failure: failure("not-found", format!("no database {:?}", order.database), ""),
        })?;
    let mut prepared = Vec::with_capacity(order.tables.len());
    for table in order.tables {
        let name = table.incoming.table.clone();
        let table = prepare(tenant, database.as_ref(), table).await;
        prepared.push(table.map_err(JobError::at(&name))?);
    }

    let mut target = database.target().await?;
    target.prepare().await?;
    let mut reports = Vec::with_capacity(prepared.len());
    for table in prepared {
        let name = table.order.incoming.table.clone();
        let run = load::Run {
            tenant,
            database: database.as_ref(),
            id: &order.run,
            peer: &order.peer,
            cancelled: &cancelled,
        };
        let report = run.load(target.as_mut(), table).await;
        let report = report.map_err(JobError::at(&name))?;
        tenant.table_done(&order.run, report.clone());
        reports.push(report);
    }
    Ok(reports)
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
            .map(|one| statement::check(&dialect, table, one))
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
    Ok(PreparedTable {
        order,
        strategy,
        before,
        after,
    })
}

/// The table as its rows arrive: computed columns are never sent.
fn without_computed(mut table: TableSchema) -> TableSchema {
    table
        .columns
        .retain(|column| column.generation != Generation::Computed);
    table
}
