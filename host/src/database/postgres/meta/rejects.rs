//! Stores the rows that a table does not take, each with its reason, in `tombolo.rejects`.

use super::statement::Statement;
use crate::bindings::types::Cell;
use crate::database::postgres::connection::Session;
use crate::database::{DatabaseError, TableWrite};
use crate::rows::RowBlock;

const TABLE: &str = "tombolo.rejects";

/// A longer key is cut.
const KEY_CHARACTERS: usize = 120;

/// The rejects of one table in one run.
#[derive(Debug)]
pub(in crate::database::postgres) struct RejectStore {
    run: String,
    table: String,
    /// Where the primary key's cells are in a row.
    key: Vec<usize>,
}

impl RejectStore {
    /// Creates the store; nothing is written.
    pub fn new(write: &TableWrite) -> Self {
        let position = |name: &String| {
            let mut columns = write.incoming.columns.iter();
            columns.position(|column| column.name == *name)
        };
        Self {
            run: write.run.clone(),
            table: write.incoming.table.clone(),
            key: write
                .incoming
                .primary_key
                .iter()
                .filter_map(position)
                .collect(),
        }
    }

    /// Removes all rows of the table. Returns their number.
    pub async fn remove(&self, session: &mut Session) -> Result<u64, DatabaseError> {
        let of_table = Statement::on(TABLE)
            .matching("run", self.run.clone())
            .matching("table_name", self.table.clone());
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
        let reject = Statement::on(TABLE)
            .set("run", self.run.clone())
            .set("table_name", self.table.clone())
            .set("row", i64::try_from(row).unwrap_or(i64::MAX))
            .set("key", self.shown_key(cells))
            .set("reason", reason.replace('\0', ""))
            .set("cells", cells.to_vec());
        session.execute(reject.insert("")?).await.map(|_| ())
    }

    /// Returns a row's primary key for people; empty without one.
    fn shown_key(&self, row: &[u8]) -> String {
        let cells = RowBlock::parse_row(row).unwrap_or_default();
        let parts: Vec<String> = self
            .key
            .iter()
            .filter_map(|position| cells.get(*position))
            .map(shown)
            .collect();
        let key = parts.join(", ").replace(char::is_control, "\u{fffd}");
        match key.char_indices().nth(KEY_CHARACTERS) {
            Some((end, _)) => format!("{}…", key.get(..end).unwrap_or_default()),
            None => key,
        }
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Bytes(bytes) => format!("\\x{}", hex::encode(bytes)),
    }
}
