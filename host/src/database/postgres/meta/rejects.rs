//! Stores the rows that a table does not take, each with its reason, in `tombolo.rejects`.

use super::statement::Statement;
use crate::bindings::types::TableSchema;
use crate::database::postgres::connection::Session;
use crate::database::{DatabaseError, TableWrite};
use crate::rows::{RowBlock, format_primary_key};

const TABLE: &str = "tombolo.rejects";

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
