//! The staged rows into the table: all at once, and where some of them do not fit, in ever smaller ranges until these are
//! found.

use super::chunk_rows::Arrived;
use super::execute::Written;
use super::staging::{Rows, STAGING};
use super::table_writer::Loading;
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::database::postgres::meta::ledger::Verification;
use crate::database::{ChunkCounts, DatabaseError};

/// How many rows are written at a time where one of them may not fit: finding it costs twice as many.
const SLICE: u64 = 4_096;

/// How often the same rows are written again when somebody else was in between.
const ATTEMPTS: u32 = 5;

/// Staged rows behind the first number, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    after: u64,
    last: u64,
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

    /// Parts of at most [`SLICE`] rows, the last one first.
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

/// A row that the table does not take.
#[derive(Debug)]
pub(in crate::database::postgres) struct Refused {
    pub row: u64,
    pub reason: String,
}

fn add(done: &mut (ChunkCounts, Verification), (counts, seen): (ChunkCounts, Verification)) {
    done.0 += counts;
    done.1 |= seen;
}

impl Loading {
    /// Applies the staged rows and advances the ledger; the caller commits.
    pub async fn apply(&mut self, session: &mut Session) -> Result<ChunkCounts, DatabaseError> {
        let last_key = self.chunk.last_key.clone();
        if self.is_direct() {
            let counts = ChunkCounts {
                created: self.chunk.rows,
                ..ChunkCounts::default()
            };
            self.ledger.advance(session, counts, last_key, 0).await?;
            return Ok(counts);
        }
        self.carry_out(session).await?;
        self.rejects.begin(session).await?;
        self.analyze(session).await?;
        if self.merge.is_plain_insert() {
            // What is stored is compared by place; the table itself is not read.
            session.run("SET LOCAL enable_hashjoin = on").await?;
        }
        let mut refused = self.screen(session).await?;
        refused.extend(
            std::mem::take(&mut self.chunk.unfit)
                .into_iter()
                .map(|(row, reason)| Refused { row, reason }),
        );
        let (mut counts, seen) = self.ranges(session, &mut refused).await?;
        self.ledger.saw(seen);
        counts.skipped += self.chunk.skipped;
        for Refused { row, reason } in &refused {
            let cells = self.cells_of(*row);
            let number = i64::try_from(*row).unwrap_or(i64::MAX);
            self.rejects.keep(session, number, &cells, reason).await?;
            self.ledger.not_staged(&cells);
            self.not_changed(&cells);
            counts.failed += 1;
        }
        let retried = self.rejects.retried();
        self.ledger.changed(&self.chunk.changed);
        self.ledger
            .advance(session, counts, last_key, retried)
            .await?;
        Ok(counts)
    }

    async fn ranges(
        &self,
        session: &mut Session,
        refused: &mut Vec<Refused>,
    ) -> Result<(ChunkCounts, Verification), DatabaseError> {
        let whole = Range {
            after: self.received,
            last: self.received + self.chunk.rows,
        };
        let mut done = (ChunkCounts::default(), Verification::default());
        let mut alone: Vec<Refused> = Vec::new();
        let mut ranges = Vec::new();
        if self.is_sliced() || !self.attempted(session, Rows::All, &mut done).await? {
            let index = "CREATE INDEX IF NOT EXISTS tombolo_staging_row ON";
            session.run(format!("{index} {STAGING} (\"row\")")).await?;
            ranges = whole.slices();
        }
        while let Some(range) = ranges.pop() {
            match self.attempt(session, range.rows()).await? {
                Ok(applied) => add(&mut done, applied),
                Err(reason) if range.count() <= 1 => {
                    alone.push(Refused {
                        row: range.last,
                        reason,
                    });
                    if (refused.len() + alone.len()) as u64 > self.rejects.left() {
                        let last = alone.last().map_or("", |refused| refused.reason.as_str());
                        return Err(self.rejects.too_many(last));
                    }
                }
                Err(_) => {
                    let (first, second) = range.halves();
                    ranges.extend([second, first]);
                }
            }
        }
        // A row may have waited for one that came behind it.
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

    /// Whether rows that only the database can judge are likely enough to write few at a time. Rows that refer to each
    /// other go together.
    fn is_sliced(&self) -> bool {
        self.chunk.rows > SLICE
            && !self.constraints.refers_to_itself()
            && (self.constraints.opaque || self.merge.triggered || !self.chunk.exact_casts)
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
        let mut differing = 0;
        for attempt in 0..ATTEMPTS {
            // Slices are for finding rows, and a wrong guess would look like one.
            let guess = attempt == 0 && rows == Rows::All;
            session.run("SAVEPOINT tombolo").await?;
            let fault = match self.write(session, rows, guess).await {
                Ok(Written::Done(counts, seen)) => {
                    session.run("RELEASE SAVEPOINT tombolo").await?;
                    return Ok(Ok((counts, seen)));
                }
                Ok(Written::Unfit(reason)) => Some(reason),
                Ok(Written::Misjudged | Written::Raced) => None,
                Ok(Written::Differs(rows)) => {
                    differing = rows;
                    None
                }
                // A wrong guess makes errors of rows that are none.
                Err(error) if is_about_a_row(&error) => (!guess).then(|| error.to_string()),
                Err(error) => return Err(error),
            };
            session.run("ROLLBACK TO SAVEPOINT tombolo").await?;
            if let Some(reason) = fault {
                return Ok(Err(reason));
            }
        }
        if differing == 0 {
            return Err(self.shortfall());
        }
        Err(DatabaseError::NotStored {
            table: self.local.relation.table.clone(),
            rows: differing,
        })
    }

    /// A row of the chunk as it arrived.
    fn cells_of(&self, row: u64) -> Vec<u8> {
        let row = Arrived::new(&self.chunk.blocks).row(row);
        row.map(|row| row.bytes().to_vec()).unwrap_or_default()
    }
}

/// Whether one of the rows is to blame: data exceptions, broken constraints, and what functions raise.
fn is_about_a_row(error: &DatabaseError) -> bool {
    let code = error::code(error).unwrap_or_default();
    matches!(error, DatabaseError::Refused(_))
        && (code.starts_with("22") || code.starts_with("23") || code == "P0001")
}
