//! Staged rows that cannot go into their table, found all at once before anything is written. What is not found here, the
//! database tells.

use sqlx::postgres::PgRow;

use super::apply::Refused;
use super::execute::inexact;
use super::merge_sql::repeated;
use super::staging::{STAGING, StagedColumn};
use super::table_writer::Loading;
use crate::database::postgres::catalog::constraints::{Check, Reference};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, quote};

/// A query for the numbers of staged rows that have a fault in common.
struct Screen {
    reason: String,
    sql: String,
    /// Whether rejecting a row makes others faulty.
    repeats: bool,
}

impl Loading {
    /// Takes rows out of the staging that the table would not take.
    pub async fn screen(&mut self, session: &mut Session) -> Result<Vec<Refused>, DatabaseError> {
        let mut refused = Vec::new();
        let mut exact = true;
        for (name, differs) in self.merge.inexact_casts() {
            let sql = format!("SELECT s.\"row\" FROM {STAGING} AS s WHERE {differs}");
            let screen = Screen::new(inexact(&name), sql);
            exact &= self.take(session, &screen, &mut refused).await?;
        }
        self.chunk.exact_casts = exact;
        if !self.merge.is_plain_insert() && !self.key_order.ascends() {
            // Cheaper than numbering all rows, and nearly always enough.
            let some = found(session, self.merge.duplicates()).await?;
            if some.is_some_and(|rows| !rows.is_empty()) {
                let reason = "its key arrived before in this run".to_owned();
                let screen = Screen::new(reason, self.merge.repeated());
                self.take(session, &screen, &mut refused).await?;
            }
        }
        // These may give a row what it lacks.
        if self.constraints.has_before_triggers() {
            return Ok(refused);
        }
        let new = self.is_new();
        for screen in self.screens(&new) {
            self.take(session, &screen, &mut refused).await?;
        }
        // Behind all others: a row that is rejected is no parent.
        let references = self.constraints.references.iter();
        let orphans: Vec<_> = references
            .filter_map(|one| self.orphans(one, &new))
            .collect();
        for screen in orphans {
            if screen.repeats {
                // Parents among the staged rows have no index. Such a table comes in one chunk.
                session.run("SET LOCAL enable_hashjoin = on").await?;
            }
            loop {
                let before = refused.len();
                self.take(session, &screen, &mut refused).await?;
                if !screen.repeats || refused.len() == before {
                    break;
                }
            }
            if screen.repeats && !self.merge.is_plain_insert() {
                session.run("SET LOCAL enable_hashjoin = off").await?;
            }
        }
        Ok(refused)
    }

    /// Takes the rows out that a query finds; false: it cannot be run.
    async fn take(
        &self,
        session: &mut Session,
        screen: &Screen,
        refused: &mut Vec<Refused>,
    ) -> Result<bool, DatabaseError> {
        // One more than may be, to notice.
        let known = (self.chunk.unfit.len() + refused.len()) as u64;
        let left = self.rejects.left().saturating_sub(known);
        let sql = format!(
            "{} LIMIT {}",
            screen.sql,
            left.saturating_add(1).min(i64::MAX as u64)
        );
        let Some(rows) = found(session, sql).await? else {
            return Ok(false);
        };
        if rows.is_empty() {
            return Ok(true);
        }
        let numbers = rows.iter().map(|row| column(row, 0));
        let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
        if numbers.len() as u64 > left {
            return Err(self.rejects.too_many(&screen.reason));
        }
        refused.extend(numbers.iter().map(|number| Refused {
            row: u64::try_from(*number).unwrap_or_default(),
            reason: screen.reason.clone(),
        }));
        let delete = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
        session.execute(query(delete).bind(numbers)).await?;
        Ok(true)
    }

    /// A condition: a fault of the staged row counts. Rows that exist may stay as they are.
    fn is_new(&self) -> String {
        match self.merge.overwrites || self.merge.is_plain_insert() {
            true => "true".to_owned(),
            false => format!("NOT {}", self.merge.exists()),
        }
    }

    fn screens(&self, new: &str) -> Vec<Screen> {
        let mut screens: Vec<Screen> = Vec::new();
        for column in &self.merge.inserted {
            let required = self.local.column(&column.name);
            if required.is_some_and(|(column, _)| !column.nullable) {
                screens.push(Screen::new(
                    format!("column {:?}: NULL is not allowed", column.name),
                    format!(
                        "SELECT s.\"row\" FROM {STAGING} AS s WHERE s.c{} IS NULL AND {new}",
                        column.position
                    ),
                ));
            }
        }
        let checks = self.constraints.checks.iter();
        screens.extend(checks.filter_map(|check| self.check(check, new)));
        screens.extend(self.other_keys(new));
        screens
    }

    fn inserted(&self, name: &str) -> Option<&StagedColumn> {
        self.merge
            .inserted
            .iter()
            .find(|column| column.name == name)
    }

    fn all_inserted(&self, names: &[String]) -> Option<Vec<StagedColumn>> {
        let columns = names.iter().map(|name| self.inserted(name).cloned());
        columns
            .collect::<Option<Vec<_>>>()
            .filter(|columns| !columns.is_empty())
    }

    /// The constraint says its columns by their names, so that they have to be in sight under these.
    fn check(&self, check: &Check, new: &str) -> Option<Screen> {
        self.all_inserted(&check.columns)?;
        let mut number = "tombolo row".to_owned();
        while self.local.column(&number).is_some() {
            number.push('_');
        }
        let number = quote(&number);
        let columns: String = check
            .columns
            .iter()
            .filter_map(|name| self.inserted(name))
            .map(|column| {
                format!(
                    ", {}::{} AS {}",
                    column.incoming(),
                    column.kind.declared,
                    quote(&column.name)
                )
            })
            .collect();
        Some(Screen::new(
            format!("it violates check constraint {:?}", check.name),
            format!(
                "SELECT {number} FROM (SELECT s.\"row\" AS {number}{columns} FROM {STAGING} AS s WHERE {new}) AS checked \
                 WHERE NOT ({})",
                check.expression
            ),
        ))
    }

    fn orphans(&self, reference: &Reference, new: &str) -> Option<Screen> {
        let columns = self.all_inserted(&reference.columns)?;
        let pairs = || columns.iter().zip(&reference.parent_columns);
        let join = |conditions: Vec<String>| conditions.join(" AND ");
        let present = join(
            columns
                .iter()
                .map(|column| format!("s.c{} IS NOT NULL", column.position))
                .collect(),
        );
        let parent = join(
            pairs()
                .map(|(column, name)| format!("p.{} = {}", quote(name), column.incoming()))
                .collect(),
        );
        let mut missing = format!(
            "NOT EXISTS (SELECT 1 FROM {} AS p WHERE {parent})",
            reference.parent
        );
        if reference.own_table {
            // The parent may be in the same chunk.
            let arriving = pairs().map(|(column, name)| {
                let parent = self.inserted(name)?;
                Some(format!(
                    "{} = {}",
                    parent.incoming_of("p"),
                    column.incoming()
                ))
            });
            let arriving = join(arriving.collect::<Option<Vec<_>>>()?);
            missing += &format!(" AND NOT EXISTS (SELECT 1 FROM {STAGING} AS p WHERE {arriving})");
        }
        Some(Screen {
            reason: format!(
                "it violates foreign key constraint {:?}: the row that it refers to is missing",
                reference.name
            ),
            sql: format!(
                "SELECT s.\"row\" FROM {STAGING} AS s WHERE {present} AND {missing} AND {new}"
            ),
            repeats: reference.own_table,
        })
    }

    /// Unique keys but the plan's. Where rows change, which one of two may have a value depends on their order.
    fn other_keys(&self, new: &str) -> Vec<Screen> {
        if self.merge.updates() && !self.merge.overwrites {
            return Vec::new();
        }
        let is_key = |names: &[String]| {
            names.len() == self.merge.key.len()
                && self
                    .merge
                    .key
                    .iter()
                    .all(|column| names.contains(&column.name))
        };
        let mut screens = Vec::new();
        for unique in &self.constraints.unique {
            let Some(columns) = self.all_inserted(&unique.columns) else {
                continue;
            };
            if is_key(&unique.columns) {
                continue;
            }
            let reason = format!("it violates unique constraint {:?}", unique.name);
            if !self.merge.updates() {
                let same: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{} = {}", column.local(), column.incoming()))
                    .collect();
                screens.push(Screen::new(
                    reason.clone(),
                    format!(
                        "SELECT s.\"row\" FROM {STAGING} AS s WHERE EXISTS (SELECT 1 FROM {} AS t WHERE {}) AND {new}",
                        self.merge.relation.only(),
                        same.join(" AND ")
                    ),
                ));
            }
            screens.push(Screen::new(reason, repeated(&columns, new)));
        }
        screens
    }
}

/// What a query finds; none where it cannot be run: what it asks may not be allowed, or one value may break it.
async fn found(session: &mut Session, sql: String) -> Result<Option<Vec<PgRow>>, DatabaseError> {
    session.run("SAVEPOINT tombolo").await?;
    let outcome = session.rows(query(sql)).await;
    let end = match &outcome {
        Ok(_) => "RELEASE SAVEPOINT tombolo",
        Err(DatabaseError::Refused(_)) => "ROLLBACK TO SAVEPOINT tombolo",
        Err(_) => return outcome.map(Some),
    };
    session.run(end).await?;
    Ok(outcome.ok())
}

impl Screen {
    fn new(reason: String, sql: String) -> Self {
        Self {
            reason,
            sql,
            repeats: false,
        }
    }
}
