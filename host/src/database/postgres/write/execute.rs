//! Some staged rows into the table, and a look whether they are stored as they should be. Each plan has its own way, none
//! of which scans the table.

use super::staging::{EXISTING, Rows, STAGING};
use super::table_writer::Loading;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::ledger::Verification;
use crate::database::{ChunkCounts, DatabaseError};

/// What became of some staged rows.
#[derive(Debug)]
pub(in crate::database::postgres) enum Written {
    /// They are in the table.
    Done(ChunkCounts, Verification),
    /// A row among them does not fit, and why.
    Unfit(String),
    /// A guess about what exists was wrong.
    Misjudged,
    /// Somebody else wrote the same rows meanwhile.
    Raced,
    /// So many rows are not stored as they were written.
    Differs(u64),
}

/// What the first staged rows look like in the table.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::database::postgres) struct Guess {
    all_new: bool,
    pub all_change: bool,
}

impl Loading {
    /// Writes rows; the caller has a savepoint to go back to. `guess`: act upon what a few of them look like.
    pub async fn write(
        &self,
        session: &mut Session,
        rows: Rows,
        guess: bool,
    ) -> Result<Written, DatabaseError> {
        if let Some(reason) = self.inexact(session, rows).await? {
            return Ok(Written::Unfit(reason));
        }
        let condition = rows.condition();
        let staged = format!("SELECT count(*) FROM {STAGING} AS s WHERE {condition}");
        let [staged] = numbers(session, staged).await?;
        if staged == 0 {
            return Ok(Written::Done(
                ChunkCounts::default(),
                Verification::default(),
            ));
        }
        if self.merge.is_plain_insert() {
            return self.append(session, rows, staged).await;
        }
        if self.merge.sets_apart() {
            return self.combine(session, rows, staged).await;
        }
        let guess = match guess {
            true => self.look(session, rows).await?,
            false => Guess::default(),
        };
        match self.merge.updates() {
            true => self.overwrite(session, rows, staged, guess).await,
            false => self.add(session, rows, staged, guess).await,
        }
    }

    /// Every row is new, and has nothing to be found by but its place.
    async fn append(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
    ) -> Result<Written, DatabaseError> {
        let insert = self.merge.insert_compared(rows);
        let [created, differing] = numbers(session, insert).await?;
        if created != staged {
            return Ok(self.short());
        }
        check_constraints(session).await?;
        let seen = Verification {
            unread: self.constraints.has_after_triggers(),
            altered: false,
        };
        Ok(self.judge(counts(created, 0, 0, 0), differing, seen))
    }

    /// Rows that exist stay.
    async fn add(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
        guess: Guess,
    ) -> Result<Written, DatabaseError> {
        let skipped = match guess.all_new {
            true => 0,
            false => session.run(self.merge.take_existing(rows, false)).await?,
        };
        let new = staged.saturating_sub(skipped);
        if new == 0 {
            return Ok(self.judge(counts(0, 0, 0, skipped), 0, Verification::default()));
        }
        let created = session.run(self.merge.insert(rows, false)).await?;
        if created != new {
            return Ok(match guess.all_new {
                true => Written::Misjudged,
                false => self.short(),
            });
        }
        check_constraints(session).await?;
        let [differing] = numbers(session, self.merge.not_inserted(rows)).await?;
        Ok(self.judge(
            counts(created, 0, 0, skipped),
            differing,
            Verification::default(),
        ))
    }

    /// Every row becomes what arrives. What is inserted first need not be told from what existed: nothing of it changes.
    async fn overwrite(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
        guess: Guess,
    ) -> Result<Written, DatabaseError> {
        let (mut created, mut updated, mut differing) = (0, 0, 0);
        let changing = self.changing(session);
        let update = self.merge.update(STAGING, rows, changing);
        // A row may refer to a new one of its own table.
        if guess.all_change
            && !self.constraints.refers_to_itself()
            && let Some(update) = &update
        {
            [updated, differing] = numbers(session, update.clone()).await?;
        }
        if updated < staged {
            created = session.run(self.merge.insert(rows, !guess.all_new)).await?;
        }
        if created + updated < staged
            && let Some(update) = update
        {
            let [more, others] = numbers(session, update).await?;
            (updated, differing) = (updated + more, differing + others);
        }
        check_constraints(session).await?;
        if created == staged {
            [differing] = numbers(session, self.merge.not_inserted(rows)).await?;
        } else if created > 0 {
            [differing] = numbers(session, self.merge.not_updated(STAGING, rows)).await?;
        }
        let written = created + updated;
        let Some(same) = staged.checked_sub(written) else {
            // Rows that were inserted had to be changed: they were not stored as they are.
            return Ok(Written::Differs(written - staged));
        };
        Ok(self.judge(
            counts(created, updated, same, 0),
            differing,
            Verification::default(),
        ))
    }

    /// What a row becomes depends on what is there, or triggers have a say.
    async fn combine(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
    ) -> Result<Written, DatabaseError> {
        let existing = session.run(self.merge.take_existing(rows, true)).await?;
        let classes = match self.merge.guard.is_some() || self.merge.triggered {
            true => Some(numbers(session, self.merge.classes(rows)).await?),
            false => None,
        };
        let Some(new) = staged.checked_sub(existing) else {
            return Ok(Written::Raced);
        };
        let created = match new {
            0 => 0,
            _ => session.run(self.merge.insert(rows, false)).await?,
        };
        if created != new {
            return Ok(self.short());
        }
        let [updated, mut differing] = match self.merge.update(EXISTING, rows, None) {
            Some(update) if existing > 0 => numbers(session, update).await?,
            _ => [0, 0],
        };
        let [passed, changing] = classes.unwrap_or([existing, updated]);
        let (Some(skipped), Some(same)) =
            (existing.checked_sub(passed), passed.checked_sub(updated))
        else {
            return Ok(Written::Raced);
        };
        if updated != changing {
            return Ok(self.short());
        }
        check_constraints(session).await?;
        if new > 0 {
            let [others] = numbers(session, self.merge.not_inserted(rows)).await?;
            differing += others;
        }
        let mut seen = Verification::default();
        if self.constraints.has_after_triggers() && existing > 0 {
            // Which rows passed the guard cannot be told any more.
            seen.unread = self.merge.guard.is_some();
            if !seen.unread {
                let [others] = numbers(session, self.merge.not_updated(EXISTING, rows)).await?;
                differing += others;
            }
        }
        Ok(self.judge(counts(created, updated, same, skipped), differing, seen))
    }

    pub async fn look(&self, session: &mut Session, rows: Rows) -> Result<Guess, DatabaseError> {
        let [seen, existing, changing] = numbers(session, self.merge.look(rows)).await?;
        Ok(Guess {
            // Rows that exist after all must not be an error then.
            all_new: existing == 0 && self.merge.arbitrated && !self.merge.triggered,
            all_change: changing == seen,
        })
    }

    /// Fewer rows were written than should have been.
    fn short(&self) -> Written {
        match self.constraints.has_before_triggers() {
            true => Written::Unfit(self.constraints.left_out()),
            false => Written::Raced,
        }
    }

    fn judge(&self, counts: ChunkCounts, differing: u64, mut seen: Verification) -> Written {
        if differing > 0 && !self.merge.triggered {
            return Written::Differs(differing);
        }
        seen.altered |= differing > 0;
        Written::Done(counts, seen)
    }

    /// Why a text would not be held as it is, where that is not known already.
    async fn inexact(
        &self,
        session: &mut Session,
        rows: Rows,
    ) -> Result<Option<String>, DatabaseError> {
        if self.chunk.exact_casts {
            return Ok(None);
        }
        for (name, differs) in self.merge.inexact_casts() {
            let condition = rows.condition();
            let sql =
                format!("SELECT 1 FROM {STAGING} AS s WHERE {condition} AND {differs} LIMIT 1");
            if session.row(query(sql)).await?.is_some() {
                return Ok(Some(inexact(&name)));
            }
        }
        Ok(None)
    }
}

/// Why a text is rejected that its column would hold as another.
pub(in crate::database::postgres) fn inexact(column: &str) -> String {
    format!("column {column:?}: the type would not hold the text exactly as it is")
}

/// What is deferred is told now, while the row can still be found.
async fn check_constraints(session: &mut Session) -> Result<(), DatabaseError> {
    session.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
    Ok(())
}

/// The numbers in a statement's only row.
pub(in crate::database::postgres) async fn numbers<const N: usize>(
    session: &mut Session,
    sql: String,
) -> Result<[u64; N], DatabaseError> {
    let row = session.row(query(sql)).await?;
    let mut numbers = [0; N];
    if let Some(row) = row {
        for (index, number) in numbers.iter_mut().enumerate() {
            let value: i64 = column(&row, index)?;
            *number = u64::try_from(value).unwrap_or_default();
        }
    }
    Ok(numbers)
}

fn counts(created: u64, updated: u64, same: u64, skipped: u64) -> ChunkCounts {
    ChunkCounts {
        created,
        updated,
        same,
        skipped,
        failed: 0,
    }
}
