//! Writes some staged rows into the table, and checks how they are stored; no way of writing scans the table.

use super::merge_sql::Merge;
use super::plan::TablePlan;
use super::staging::{EXISTING, Rows, STAGING};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{ChunkCounts, DatabaseError, Verification};

/// The outcome of writing some staged rows.
#[derive(Debug)]
pub(super) enum Written {
    /// They are in the table.
    Done(ChunkCounts, Verification),
    /// A row among them does not fit, and why.
    Unfit(String),
    /// A guess about what exists was wrong.
    WrongGuess,
    /// Another session wrote the same rows meanwhile.
    Raced,
    /// So many rows are not stored as they were written.
    Differs(u64),
}

/// What the first staged rows look like in the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guess {
    all_new: bool,
    pub all_change: bool,
}

impl Guess {
    /// Compares the first of some staged rows with the table.
    pub async fn make(
        session: &mut Session,
        merge: &Merge,
        rows: Rows,
    ) -> Result<Self, DatabaseError> {
        let [seen, existing, changing] = numbers(session, merge.look(rows)).await?;
        Ok(Self {
            // Rows that exist after all must not be an error then.
            all_new: existing == 0 && merge.arbitrated && !merge.triggered,
            all_change: changing == seen,
        })
    }
}

/// The writing of a chunk's staged rows.
pub(super) struct Execute<'a> {
    pub plan: &'a TablePlan,
    /// Whether texts are known to be what their types would print.
    pub exact_casts: bool,
    /// The numbers of the only rows that can change existing ones, where these are known and few.
    pub changing: Option<&'a [i64]>,
}

impl Execute<'_> {
    /// Writes rows; the caller has a savepoint to go back to. `guess`: act upon what the first of them look like.
    pub async fn write(
        &self,
        session: &mut Session,
        rows: Rows,
        guess: bool,
    ) -> Result<Written, DatabaseError> {
        let merge = &self.plan.merge;
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
        if merge.is_plain_insert() {
            return self.append(session, rows, staged).await;
        }
        if merge.sets_apart() {
            return self.combine(session, rows, staged).await;
        }
        let guess = match guess {
            true => Guess::make(session, merge, rows).await?,
            false => Guess::default(),
        };
        match merge.updates() {
            true => self.overwrite(session, rows, staged, guess).await,
            false => self.add(session, rows, staged, guess).await,
        }
    }

    /// Writes no row, by the statements that write rows.
    pub async fn write_none(&self, session: &mut Session) -> Result<(), DatabaseError> {
        let (merge, none) = (&self.plan.merge, Rows::Between(0, 0));
        session.run(merge.insert(none, false)).await?;
        if let Some(update) = merge.update(STAGING, none, None) {
            session.rows(query(update)).await?;
        }
        Ok(())
    }

    /// Inserts rows that have no key; their order is all that tells them apart.
    async fn append(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
    ) -> Result<Written, DatabaseError> {
        let merge = &self.plan.merge;
        let insert = merge.insert_compared(rows);
        let [created, differing] = numbers(session, insert).await?;
        if created != staged {
            return Ok(self.short());
        }
        check_constraints(session).await?;
        let found = Verification {
            unread: self.plan.constraints.has_after_triggers(),
            altered: false,
        };
        Ok(self.checked(counts(created, 0, 0, 0), differing, found))
    }

    /// Inserts new rows; rows that exist stay as they are.
    async fn add(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
        guess: Guess,
    ) -> Result<Written, DatabaseError> {
        let merge = &self.plan.merge;
        let skipped = match guess.all_new {
            true => 0,
            false => session.run(merge.take_existing(rows, false)).await?,
        };
        let new = staged.saturating_sub(skipped);
        if new == 0 {
            return Ok(self.checked(counts(0, 0, 0, skipped), 0, Verification::default()));
        }
        let created = session.run(merge.insert(rows, false)).await?;
        if created != new {
            return Ok(match guess.all_new {
                true => Written::WrongGuess,
                false => self.short(),
            });
        }
        check_constraints(session).await?;
        let [differing] = numbers(session, merge.not_inserted(rows)).await?;
        Ok(self.checked(
            counts(created, 0, 0, skipped),
            differing,
            Verification::default(),
        ))
    }

    /// Inserts new rows and overwrites those that exist. Rows that were just inserted need not be told from others: the
    /// update does not change them.
    async fn overwrite(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
        guess: Guess,
    ) -> Result<Written, DatabaseError> {
        let merge = &self.plan.merge;
        let (mut created, mut updated, mut differing) = (0, 0, 0);
        let update = merge.update(STAGING, rows, self.changing);
        // A row may refer to a new one of its own table.
        if guess.all_change
            && !self.plan.constraints.refers_to_itself()
            && let Some(update) = &update
        {
            [updated, differing] = numbers(session, update.clone()).await?;
        }
        if updated < staged {
            created = session.run(merge.insert(rows, !guess.all_new)).await?;
        }
        if created + updated < staged
            && let Some(update) = update
        {
            let [more, others] = numbers(session, update).await?;
            (updated, differing) = (updated + more, differing + others);
        }
        check_constraints(session).await?;
        if created == staged {
            [differing] = numbers(session, merge.not_inserted(rows)).await?;
        } else if created > 0 {
            [differing] = numbers(session, merge.not_updated(STAGING, rows)).await?;
        }
        let written = created + updated;
        let Some(same) = staged.checked_sub(written) else {
            // The update changed inserted rows: they were not stored as they were sent.
            return Ok(Written::Differs(written - staged));
        };
        Ok(self.checked(
            counts(created, updated, same, 0),
            differing,
            Verification::default(),
        ))
    }

    /// Inserts new rows and updates those that exist, where the update depends on the local row, or triggers run.
    async fn combine(
        &self,
        session: &mut Session,
        rows: Rows,
        staged: u64,
    ) -> Result<Written, DatabaseError> {
        let merge = &self.plan.merge;
        let existing = session.run(merge.take_existing(rows, true)).await?;
        let classes = match merge.guard.is_some() || merge.triggered {
            true => Some(numbers(session, merge.classes(rows)).await?),
            false => None,
        };
        let Some(new) = staged.checked_sub(existing) else {
            return Ok(Written::Raced);
        };
        let created = match new {
            0 => 0,
            _ => session.run(merge.insert(rows, false)).await?,
        };
        if created != new {
            return Ok(self.short());
        }
        let [updated, mut differing] = match merge.update(EXISTING, rows, None) {
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
            let [others] = numbers(session, merge.not_inserted(rows)).await?;
            differing += others;
        }
        let mut found = Verification::default();
        if self.plan.constraints.has_after_triggers() && existing > 0 {
            // Which rows passed the guard is not known any more.
            found.unread = merge.guard.is_some();
            if !found.unread {
                let [others] = numbers(session, merge.not_updated(EXISTING, rows)).await?;
                differing += others;
            }
        }
        Ok(self.checked(counts(created, updated, same, skipped), differing, found))
    }

    /// Returns why fewer rows were written than should have been.
    fn short(&self) -> Written {
        match self.plan.constraints.has_before_triggers() {
            true => Written::Unfit(self.plan.constraints.left_out()),
            false => Written::Raced,
        }
    }

    /// Returns what became of rows after their check.
    fn checked(&self, counts: ChunkCounts, differing: u64, mut found: Verification) -> Written {
        if differing > 0 && !self.plan.merge.triggered {
            return Written::Differs(differing);
        }
        found.altered |= differing > 0;
        Written::Done(counts, found)
    }

    /// Returns why a text would not be stored as it is, unless all are known to be.
    async fn inexact(
        &self,
        session: &mut Session,
        rows: Rows,
    ) -> Result<Option<String>, DatabaseError> {
        if self.exact_casts {
            return Ok(None);
        }
        for (name, differs) in self.plan.merge.inexact_texts() {
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

/// Returns why a text is rejected that its column would change.
pub(super) fn inexact(column: &str) -> String {
    format!("column {column:?}: the type would not hold the text exactly as it is")
}

/// Checks deferred constraints now, while the row can still be found.
async fn check_constraints(session: &mut Session) -> Result<(), DatabaseError> {
    session.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
    Ok(())
}

/// Returns the numbers in a statement's only row.
pub(super) async fn numbers<const N: usize>(
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
