//! Applies the staged rows: all at once, and where some of them do not fit, in ever smaller ranges until these are
//! found.

use super::chunk_rows::RefusedRow;
use super::execute::{Execute, Written};
use super::staging::{Rows, STAGING};
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::database::{Bookkeeping, ChunkCounts, DatabaseError, Verification};

/// So many rows are written at a time where one of them may not fit: to find it, twice as many are written.
const SLICE: u64 = 4_096;

/// How often the same rows are written when another session interferes.
const ATTEMPTS: u32 = 5;

/// Staged rows behind the first number, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub after: u64,
    pub last: u64,
}

impl Range {
    fn count(self) -> u64 {
        self.last - self.after
    }

    fn rows(self) -> Rows {
        Rows::Between(self.after, self.last)
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.after + self.count() / 2;
        (
            Self {
                last: middle,
                ..self
            },
            Self {
                after: middle,
                ..self
            },
        )
    }

    /// Returns parts of at most [`SLICE`] rows, the last one first.
    fn slices(self) -> Vec<Self> {
        let mut slices = Vec::new();
        let mut last = self.last;
        while last > self.after {
            let after = last.saturating_sub(SLICE).max(self.after);
            slices.push(Self { after, last });
            last = after;
        }
        slices
    }
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
        let mut ranges = Vec::new();
        if self.is_sliced() || !self.attempted(session, Rows::All, &mut done).await? {
            let index = "CREATE INDEX IF NOT EXISTS tombolo_staging_row ON";
            session.run(format!("{index} {STAGING} (\"row\")")).await?;
            ranges = self.rows.slices();
        }
        while let Some(range) = ranges.pop() {
            match self.attempt(session, range.rows()).await? {
                Ok(applied) => add(&mut done, applied),
                Err(reason) if range.count() <= 1 => {
                    alone.push(RefusedRow {
                        row: range.last,
                        reason,
                    });
                    if (refused.len() + alone.len()) as u64 > self.books.rejects_left() {
                        let last = alone.last().map_or("", |refused| refused.reason.as_str());
                        let error = self.books.too_many_rejects(last);
                        refused.append(&mut alone);
                        return Err(error);
                    }
                }
                Err(_) => {
                    let (first, second) = range.halves();
                    ranges.extend([second, first]);
                }
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
        Ok(done)
    }

    /// Returns true if rows are written few at a time, because the database is likely to refuse some that no check
    /// finds. Rows that refer to each other go together.
    fn is_sliced(&self) -> bool {
        let plan = self.execute.plan;
        self.rows.count() > SLICE
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
    ) -> Result<Result<(ChunkCounts, Verification), String>, DatabaseError> {
        let plan = self.execute.plan;
        let mut differing = 0;
        for attempt in 0..ATTEMPTS {
            // In a slice, a wrong guess would look like a row that does not fit.
            let guess = attempt == 0 && rows == Rows::All;
            session.run("SAVEPOINT tombolo").await?;
            let fault = match self.execute.write(session, rows, guess).await {
                Ok(Written::Done(counts, found)) => {
                    session.run("RELEASE SAVEPOINT tombolo").await?;
                    return Ok(Ok((counts, found)));
                }
                Ok(Written::Unfit(reason)) => Some(reason),
                Ok(Written::WrongGuess | Written::Raced) => None,
                Ok(Written::Differs(rows)) => {
                    differing = rows;
                    None
                }
                // A wrong guess causes errors in good rows.
                Err(error) if is_about_a_row(&error) => (!guess).then(|| error.to_string()),
                Err(error) => return Err(error),
            };
            session.run("ROLLBACK TO SAVEPOINT tombolo").await?;
            if let Some(reason) = fault {
                return Ok(Err(reason));
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

/// Returns true if a row caused the error: data exceptions, broken constraints, and what functions raise.
fn is_about_a_row(error: &DatabaseError) -> bool {
    let code = error::code(error).unwrap_or_default();
    matches!(error, DatabaseError::Refused(_))
        && (code.starts_with("22") || code.starts_with("23") || code == "P0001")
}
