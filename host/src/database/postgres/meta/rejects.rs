//! Rows that the table does not take, kept with the reason.

use crate::bindings::types::Cell;
use crate::database::postgres::connection::{Session, query};
use crate::database::{DatabaseError, TableLoad};
use crate::rows::RowBlock;

/// A key that is longer is cut.
const KEY_CHARACTERS: usize = 120;

/// The rejects of one table in one run.
#[derive(Debug)]
pub(in crate::database::postgres) struct Rejects {
    run: String,
    table: String,
    limit: u64,
    /// Where the primary key's cells are in a row.
    key: Vec<usize>,
    /// Rows rejected in earlier chunks.
    before: u64,
    /// Of those the ones that arrive again.
    retried: u64,
    /// Rows rejected in the chunk under way.
    chunk: u64,
    /// Whether the rows that arrive are rejects of earlier chunks.
    retry: bool,
}

impl Rejects {
    /// `before` rows are rejected already.
    pub fn new(load: &TableLoad, key: Vec<usize>, before: u64) -> Self {
        Self {
            run: load.run.clone(),
            table: load.incoming.table.clone(),
            limit: load.reject_limit,
            key,
            before,
            retried: 0,
            chunk: 0,
            retry: load.retry,
        }
    }

    /// Rejects of earlier chunks that the chunk under way removed.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// How many more rows may be rejected.
    pub fn left(&self) -> u64 {
        let kept = self.before - self.retried + self.chunk;
        self.limit.saturating_sub(kept)
    }

    /// What to say when there are too many.
    pub fn too_many(&self, reason: &str) -> DatabaseError {
        DatabaseError::TooManyRejects {
            table: self.table.clone(),
            limit: self.limit,
            reason: reason.to_owned(),
        }
    }

    /// Begins to keep the chunk's rejects, inside of its transaction: rows that arrived again are no rejects any more.
    pub async fn begin(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        if self.retry {
            let retried = session
                .execute(
                    query("DELETE FROM tombolo.rejects WHERE run = $1 AND table_name = $2")
                        .bind(self.run.clone())
                        .bind(self.table.clone()),
                )
                .await?;
            self.retried = retried.min(self.before);
        }
        Ok(())
    }

    /// Keeps one row, by its number in the order of arrival; an error if there are too many.
    pub async fn keep(
        &mut self,
        session: &mut Session,
        row: i64,
        cells: &[u8],
        reason: &str,
    ) -> Result<(), DatabaseError> {
        if self.left() == 0 {
            return Err(self.too_many(reason));
        }
        session
            .execute(
                query(
                    "INSERT INTO tombolo.rejects (run, table_name, \"row\", key, reason, cells) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(self.run.clone())
                .bind(self.table.clone())
                .bind(row)
                .bind(self.shown_key(cells))
                .bind(reason.replace('\0', ""))
                .bind(cells.to_vec()),
            )
            .await?;
        self.chunk += 1;
        Ok(())
    }

    /// The chunk under way is committed.
    pub fn committed(&mut self) {
        self.before = self.before - self.retried + self.chunk;
        // What is kept from now on is not what arrives.
        self.retry = false;
        self.rolled_back();
    }

    /// The chunk under way is gone.
    pub fn rolled_back(&mut self) {
        self.retried = 0;
        self.chunk = 0;
    }

    /// A row's primary key for people; empty without one.
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
