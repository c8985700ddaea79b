//! Brings a chunk's rows into the staging where the server refuses some of them, and finds these.

use bytes::BytesMut;

use super::chunk_rows::{ChunkRows, RefusedRow};
use super::plan::TablePlan;
use super::row_range::{Range, Search};
use super::staging::{COPY_STAGING, STAGING};
use crate::database::postgres::codec::copy_stream::{end_copy, start_copy};
use crate::database::postgres::connection::{Session, query};
use crate::database::postgres::error;
use crate::database::{Bookkeeping, DatabaseError};

/// A chunk whose rows are to be staged, or are.
pub(super) struct StagingCopy<'a> {
    pub plan: &'a TablePlan,
    pub chunk: &'a ChunkRows,
    pub books: &'a Bookkeeping,
}

impl StagingCopy<'_> {
    /// Copies the rows into the empty staging that the server takes there. Returns the others.
    ///
    /// Fails with [`DatabaseError::TooManyRejects`] if more rows are refused than may be rejected.
    pub async fn copy(&self, session: &mut Session) -> Result<Vec<RefusedRow>, DatabaseError> {
        let mut refused = Vec::new();
        let mut search = Search::through(self.rows());
        while let Some(range) = search.next() {
            let rows = self.encode(range);
            session.savepoint().await?;
            let copied = session.copy_in(COPY_STAGING, &rows).await;
            self.go_on(session, copied, range, &mut search, &mut refused)
                .await?;
        }
        Ok(refused)
    }

    /// Takes the staged rows out of the staging that have texts which are no values of their columns. Returns them.
    ///
    /// Fails with [`DatabaseError::TooManyRejects`] if more rows are refused than may be rejected.
    pub async fn take_unreadable(
        &self,
        session: &mut Session,
    ) -> Result<Vec<RefusedRow>, DatabaseError> {
        let mut refused = Vec::new();
        let Some(values) = self.plan.merge.read_values() else {
            return Ok(refused);
        };
        let mut search = Search::through(self.rows());
        while let Some(range) = search.next() {
            let condition = range.rows().condition();
            let read =
                format!("SELECT pg_catalog.count({values}) FROM {STAGING} AS s WHERE {condition}");
            session.savepoint().await?;
            let read = session.rows(query(read)).await.map(|_| ());
            self.go_on(session, read, range, &mut search, &mut refused)
                .await?;
        }
        if !refused.is_empty() {
            let numbers = refused.iter().map(|one| i64::try_from(one.row));
            let numbers: Vec<i64> = numbers.filter_map(Result::ok).collect();
            let delete = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
            session.execute(query(delete).bind(numbers)).await?;
        }
        Ok(refused)
    }

    fn rows(&self) -> Range {
        Range {
            after: self.chunk.before(),
            last: self.chunk.last(),
        }
    }

    /// Ends the savepoint of a range, and goes on with its halves if one of its rows was refused.
    async fn go_on(
        &self,
        session: &mut Session,
        outcome: Result<(), DatabaseError>,
        range: Range,
        search: &mut Search,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(), DatabaseError> {
        let error = match outcome {
            Ok(()) => {
                session.keep().await?;
                return Ok(());
            }
            Err(error) if error::may_be_caused_by_a_row(&error) => error,
            Err(error) => return Err(error),
        };
        session.undo().await?;
        if let Some(row) = search.narrow(range) {
            let reason = error::reason(&error);
            let rejects = (self.chunk.unfit.len() + refused.len()) as u64;
            if rejects >= self.books.rejects_left() {
                return Err(self.books.too_many_rejects(&reason));
            }
            refused.push(RefusedRow { row, reason });
        }
        Ok(())
    }

    /// Encodes the rows of a range that have a place in the table.
    fn encode(&self, range: Range) -> BytesMut {
        let mut rows = BytesMut::new();
        start_copy(&mut rows);
        let mut lookup = self.chunk.lookup();
        for number in range.after + 1..=range.last {
            if let Some(row) = lookup.row(number) {
                self.plan.encoder.encode_again(number, row, &mut rows);
            }
        }
        end_copy(&mut rows);
        rows
    }
}
