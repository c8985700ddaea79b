//! Applies the staged rows: all at once, and where some of them do not fit, in ever smaller ranges until these are
//! found.

use super::chunk_rows::RefusedRow;
use super::execute::{Execute, Written};
use super::moves::Moves;
use super::row_range::{Range, SLICE, Search};
use super::staging::{Rows, STAGING};
use crate::database::postgres::connection::{Session, query};
use crate::database::postgres::error;
use crate::database::{Bookkeeping, ChunkCounts, DatabaseError, Verification};

/// How often the same rows are written when another session interferes.
const ATTEMPTS: u32 = 5;

/// The SQLSTATE of a unique value that another row has.
const TAKEN: &str = "23505";

/// The SQLSTATE of a row that an exclusion constraint does not allow beside another one.
const EXCLUDED: &str = "23P01";

/// Undoes both steps of values that move.
const UNDO_MOVES: &str = "ROLLBACK TO SAVEPOINT tombolo_moves; RELEASE SAVEPOINT tombolo_moves";

/// Why the database does not take some rows.
struct Refusal {
    reason: String,
    /// What it said, if that was it.
    error: Option<DatabaseError>,
}

fn add(done: &mut (ChunkCounts, Verification), (counts, found): (ChunkCounts, Verification)) {
    done.0 += counts;
    done.1 |= found;
}

/// The application of a chunk's staged rows.
pub(super) struct Apply<'a> {
    pub execute: Execute<'a>,
    /// All of them.
    pub rows: Range,
    pub books: &'a Bookkeeping,
}

impl Apply<'_> {
    /// Writes all rows but those that do not fit, which are added to `refused`.
    ///
    /// Fails with [`DatabaseError::TooManyRejects`] if more rows are refused than may be rejected, and with
    /// [`DatabaseError::NotStored`] if rows are not stored as they were written.
    pub async fn all(
        &self,
        session: &mut Session,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(ChunkCounts, Verification), DatabaseError> {
        let mut done = (ChunkCounts::default(), Verification::default());
        let mut alone: Vec<RefusedRow> = Vec::new();
        let mut unqualified = None;
        let mut is_probed = false;
        let mut search = Search::default();
        if self.is_sliced() || !self.whole(session, refused, &mut done).await? {
            let index = "CREATE INDEX IF NOT EXISTS tombolo_staging_row ON";
            session.run(format!("{index} {STAGING} (\"row\")")).await?;
            search = Search::through(self.rows);
        }
        while let Some(range) = search.next() {
            let Refusal { reason, error } = match self.attempt(session, range.rows()).await? {
                Ok(applied) => {
                    add(&mut done, applied);
                    continue;
                }
                Err(refusal) => refusal,
            };
            let Some(row) = search.narrow(range) else {
                continue;
            };
            if let Some(error) = error {
                if !is_probed && !error::is_about_values(&error) {
                    self.probe(session).await?;
                    is_probed = true;
                }
                if unqualified.is_none() && matches!(error, DatabaseError::Unqualified(_)) {
                    unqualified = Some(error);
                }
            }
            alone.push(RefusedRow { row, reason });
            if (refused.len() + alone.len()) as u64 > self.books.rejects_left() {
                let last = alone.last().map_or("", |refused| refused.reason.as_str());
                let too_many = self.books.too_many_rejects(last);
                refused.append(&mut alone);
                let is_written = done.0.received() > 0;
                return Err(unqualified.filter(|_| !is_written).unwrap_or(too_many));
            }
        }
        // A row may depend on a later one.
        loop {
            let before = alone.len();
            let mut still = Vec::with_capacity(before);
            for one in alone {
                let rows = Rows::Between(one.row - 1, one.row);
                if !self.attempted(session, rows, &mut done).await? {
                    still.push(one);
                }
            }
            alone = still;
            if alone.is_empty() || alone.len() == before {
                break;
            }
        }
        refused.extend(alone);
        match unqualified {
            // A function that finds nothing by its name fails for every row.
            Some(error) if done.0.received() == 0 => Err(error),
            _ => Ok(done),
        }
    }

    /// Writes no row. Fails if the database refuses that too: then no row is why it refused the others.
    async fn probe(&self, session: &mut Session) -> Result<(), DatabaseError> {
        session.savepoint().await?;
        self.execute.write_none(session).await?;
        session.undo().await?;
        Ok(())
    }

    /// Writes all rows at once; false if a row among them does not fit. Where unique values move among the rows, those
    /// that other rows keep are added to `refused`, and the others are written in two steps.
    async fn whole(
        &self,
        session: &mut Session,
        refused: &mut Vec<RefusedRow>,
        done: &mut (ChunkCounts, Verification),
    ) -> Result<bool, DatabaseError> {
        let refusal = match self.attempt(session, Rows::All).await? {
            Ok(applied) => {
                add(done, applied);
                return Ok(true);
            }
            Err(refusal) => refusal,
        };
        let is_taken = |error| matches!(error::code(error), Some(TAKEN | EXCLUDED));
        match Moves::of(self.execute.plan) {
            Some(moves) if refusal.error.as_ref().is_some_and(is_taken) => {
                self.move_values(session, &moves, refused, done).await
            }
            _ => Ok(false),
        }
    }

    /// Writes all rows in two steps. A row that is refused has its old values back, which others may wait for: these are
    /// found, and the rest is tried again.
    async fn move_values(
        &self,
        session: &mut Session,
        moves: &Moves<'_>,
        refused: &mut Vec<RefusedRow>,
        done: &mut (ChunkCounts, Verification),
    ) -> Result<bool, DatabaseError> {
        let mut ways = moves.ways().into_iter();
        let mut way = ways.next();
        for _ in 0..ATTEMPTS {
            let blocked = moves.blocked(session).await?;
            self.leave_out(session, blocked, refused).await?;
            session.run("SAVEPOINT tombolo_moves").await?;
            let parked = loop {
                let Some(park) = way else { break None };
                session.savepoint().await?;
                match moves.park(session, park).await {
                    Ok(Some(parked)) => {
                        session.keep().await?;
                        break Some(parked);
                    }
                    Ok(None) | Err(DatabaseError::Refused(_) | DatabaseError::Unqualified(_)) => {
                        session.undo().await?;
                        way = ways.next();
                    }
                    Err(error) => return Err(error),
                }
            };
            let Some(parked) = parked else {
                session.run(UNDO_MOVES).await?;
                return Ok(false);
            };
            let refusal = match self.attempt(session, Rows::All).await? {
                Ok((counts, found)) => {
                    session.run("RELEASE SAVEPOINT tombolo_moves").await?;
                    add(done, (parked.counts(counts), found));
                    return Ok(true);
                }
                Err(refusal) => refusal,
            };
            // Which rows these are does not depend on the others, as all of them have given their values away.
            let found = self.refused_alone(session, refused.len()).await?;
            session.run(UNDO_MOVES).await?;
            if found.is_empty() {
                tracing::debug!(
                    reason = refusal.reason,
                    "values that move cannot be parked so"
                );
                way = ways.next();
                continue;
            }
            self.leave_out(session, found, refused).await?;
        }
        Ok(false)
    }

    /// Finds the rows that do not fit, whatever becomes of the others.
    async fn refused_alone(
        &self,
        session: &mut Session,
        before: usize,
    ) -> Result<Vec<RefusedRow>, DatabaseError> {
        let mut found = Vec::new();
        let mut search = Search::through(self.rows);
        while let Some(range) = search.next() {
            if let Err(Refusal { reason, .. }) = self.attempt(session, range.rows()).await?
                && let Some(row) = search.narrow(range)
            {
                if (before + found.len()) as u64 >= self.books.rejects_left() {
                    return Err(self.books.too_many_rejects(&reason));
                }
                found.push(RefusedRow { row, reason });
            }
        }
        Ok(found)
    }

    /// Takes rows out of the staging.
    async fn leave_out(
        &self,
        session: &mut Session,
        rows: Vec<RefusedRow>,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(), DatabaseError> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        if (refused.len() + rows.len()) as u64 > self.books.rejects_left() {
            return Err(self.books.too_many_rejects(&last.reason));
        }
        let numbers = rows.iter().map(|one| i64::try_from(one.row));
        let numbers: Vec<i64> = numbers.filter_map(Result::ok).collect();
        let delete = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
        session.execute(query(delete).bind(numbers)).await?;
        refused.extend(rows);
        Ok(())
    }

    /// Returns true if rows are written few at a time, because the database is likely to refuse some that no check
    /// finds. Rows that refer to each other go together.
    fn is_sliced(&self) -> bool {
        let plan = self.execute.plan;
        self.rows.count() > SLICE
            && Moves::of(plan).is_none()
            && !plan.constraints.refers_to_itself()
            && (plan.constraints.opaque || plan.merge.triggered || !self.execute.exact_casts)
    }

    async fn attempted(
        &self,
        session: &mut Session,
        rows: Rows,
        done: &mut (ChunkCounts, Verification),
    ) -> Result<bool, DatabaseError> {
        let outcome = self.attempt(session, rows).await?;
        Ok(outcome.map(|applied| add(done, applied)).is_ok())
    }

    /// Writes some staged rows, or none of them and says why a row among them does not fit.
    async fn attempt(
        &self,
        session: &mut Session,
        rows: Rows,
    ) -> Result<Result<(ChunkCounts, Verification), Refusal>, DatabaseError> {
        let plan = self.execute.plan;
        let mut differing = 0;
        for attempt in 0..ATTEMPTS {
            // In a slice, a wrong guess would look like a row that does not fit.
            let guess = attempt == 0 && rows == Rows::All;
            session.savepoint().await?;
            let fault = match self.execute.write(session, rows, guess).await {
                Ok(Written::Done(counts, found)) => {
                    session.keep().await?;
                    return Ok(Ok((counts, found)));
                }
                Ok(Written::Unfit(reason)) => Some(Refusal {
                    reason,
                    error: None,
                }),
                Ok(Written::WrongGuess | Written::Raced) => None,
                Ok(Written::Differs(rows)) => {
                    differing = rows;
                    None
                }
                // A wrong guess causes errors in good rows.
                Err(error) if error::may_be_caused_by_a_row(&error) => (!guess).then(|| Refusal {
                    reason: error::reason(&error),
                    error: Some(error),
                }),
                Err(error) => return Err(error),
            };
            session.undo().await?;
            if let Some(refusal) = fault {
                return Ok(Err(refusal));
            }
        }
        if differing == 0 {
            return Err(plan.unsuitable(
                "other sessions keep writing the same rows; nothing of this chunk was kept; pull again when they are done",
            ));
        }
        Err(DatabaseError::NotStored {
            table: plan.table().to_owned(),
            rows: differing,
        })
    }
}
