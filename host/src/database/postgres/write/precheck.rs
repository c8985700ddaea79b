//! Finds staged rows that their table would refuse, all at once and before anything is written.

use sqlx::postgres::PgRow;

use super::chunk_rows::RefusedRow;
use super::execute::inexact;
use super::merge_sql::repeated;
use super::plan::TablePlan;
use super::staging::{STAGING, StagedColumn};
use crate::database::postgres::catalog::constraints::{Check, Reference};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{Bookkeeping, DatabaseError, quote};

/// A query for the numbers of staged rows that have a fault in common.
struct FaultQuery {
    reason: String,
    sql: String,
    /// Whether rejecting a row makes others faulty.
    repeats: bool,
}

/// The checks of staged rows before they are written. What they do not find, the database refuses.
pub(super) struct Precheck<'a> {
    pub plan: &'a TablePlan,
    pub books: &'a Bookkeeping,
}

impl Precheck<'_> {
    /// Moves faulty rows from the staging to `refused`. Returns whether all texts are known to be what their types
    /// would print. `keys_ascend`: no key is staged twice.
    ///
    /// Fails with [`DatabaseError::TooManyRejects`] if more rows are refused than may be rejected.
    pub async fn run(
        &self,
        session: &mut Session,
        keys_ascend: bool,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<bool, DatabaseError> {
        let merge = &self.plan.merge;
        let mut exact = true;
        for (name, differs) in merge.inexact_casts() {
            let sql = format!("SELECT s.\"row\" FROM {STAGING} AS s WHERE {differs}");
            let query = FaultQuery::new(inexact(&name), sql);
            exact &= self.refuse(session, &query, refused).await?;
        }
        if !merge.is_plain_insert() && !keys_ascend {
            // Cheaper than numbering all rows, and nearly always enough.
            let some = found(session, merge.duplicates()).await?;
            if some.is_some_and(|rows| !rows.is_empty()) {
                let reason = "its key arrived before in this run".to_owned();
                let query = FaultQuery::new(reason, merge.repeated());
                self.refuse(session, &query, refused).await?;
            }
        }
        // These may complete a row.
        if self.plan.constraints.has_before_triggers() {
            return Ok(exact);
        }
        let new = self.is_new();
        for query in self.fault_queries(&new) {
            self.refuse(session, &query, refused).await?;
        }
        // Last: a row that is rejected is no parent.
        let references = self.plan.constraints.references.iter();
        let orphans: Vec<_> = references
            .filter_map(|one| self.orphans(one, &new))
            .collect();
        for query in orphans {
            if query.repeats {
                // Parents among the staged rows have no index. Such a table comes in one chunk.
                session.run("SET LOCAL enable_hashjoin = on").await?;
            }
            loop {
                let before = refused.len();
                self.refuse(session, &query, refused).await?;
                if !query.repeats || refused.len() == before {
                    break;
                }
            }
            if query.repeats && !merge.is_plain_insert() {
                session.run("SET LOCAL enable_hashjoin = off").await?;
            }
        }
        Ok(exact)
    }

    /// Moves the rows that a query finds from the staging to `refused`; false if the query cannot be run.
    async fn refuse(
        &self,
        session: &mut Session,
        fault: &FaultQuery,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<bool, DatabaseError> {
        // One more than allowed tells that there are too many.
        let left = self
            .books
            .rejects_left()
            .saturating_sub(refused.len() as u64);
        let limit = left.saturating_add(1).min(i64::MAX as u64);
        let sql = format!("{} LIMIT {limit}", fault.sql);
        let Some(rows) = found(session, sql).await? else {
            return Ok(false);
        };
        if rows.is_empty() {
            return Ok(true);
        }
        let numbers = rows.iter().map(|row| column(row, 0));
        let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
        refused.extend(numbers.iter().map(|number| RefusedRow {
            row: u64::try_from(*number).unwrap_or_default(),
            reason: fault.reason.clone(),
        }));
        if numbers.len() as u64 > left {
            return Err(self.books.too_many_rejects(&fault.reason));
        }
        let delete = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
        session.execute(query(delete).bind(numbers)).await?;
        Ok(true)
    }

    /// Returns the condition that a fault of a staged row counts. Rows that exist may stay as they are.
    fn is_new(&self) -> String {
        match self.plan.merge.overwrites || self.plan.merge.is_plain_insert() {
            true => "true".to_owned(),
            false => format!("NOT {}", self.plan.merge.exists()),
        }
    }

    fn fault_queries(&self, new: &str) -> Vec<FaultQuery> {
        let mut queries: Vec<FaultQuery> = Vec::new();
        for column in &self.plan.merge.inserted {
            let required = self.plan.local.column(&column.name);
            if required.is_some_and(|(column, _)| !column.nullable) {
                queries.push(FaultQuery::new(
                    format!("column {:?}: NULL is not allowed", column.name),
                    format!(
                        "SELECT s.\"row\" FROM {STAGING} AS s WHERE s.c{} IS NULL AND {new}",
                        column.position
                    ),
                ));
            }
        }
        let checks = self.plan.constraints.checks.iter();
        queries.extend(checks.filter_map(|check| self.check(check, new)));
        queries.extend(self.other_keys(new));
        queries
    }

    fn inserted(&self, name: &str) -> Option<&StagedColumn> {
        self.plan
            .merge
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

    /// The expression names its columns, so the query has to give them these names.
    fn check(&self, check: &Check, new: &str) -> Option<FaultQuery> {
        self.all_inserted(&check.columns)?;
        let mut number = "tombolo row".to_owned();
        while self.plan.local.column(&number).is_some() {
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
        Some(FaultQuery::new(
            format!("it violates check constraint {:?}", check.name),
            format!(
                "SELECT {number} FROM (SELECT s.\"row\" AS {number}{columns} FROM {STAGING} AS s WHERE {new}) AS checked \
                 WHERE NOT ({})",
                check.expression
            ),
        ))
    }

    fn orphans(&self, reference: &Reference, new: &str) -> Option<FaultQuery> {
        let columns = self.all_inserted(&reference.columns)?;
        let pairs = || {
            let parents = reference.parent_columns.iter().zip(&reference.equals);
            columns.iter().zip(parents)
        };
        if reference.equals.len() != columns.len() {
            return None;
        }
        let join = |conditions: Vec<String>| conditions.join(" AND ");
        let present = join(
            columns
                .iter()
                .map(|column| format!("s.c{} IS NOT NULL", column.position))
                .collect(),
        );
        let parent = join(
            pairs()
                .map(|(column, (name, equals))| {
                    format!("p.{} {equals} {}", quote(name), column.incoming())
                })
                .collect(),
        );
        let mut missing = format!(
            "NOT EXISTS (SELECT 1 FROM {} AS p WHERE {parent})",
            reference.parent
        );
        if reference.own_table {
            // The parent may be in the same chunk.
            let arriving = pairs().map(|(column, (name, equals))| {
                let parent = self.inserted(name)?;
                Some(format!(
                    "{} {equals} {}",
                    parent.incoming_of("p"),
                    column.incoming()
                ))
            });
            let arriving = join(arriving.collect::<Option<Vec<_>>>()?);
            missing += &format!(" AND NOT EXISTS (SELECT 1 FROM {STAGING} AS p WHERE {arriving})");
        }
        Some(FaultQuery {
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

    /// Checks all unique keys but the plan's. Where rows change, their order decides which one of two may have a value.
    fn other_keys(&self, new: &str) -> Vec<FaultQuery> {
        if self.plan.merge.updates() && !self.plan.merge.overwrites {
            return Vec::new();
        }
        let is_key = |names: &[String]| {
            names.len() == self.plan.merge.key.len()
                && self
                    .plan
                    .merge
                    .key
                    .iter()
                    .all(|column| names.contains(&column.name))
        };
        let mut queries = Vec::new();
        for unique in &self.plan.constraints.unique {
            let Some(columns) = self.all_inserted(&unique.columns) else {
                continue;
            };
            if is_key(&unique.columns) {
                continue;
            }
            let reason = format!("it violates unique constraint {:?}", unique.name);
            if !self.plan.merge.updates() && unique.equals.len() == columns.len() {
                let compared = columns.iter().zip(&unique.equals);
                let same: Vec<String> = compared
                    .map(|(column, equals)| {
                        format!("{} {equals} {}", column.local(), column.incoming())
                    })
                    .collect();
                queries.push(FaultQuery::new(
                    reason.clone(),
                    format!(
                        "SELECT s.\"row\" FROM {STAGING} AS s WHERE EXISTS (SELECT 1 FROM {} AS t WHERE {}) AND {new}",
                        self.plan.merge.relation.only(),
                        same.join(" AND ")
                    ),
                ));
            }
            queries.push(FaultQuery::new(reason, repeated(&columns, new)));
        }
        queries
    }
}

/// Returns what a query finds; none if it cannot be run: it may not be allowed, or one value may break it.
async fn found(session: &mut Session, sql: String) -> Result<Option<Vec<PgRow>>, DatabaseError> {
    session.run("SAVEPOINT tombolo").await?;
    let outcome = session.rows(query(sql)).await;
    let end = match &outcome {
        Ok(_) => "RELEASE SAVEPOINT tombolo",
        Err(DatabaseError::Refused(_) | DatabaseError::Unqualified(_)) => {
            "ROLLBACK TO SAVEPOINT tombolo"
        }
        Err(_) => return outcome.map(Some),
    };
    session.run(end).await?;
    Ok(outcome.ok())
}

impl FaultQuery {
    fn new(reason: String, sql: String) -> Self {
        Self {
            reason,
            sql,
            repeats: false,
        }
    }
}
