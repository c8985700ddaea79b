//! Writes rows whose unique values move among them: first they give their values away, then each takes its new one.

use std::collections::{HashMap, HashSet};

use super::chunk_rows::RefusedRow;
use super::execute::numbers;
use super::merge_sql::Merge;
use super::plan::TablePlan;
use super::staging::{STAGING, StagedColumn};
use crate::database::postgres::catalog::exclusives::Exclusive;
use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{ChunkCounts, DatabaseError, quote};

/// Where parked values lie: a table is likely to use few of those at either end of a type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Park {
    /// The rows are deleted, and inserted again as they arrive.
    Delete,
    /// A column of each unique index has NULL, or a value at the upper end of its type.
    High,
    /// The same, at the lower end.
    Low,
}

/// What the first step did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parked {
    park: Park,
    /// How many rows exist and change.
    changing: u64,
    /// How many of them gave their values away.
    moving: u64,
}

impl Parked {
    /// Returns what became of the rows, after the second step counted it as if the first one had been another session's.
    pub fn counts(self, mut counts: ChunkCounts) -> ChunkCounts {
        match self.park {
            Park::Delete => {
                counts.created = counts.created.saturating_sub(self.moving);
                counts.updated += self.moving;
            }
            // A row whose parked value is its new one looks unchanged.
            Park::High | Park::Low => {
                let unseen = self
                    .changing
                    .saturating_sub(counts.updated)
                    .min(counts.same);
                counts.same -= unseen;
                counts.updated += unseen;
            }
        }
        counts
    }
}

/// The rows of a chunk that exist and whose unique values change.
pub(super) struct Moves<'a> {
    plan: &'a TablePlan,
}

impl<'a> Moves<'a> {
    /// Returns none if the plan changes no value that has to be unique.
    pub fn of(plan: &'a TablePlan) -> Option<Self> {
        let update = plan.merge.update.as_deref().unwrap_or_default();
        let involved = |name: &str| {
            let mut exclusives = plan.constraints.exclusives.iter();
            exclusives.any(|one| one.involves(name))
        };
        let moves = update.iter().any(|(column, _)| involved(&column.name));
        moves.then_some(Self { plan })
    }

    /// Returns the ways in which rows may give their values away, the best one first.
    pub fn ways(&self) -> Vec<Park> {
        let constraints = &self.plan.constraints;
        let merge = &self.plan.merge;
        let arrives = |name: &str| merge.columns.iter().any(|column| column.name == name);
        let mut columns = self.plan.local.schema.columns.iter();
        let is_whole = columns.all(|column| {
            column.generation == crate::bindings::types::Generation::Computed
                || arrives(&column.name)
        });
        let deletes = merge.overwrites
            && is_whole
            && !constraints.has_children()
            && !constraints.has_delete_triggers
            && !merge.triggered;
        let mut ways = vec![Park::High, Park::Low];
        if deletes {
            ways.insert(0, Park::Delete);
        }
        ways
    }

    /// Finds the rows that wait for a value which its row keeps: one that does not arrive, or one that waits as well.
    /// Returns none if that cannot be found out.
    pub async fn blocked(&self, session: &mut Session) -> Result<Vec<RefusedRow>, DatabaseError> {
        let mut waits = Vec::new();
        let mut names = HashMap::new();
        let update = self.plan.merge.update.as_deref().unwrap_or_default();
        let changes =
            |one: &&Exclusive| update.iter().any(|(column, _)| one.involves(&column.name));
        for exclusive in self.plan.constraints.exclusives.iter().filter(changes) {
            let Some(sql) = self.waiting(exclusive) else {
                continue;
            };
            // Both tables of the second join are the staging, which has no index.
            session.savepoint().await?;
            session.run("SET LOCAL enable_hashjoin = on").await?;
            let found = session.rows(query(sql)).await;
            session.undo().await?;
            for row in found.unwrap_or_default() {
                let (waiting, holder): (i64, Option<i64>) = (column(&row, 0)?, column(&row, 1)?);
                let waiting = u64::try_from(waiting).unwrap_or_default();
                names.entry(waiting).or_insert(exclusive);
                waits.push(Wait {
                    waiting,
                    holder: holder.and_then(|row| u64::try_from(row).ok()),
                });
            }
        }
        let blocked = blocked(&waits).into_iter();
        Ok(blocked
            .filter_map(|row| Some((row, names.get(&row)?)))
            .map(|(row, exclusive)| RefusedRow {
                row,
                reason: exclusive.kept_elsewhere(),
            })
            .collect())
    }

    /// Takes the first step; none if no column can have another value. Fails if the table does not allow it.
    pub async fn park(
        &self,
        session: &mut Session,
        park: Park,
    ) -> Result<Option<Parked>, DatabaseError> {
        let merge = &self.plan.merge;
        // What is deferred may be wrong between the steps.
        session.run("SET CONSTRAINTS ALL DEFERRED").await?;
        let [changing] = numbers(session, merge.count_changing()).await?;
        let statement = match park {
            Park::Delete => Some(self.delete()),
            Park::High | Park::Low => self.update(park),
        };
        let Some(statement) = statement else {
            return Ok(None);
        };
        let moving = session.run(statement).await?;
        Ok(Some(Parked {
            park,
            changing,
            moving,
        }))
    }

    fn delete(&self) -> String {
        let merge = &self.plan.merge;
        format!(
            "DELETE FROM {} AS t USING {STAGING} AS s WHERE {} AND {}",
            merge.relation.only(),
            merge.matches(),
            merge.moves(|name| self.is_involved(name))
        )
    }

    fn is_involved(&self, name: &str) -> bool {
        let mut exclusives = self.plan.constraints.exclusives.iter();
        exclusives.any(|one| one.involves(name))
    }

    /// Returns the statement that parks values; none if no column can have one.
    fn update(&self, park: Park) -> Option<String> {
        let merge = &self.plan.merge;
        let mut values: Vec<(&StagedColumn, String)> = Vec::new();
        let exclusives = self.plan.constraints.exclusives.iter();
        // One that is checked at the end needs nothing.
        for exclusive in exclusives.filter(|one| one.immediate) {
            let columns = merge.update.iter().flatten();
            let columns = columns.map(|(column, _)| column);
            let mut candidates: Vec<_> = columns
                .filter(|column| exclusive.involves(&column.name))
                .filter_map(|column| self.parked_value(exclusive, column, park))
                .collect();
            candidates.sort_by_key(|(rank, ..)| *rank);
            let Some((_, column, value)) = candidates.into_iter().next() else {
                continue;
            };
            if values.iter().all(|(other, _)| other.name != column.name) {
                values.push((column, value));
            }
        }
        if values.is_empty() {
            return None;
        }
        let set: Vec<String> = values
            .iter()
            .map(|(column, value)| format!("{} = {value}", quote(&column.name)))
            .collect();
        Some(format!(
            "UPDATE {} AS t SET {} FROM (SELECT *, row_number() OVER (ORDER BY \"row\") AS \"tombolo number\" FROM {STAGING}) AS s \
             WHERE {} AND {}",
            merge.relation.only(),
            set.join(", "),
            merge.matches(),
            merge.moves(|name| self.is_involved(name))
        ))
    }

    /// Returns a value that a column may have between the steps, and how likely it is not to do (the least first).
    fn parked_value<'b>(
        &self,
        exclusive: &Exclusive,
        column: &'b StagedColumn,
        park: Park,
    ) -> Option<(u8, &'b StagedColumn, String)> {
        let constraints = &self.plan.constraints;
        let (described, kind) = self.plan.local.column(&column.name)?;
        let referred = constraints.child_columns.contains(&column.name);
        let mut references = constraints.references.iter();
        let refers = references.any(|one| one.columns.contains(&column.name));
        let nullable = described.nullable && !exclusive.nulls_equal;
        if nullable && !referred && park == Park::High {
            return Some((0, column, "NULL".to_owned()));
        }
        if refers {
            return None;
        }
        let value = match exclusive.is_constraint_of_operators {
            // Nothing overlaps with an empty range.
            true if kind.bare.ends_with("range") => format!("'empty'::{}", kind.base),
            _ => value_at(kind, park)?,
        };
        Some((1 + u8::from(referred), column, value))
    }

    /// Selects the rows that wait for a value of another row: their numbers, and that row's if it arrives as well. None
    /// if a new value is not known before it is written.
    fn waiting(&self, exclusive: &Exclusive) -> Option<String> {
        let merge = &self.plan.merge;
        if exclusive.columns.is_empty() || exclusive.expressions.len() != exclusive.operators.len()
        {
            return None;
        }
        let mut named = Vec::new();
        for name in &exclusive.columns {
            let column = merge.columns.iter().find(|column| column.name == *name)?;
            let update = merge.update.iter().flatten();
            let mut update = update.filter(|(changed, _)| changed.name == *name);
            let exists = self.exists(merge)?;
            let value = match update.next() {
                Some((_, value)) => format!(
                    "CASE WHEN {exists} THEN ({value})::{base} ELSE {} END",
                    column.incoming(),
                    base = column.kind.base
                ),
                None => column.incoming(),
            };
            named.push(format!(
                "({value})::{} AS {}",
                column.kind.declared,
                quote(name)
            ));
        }
        let each = |write: &dyn Fn(usize, &StagedColumn) -> String, separator: &str| {
            let key = merge.key.iter().enumerate();
            let written: Vec<String> = key.map(|(at, column)| write(at, column)).collect();
            written.join(separator)
        };
        let key = each(
            &|at, column| format!("{} AS \"tombolo k{at}\"", column.incoming()),
            ", ",
        );
        let keys = each(&|at, _| format!("\"tombolo k{at}\""), ", ");
        let local = each(
            &|at, column| {
                let value = column.kind.base_expression(&quote(&column.name));
                format!("{value} AS k{at}")
            },
            ", ",
        );
        let own = each(
            &|at, column| format!("x.k{at} {} w.\"tombolo k{at}\"", column.equals),
            " AND ",
        );
        let holder = each(
            &|at, column| format!("x.k{at} {} {}", column.equals, column.incoming_of("h")),
            " AND ",
        );
        let wanted = exclusive.expressions.iter().enumerate();
        let values: Vec<String> = wanted
            .clone()
            .map(|(at, expression)| format!("({expression}) AS \"tombolo u{at}\""))
            .collect();
        let same: Vec<String> = wanted
            .zip(&exclusive.operators)
            .map(|((at, expression), operator)| {
                format!("({expression}) {operator} w.\"tombolo u{at}\"")
            })
            .collect();
        let condition = exclusive.predicate.as_deref().unwrap_or("true");
        let (columns, matches) = (merge.local_columns(), merge.matches());
        let only = merge.relation.only();
        // OFFSET keeps the planner from a join that scans the table.
        Some(format!(
            "SELECT w.\"tombolo row\", h.\"row\" FROM ( \
               SELECT \"tombolo row\", {keys}, {values} FROM ( \
                 SELECT s.\"row\" AS \"tombolo row\", {key}, {named} FROM {STAGING} AS s \
                 LEFT JOIN LATERAL (SELECT {columns} FROM {only} AS t WHERE {matches} OFFSET 0) AS t ON true) AS named \
               WHERE {condition}) AS w \
             JOIN LATERAL (SELECT {local} FROM {only} WHERE ({condition}) AND {same} OFFSET 0) AS x ON NOT ({own}) \
             LEFT JOIN {STAGING} AS h ON {holder}",
            values = values.join(", "),
            named = named.join(", "),
            same = same.join(" AND ")
        ))
    }

    /// Returns the condition that the local row `t` was found.
    fn exists(&self, merge: &Merge) -> Option<String> {
        let first = merge.key.first()?;
        Some(format!("t.{} IS NOT NULL", quote(&first.name)))
    }
}

/// Returns an expression for a value at an end of a type's range, which differs from row to row; none for other types.
fn value_at(kind: &ColumnType, park: Park) -> Option<String> {
    let number = "s.\"tombolo number\"";
    let from = |low: &str, high: &str| match park {
        Park::Low => format!("({low} + {number})"),
        Park::High | Park::Delete => format!("({high} - {number})"),
    };
    let value = match kind.physical {
        PhysicalType::Int2 => from("-32768::int8", "32767"),
        PhysicalType::Int4 => from("-2147483648::int8", "2147483647"),
        PhysicalType::Int8 => from("-9223372036854775807::int8", "9223372036854775807"),
        PhysicalType::Float4 | PhysicalType::Float8 => from("-16777216::int8", "16777216"),
        PhysicalType::Numeric(None) => from("-1e15::numeric", "1e15::numeric"),
        PhysicalType::Numeric(Some(limit)) => {
            let digits = limit.precision.saturating_sub(limit.scale).clamp(0, 1_000);
            let end = format!("power(10::numeric, {digits})");
            from(&format!("-{end}"), &end)
        }
        PhysicalType::Text(_) => format!("(chr(1) || to_hex({number}))"),
        PhysicalType::Bytea => format!("decode(md5({number}::text), 'hex')"),
        PhysicalType::Uuid => format!("md5('tombolo' || {number})"),
        PhysicalType::Date => match park {
            Park::Low => format!("('4713-01-01 BC'::date + {number}::int)"),
            Park::High | Park::Delete => format!("('5874897-12-31'::date - {number}::int)"),
        },
        PhysicalType::Timestamp(_) | PhysicalType::Timestamptz(_) => match park {
            Park::Low => format!("('4700-01-01 BC'::timestamptz + {number} * '1 s'::interval)"),
            Park::High | Park::Delete => {
                format!("('294000-01-01'::timestamptz + {number} * '1 s'::interval)")
            }
        },
        _ => return None,
    };
    Some(format!("{value}::{}", kind.base))
}

/// A row that arrives and wants a value which another row has.
#[derive(Clone, Copy, Debug)]
struct Wait {
    waiting: u64,
    /// The row that has it, if it arrives as well.
    holder: Option<u64>,
}

/// Returns the rows that wait for a value which its row keeps: it does not arrive, or waits for such a value itself.
fn blocked(waits: &[Wait]) -> Vec<u64> {
    let mut waiting_for: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut next = Vec::new();
    for wait in waits {
        match wait.holder {
            Some(holder) => waiting_for.entry(holder).or_default().push(wait.waiting),
            None => next.push(wait.waiting),
        }
    }
    let mut found = HashSet::new();
    while let Some(row) = next.pop() {
        if found.insert(row) {
            next.extend(waiting_for.remove(&row).unwrap_or_default());
        }
    }
    let mut found: Vec<u64> = found.into_iter().collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_behind_a_kept_value_are_blocked() {
        let wait = |waiting, holder| Wait { waiting, holder };
        // 1 and 2 swap, 3 follows 4, which follows a row that stays; 5 follows 2.
        let waits = [
            wait(1, Some(2)),
            wait(2, Some(1)),
            wait(3, Some(4)),
            wait(4, None),
            wait(5, Some(2)),
            // By another index.
            wait(4, Some(1)),
        ];
        assert_eq!(blocked(&waits), [3, 4]);
        assert_eq!(blocked(&[]), Vec::<u64>::new());
        let chain: Vec<Wait> = (1..1_000)
            .map(|row| wait(row, Some(row + 1)))
            .chain([wait(1_000, None)])
            .collect();
        assert_eq!(blocked(&chain).len(), 1_000);
    }

    #[test]
    fn what_the_first_step_did_is_no_creation() {
        let counts = |created, updated, same| ChunkCounts {
            created,
            updated,
            same,
            ..ChunkCounts::default()
        };
        let parked = |park| Parked {
            park,
            changing: 5,
            moving: 3,
        };
        assert_eq!(
            parked(Park::Delete).counts(counts(4, 2, 1)),
            counts(1, 5, 1)
        );
        assert_eq!(parked(Park::High).counts(counts(1, 4, 2)), counts(1, 5, 1));
        assert_eq!(parked(Park::Low).counts(counts(1, 5, 1)), counts(1, 5, 1));
    }
}
