//! The staged rows into the table: all at once, and where some of them do not fit, in ever smaller ranges until these are
//! found.

use super::connection::{Session, column, query};
use super::error;
use super::loading::{Loading, conclude};
use super::merge::STAGING;
use crate::database::{ChunkCounts, DatabaseError};

/// Staged rows behind the first number, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    after: u64,
    last: u64,
}

impl Range {
    fn rows(self) -> u64 {
        self.last - self.after
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.after + self.rows() / 2;
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

    /// The staging's rows in this range, as a table expression.
    fn staged(self) -> String {
        format!(
            "(SELECT * FROM {STAGING} WHERE \"row\" > {} AND \"row\" <= {})",
            self.after, self.last
        )
    }
}

/// A row that the table does not take.
struct Refused {
    row: u64,
    reason: String,
}

impl Loading {
    /// Applies the staged rows and advances the ledger; the caller commits.
    pub(super) async fn apply(
        &mut self,
        session: &mut Session,
    ) -> Result<ChunkCounts, DatabaseError> {
        let last_key = self.chunk.last_key.clone();
        if self.is_straight() {
            let counts = ChunkCounts {
                created: self.chunk.rows,
                ..ChunkCounts::default()
            };
            self.ledger.advance(session, counts, last_key, 0).await?;
            return Ok(counts);
        }
        self.rejects.begin(session).await?;
        self.analyze(session).await?;
        let mut refused: Vec<Refused> = std::mem::take(&mut self.chunk.unfit)
            .into_iter()
            .map(|(row, reason)| Refused { row, reason })
            .collect();
        refused.extend(self.repeated(session).await?);
        let mut counts = self.ranges(session, &mut refused).await?;
        counts.skipped += self.chunk.skipped;
        for Refused { row, reason } in &refused {
            let cells = self.cells_of(*row);
            let number = i64::try_from(*row).unwrap_or(i64::MAX);
            self.rejects.keep(session, number, &cells, reason).await?;
            self.ledger.not_staged(&cells);
            counts.failed += 1;
        }
        let forgiven = self.rejects.forgiven();
        self.ledger
            .advance(session, counts, last_key, forgiven)
            .await?;
        Ok(counts)
    }

    /// Takes rows out whose key stands in the chunk already: the first one stays.
    async fn repeated(&self, session: &mut Session) -> Result<Vec<Refused>, DatabaseError> {
        if self.merge.is_plain_insert() {
            return Ok(Vec::new());
        }
        session.run("SAVEPOINT tombolo").await?;
        let outcome = async {
            // Cheaper than numbering all rows, and nearly always enough.
            if session.row(query(self.merge.duplicates())).await?.is_none() {
                return Ok(Vec::new());
            }
            session.rows(query(self.merge.take_repeated())).await
        }
        .await;
        let rows = match outcome {
            Ok(rows) => rows,
            // A key that is none: its row is found by applying.
            Err(error) if is_about_a_row(&error) => {
                session.run("ROLLBACK TO SAVEPOINT tombolo").await?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let refused = rows.iter().map(|row| {
            let number: i64 = column(row, 0)?;
            Ok(Refused {
                row: u64::try_from(number).unwrap_or_default(),
                reason: "its key arrived before in this run".to_owned(),
            })
        });
        refused.collect()
    }

    async fn ranges(
        &self,
        session: &mut Session,
        refused: &mut Vec<Refused>,
    ) -> Result<ChunkCounts, DatabaseError> {
        let whole = Range {
            after: self.received,
            last: self.received + self.chunk.rows,
        };
        let mut counts = ChunkCounts::default();
        let mut ranges = vec![whole];
        let mut alone: Vec<Refused> = Vec::new();
        while let Some(range) = ranges.pop() {
            let source = match range == whole {
                true => STAGING.to_owned(),
                false => range.staged(),
            };
            match self.attempt(session, &source).await? {
                Ok(applied) => counts += applied,
                Err(reason) if range.rows() <= 1 => {
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
                    if range == whole {
                        let index = "CREATE INDEX IF NOT EXISTS tombolo_staging_row ON";
                        session.run(format!("{index} {STAGING} (\"row\")")).await?;
                    }
                    let (first, second) = range.halves();
                    ranges.extend([second, first]);
                }
            }
        }
        // A row may have waited for a parent that came behind it.
        loop {
            let before = alone.len();
            let mut still = Vec::with_capacity(before);
            for one in alone {
                let range = Range {
                    after: one.row - 1,
                    last: one.row,
                };
                match self.attempt(session, &range.staged()).await? {
                    Ok(applied) => counts += applied,
                    Err(_) => still.push(one),
                }
            }
            alone = still;
            if alone.is_empty() || alone.len() == before {
                break;
            }
        }
        refused.extend(alone);
        Ok(counts)
    }

    /// Applies some staged rows, or none of them and says why a row among them does not fit.
    async fn attempt(
        &self,
        session: &mut Session,
        staged: &str,
    ) -> Result<Result<ChunkCounts, String>, DatabaseError> {
        session.run("SAVEPOINT tombolo").await?;
        match self.apply_rows(session, staged).await {
            Ok(Ok(counts)) => {
                session.run("RELEASE SAVEPOINT tombolo").await?;
                Ok(Ok(counts))
            }
            Ok(Err(reason)) => {
                session.run("ROLLBACK TO SAVEPOINT tombolo").await?;
                Ok(Err(reason))
            }
            Err(error) if is_about_a_row(&error) => {
                session.run("ROLLBACK TO SAVEPOINT tombolo").await?;
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// The inner error: a text that its type would not hold as it is.
    async fn apply_rows(
        &self,
        session: &mut Session,
        staged: &str,
    ) -> Result<Result<ChunkCounts, String>, DatabaseError> {
        for (name, sql) in self.merge.inexact_casts(staged) {
            if session.row(query(sql)).await?.is_some() {
                return Ok(Err(format!(
                    "column {name:?}: the type would not hold the text exactly as it is"
                )));
            }
        }
        let counts = if self.merge.is_plain_insert() {
            let created = session.run(self.merge.insert(staged)).await?;
            if created != self.staged_rows(session, staged).await? {
                return Err(self.shortfall());
            }
            ChunkCounts {
                created,
                ..ChunkCounts::default()
            }
        } else {
            self.merge_rows(session, staged).await?
        };
        // What is deferred is told now, while the row can still be found.
        session.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
        Ok(Ok(counts))
    }

    async fn staged_rows(&self, session: &mut Session, staged: &str) -> Result<u64, DatabaseError> {
        let sql = format!("SELECT count(*) FROM {staged} AS s");
        let row = session.row(query(sql)).await?;
        let count: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn merge_rows(
        &self,
        session: &mut Session,
        staged: &str,
    ) -> Result<ChunkCounts, DatabaseError> {
        let rows = self.staged_rows(session, staged).await?;
        let Some(row) = session.row(query(self.merge.merge(staged))).await? else {
            return Err(self.shortfall());
        };
        let number = |index| -> Result<Option<u64>, DatabaseError> {
            let count: Option<i64> = column(&row, index)?;
            Ok(count.and_then(|count| u64::try_from(count).ok()))
        };
        let created = number(0)?.unwrap_or_default();
        let updated = number(1)?.unwrap_or_default();
        let classes = match (number(2)?, number(3)?, number(4)?) {
            (Some(matched), Some(passed), Some(changing)) => Some((matched, passed, changing)),
            _ => None,
        };
        let counted = conclude(rows, created, updated, classes, self.merge.updates());
        counted.ok_or_else(|| self.shortfall())
    }

    /// A row of the chunk as it arrived.
    fn cells_of(&self, row: u64) -> Vec<u8> {
        let found = self.chunk.blocks.iter().rfind(|(before, _)| *before < row);
        let cells = found.and_then(|(before, block)| {
            let position = usize::try_from(row - before - 1).ok()?;
            block.rows().nth(position)
        });
        cells.map(|row| row.bytes().to_vec()).unwrap_or_default()
    }
}

/// Whether one of the rows is to blame: data exceptions, broken constraints, and what functions raise.
fn is_about_a_row(error: &DatabaseError) -> bool {
    let code = error::code(error).unwrap_or_default();
    matches!(error, DatabaseError::Refused(_))
        && (code.starts_with("22") || code.starts_with("23") || code == "P0001")
}
