//! Stores the rows that a table does not take, each with its reason, in `tombolo.rejects`.

use sqlx::postgres::PgRow;

use super::statement::Statement;
use crate::bindings::types::TableSchema;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, Reject, TableWrite};
use crate::rows::{RowBlock, format_primary_key};

const TABLE: &str = "tombolo.rejects";

/// Returns the kept rejects of a table, of all runs.
pub(in crate::database::postgres) async fn of_table(
    session: &mut Session,
    table: &str,
) -> Result<Vec<Reject>, DatabaseError> {
    let sql = format!(
        "SELECT run, table_name, \"row\", key, reason, cells FROM {TABLE} \
         WHERE table_name OPERATOR(pg_catalog.=) $1"
    );
    read(&session.rows(query(sql).bind(table.to_owned())).await?)
}

/// Removes kept rejects of a table, each by its run and its number there.
pub(in crate::database::postgres) async fn forget(
    session: &mut Session,
    table: &str,
    rows: &[(String, u64)],
) -> Result<(), DatabaseError> {
    for (run, row) in rows {
        let reject = Statement::on(TABLE)
            .matching("run", run.clone())
            .matching("table_name", table.to_owned())
            .matching("row", i64::try_from(*row).unwrap_or(i64::MAX));
        session.execute(reject.delete()?).await?;
    }
    Ok(())
}

/// Returns the rejects of rows of the table.
pub(in crate::database::postgres) fn read(rows: &[PgRow]) -> Result<Vec<Reject>, DatabaseError> {
    rows.iter()
        .map(|row| {
            let number: i64 = column(row, "row")?;
            Ok(Reject {
                run: column(row, "run")?,
                table: column(row, "table_name")?,
                row: u64::try_from(number).unwrap_or_default(),
                key: column(row, "key")?,
                reason: column(row, "reason")?,
                cells: column(row, "cells")?,
            })
        })
        .collect()
}

/// The rejects of one table in one run.
#[derive(Debug)]
pub(in crate::database::postgres) struct RejectStore {
    run: String,
    /// The columns of a row.
    incoming: TableSchema,
}

impl RejectStore {
    /// Creates the store; nothing is written.
    pub fn new(write: &TableWrite) -> Self {
        Self {
            run: write.run.clone(),
            incoming: write.incoming.clone(),
        }
    }

    /// Removes all rows of the table. Returns their number.
    pub async fn remove(&self, session: &mut Session) -> Result<u64, DatabaseError> {
        let of_table = Statement::on(TABLE)
            .matching("run", self.run.clone())
            .matching("table_name", self.incoming.table.clone());
        session.execute(of_table.delete()?).await
    }

    /// Stores a row by its number among the rows of the run, from 1.
    pub async fn insert(
        &self,
        session: &mut Session,
        row: u64,
        cells: &[u8],
        reason: &str,
    ) -> Result<(), DatabaseError> {
        let parsed = RowBlock::parse_row(cells).unwrap_or_default();
        let key = format_primary_key(&self.incoming, &parsed);
        let reject = Statement::on(TABLE)
            .set("run", self.run.clone())
            .set("table_name", self.incoming.table.clone())
            .set("row", i64::try_from(row).unwrap_or(i64::MAX))
            .set("key", key)
            .set("reason", reason.replace('\0', ""))
            .set("cells", cells.to_vec());
        session.execute(reject.insert("")?).await.map(|_| ())
    }
}
