//! Refuses the rows that refer to rejected rows: they would be attached to other rows of the table.

use std::collections::{BTreeMap, HashSet};

use super::chunk_rows::{ChunkRows, RefusedRow};
use super::plan::TablePlan;
use super::staging::STAGING;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, RejectedParents, descendants};

/// What is known of the rows of a chunk and of the rows that they may refer to.
#[derive(Clone, Copy)]
pub(super) struct Descendants<'a> {
    pub plan: &'a TablePlan,
    pub parents: &'a RejectedParents,
    pub chunk: &'a ChunkRows,
}

impl Descendants<'_> {
    /// Moves the rows that would refer to a rejected row from the staging to `refused`. Rows that exist and refer to the
    /// same row already stay. `rows`: their numbers, and those of the foreign keys.
    pub async fn refuse(
        &self,
        session: &mut Session,
        rows: &[(u64, usize)],
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(), DatabaseError> {
        for (key, numbers) in by_key(rows) {
            let changing = self.changing(session, key, numbers).await?;
            if changing.is_empty() {
                continue;
            }
            let delete = format!("DELETE FROM {STAGING} WHERE \"row\" = ANY($1)");
            session
                .execute(query(delete).bind(changing.clone()))
                .await?;
            refused.extend(changing.iter().map(|number| RefusedRow {
                row: u64::try_from(*number).unwrap_or_default(),
                reason: self.parents.reason(key),
            }));
        }
        Ok(())
    }

    /// Returns those of the rows that exist and refer to the same row already.
    pub async fn attached(
        &self,
        session: &mut Session,
        rows: &[(u64, usize)],
    ) -> Result<Vec<u64>, DatabaseError> {
        let mut attached = Vec::new();
        for (key, numbers) in by_key(rows) {
            let changing = self.changing(session, key, numbers.clone()).await?;
            let changing: HashSet<i64> = changing.into_iter().collect();
            let stay = numbers.iter().filter(|number| !changing.contains(number));
            attached.extend(stay.map(|number| u64::try_from(*number).unwrap_or_default()));
        }
        Ok(attached)
    }

    /// Returns the rows of the chunk that descend from refused rows, in a table that refers to itself.
    pub fn of_refused(&self, refused: &[RefusedRow], attached: &HashSet<u64>) -> Vec<(u64, usize)> {
        if refused.is_empty() {
            return Vec::new();
        }
        let refused: HashSet<u64> = refused.iter().map(|one| one.row).collect();
        let rows = self.chunk.numbered_rows();
        let rows = rows.filter(|(number, _)| !attached.contains(number));
        let rows = rows.map(|(number, row)| self.parents.relative(number, row));
        let (refused, rows): (Vec<_>, Vec<_>) =
            rows.partition(|row| refused.contains(&row.number()));
        descendants(&refused, &rows)
    }

    async fn changing(
        &self,
        session: &mut Session,
        key: usize,
        numbers: Vec<i64>,
    ) -> Result<Vec<i64>, DatabaseError> {
        let sql = self.plan.merge.changing(self.parents.child(key));
        let rows = session.rows(query(sql).bind(numbers)).await?;
        rows.iter().map(|row| column(row, 0)).collect()
    }
}

fn by_key(rows: &[(u64, usize)]) -> BTreeMap<usize, Vec<i64>> {
    let mut by_key: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (number, key) in rows {
        let number = i64::try_from(*number).unwrap_or(i64::MAX);
        by_key.entry(*key).or_default().push(number);
    }
    by_key
}
