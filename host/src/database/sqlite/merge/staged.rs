//! The statements that put rows into the staging, look at them there, and take them out.

use super::{Merge, Update};
use crate::database::quote;

impl Merge {
    /// Makes the staging.
    pub(in crate::database::sqlite) fn create_staging(&self) -> String {
        format!(
            "CREATE TEMP TABLE tombolo_staging (row INTEGER PRIMARY KEY, cells, {})",
            self.staged("")
        )
    }

    /// Stages a row: its number, its cells and its values.
    pub(in crate::database::sqlite) fn stage(&self) -> String {
        format!(
            "INSERT INTO temp.tombolo_staging (row, cells, {}) VALUES ({})",
            self.staged(""),
            vec!["?"; self.columns.len() + 2].join(", ")
        )
    }

    /// Stages other values for one row: its cells, its values and its number.
    pub(in crate::database::sqlite) fn restage(&self) -> String {
        let values: Vec<_> = (0..self.columns.len())
            .map(|index| format!("c{index} = ?"))
            .collect();
        format!(
            "UPDATE temp.tombolo_staging SET cells = ?, {} WHERE row = ?",
            values.join(", ")
        )
    }

    /// Staged rows whose key was staged before, at most so many; NULL is no key.
    pub(in crate::database::sqlite) fn repeated(&self) -> String {
        let key: Vec<_> = self
            .key
            .iter()
            .map(|key| format!("s.c{}{}", key.position, key.collate()))
            .collect();
        format!(
            "SELECT row FROM (SELECT s.row AS row, row_number() OVER (PARTITION BY {} ORDER BY s.row) AS nth \
             FROM temp.tombolo_staging AS s WHERE {}) WHERE nth > 1 ORDER BY row LIMIT ?",
            key.join(", "),
            self.given()
        )
    }

    /// Takes those rows out of the staging that exist and stay as they are, whatever arrives; none if none does.
    pub(in crate::database::sqlite) fn leave_existing(&self) -> Option<String> {
        let older = match &self.update {
            _ if !self.has_key() => return None,
            None => String::new(),
            Some(update) => format!(" AND ({}) IS NOT TRUE", self.newer(update)?),
        };
        Some(format!(
            "DELETE FROM temp.tombolo_staging AS s WHERE EXISTS (SELECT 1 FROM {} AS t WHERE {}{older})",
            self.table,
            self.matches()
        ))
    }

    /// What tells that a staged row is new, where rows that exist keep their values of these columns.
    pub(in crate::database::sqlite) fn new_only(&self, columns: &[usize]) -> Option<String> {
        let update = self.update.as_ref()?;
        let changes = update
            .columns
            .iter()
            .any(|(index, _)| columns.contains(index));
        (!changes).then(|| {
            format!(
                "NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
                self.table,
                self.matches()
            )
        })
    }

    /// Staged rows whose row in the table refers to none in another, at most so many; none where they cannot be told.
    pub(in crate::database::sqlite) fn without_parent(
        &self,
        child: &[String],
        parent: &str,
        referenced: &[String],
    ) -> Option<String> {
        let child: Vec<String> = match self.has_key() {
            true => child
                .iter()
                .map(|name| format!("t.{}", quote(name)))
                .collect(),
            // New rows have what they bring.
            false => child
                .iter()
                .map(|name| {
                    let name = quote(name);
                    let mut inserted = self.inserted();
                    let found = inserted.find(|(column, _)| column.eq_ignore_ascii_case(&name));
                    found.map(|(_, staged)| staged)
                })
                .collect::<Option<_>>()?,
        };
        let table = match self.has_key() {
            true => format!(" CROSS JOIN {} AS t ON {}", self.table, self.matches()),
            false => String::new(),
        };
        let given: Vec<_> = child
            .iter()
            .map(|value| format!("{value} IS NOT NULL"))
            .collect();
        let same: Vec<_> = referenced
            .iter()
            .zip(&child)
            .map(|(name, value)| format!("p.{} = {value}", quote(name)))
            .collect();
        Some(format!(
            "SELECT s.row FROM temp.tombolo_staging AS s{table} WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM main.{} AS p WHERE {}) ORDER BY s.row LIMIT ?",
            given.join(" AND "),
            quote(parent),
            same.join(" AND ")
        ))
    }

    /// Staged rows that would change what rows of a table refer to, at most so many; none if the plan changes no such
    /// column.
    pub(in crate::database::sqlite) fn takes_away(
        &self,
        child: &str,
        referring: &[String],
        referenced: &[String],
    ) -> Option<String> {
        let update = self.update.as_ref()?;
        let is_referenced = |column: &String| {
            referenced
                .iter()
                .any(|name| quote(name).eq_ignore_ascii_case(column))
        };
        let changes: Vec<_> = update
            .columns
            .iter()
            .filter_map(|(index, value)| Some((self.columns.get(*index)?, value)))
            .filter(|(column, _)| is_referenced(column))
            .map(|(column, value)| format!("t.{column} IS NOT ({value})"))
            .collect();
        if changes.is_empty() || referring.len() != referenced.len() {
            return None;
        }
        let newer = self.newer(update).unwrap_or_else(|| "TRUE".to_owned());
        let refer: Vec<_> = referring
            .iter()
            .zip(referenced)
            .map(|(name, referenced)| format!("t.{} = c.{}", quote(referenced), quote(name)))
            .collect();
        Some(format!(
            "SELECT s.row FROM temp.tombolo_staging AS s CROSS JOIN {} AS t ON {} WHERE ({}) AND {newer} \
             AND EXISTS (SELECT 1 FROM main.{} AS c WHERE {}) ORDER BY s.row LIMIT ?",
            self.table,
            self.matches(),
            changes.join(" OR "),
            quote(child),
            refer.join(" AND ")
        ))
    }

    /// Counts the staged rows that the plan would still change, or that are not in the table; NULL is no key.
    pub(in crate::database::sqlite) fn unstored(&self) -> String {
        let changing = self
            .update
            .as_ref()
            .and_then(|update| self.differences(update));
        let done = changing.map_or(String::new(), |changing| format!(" AND NOT ({changing})"));
        format!(
            "SELECT count(*) FROM temp.tombolo_staging AS s WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {}{done})",
            self.given(),
            self.table,
            self.matches()
        )
    }

    /// Where all staged rows with a key must be in the table as they are staged: for each whether it is there, its
    /// values but the key as staged, and the same columns there; with the number of these columns. `filled`: all of the
    /// rows were new.
    pub(in crate::database::sqlite) fn images(&self, filled: bool) -> Option<(String, usize)> {
        let others: Vec<_> = (0..self.columns.len())
            .filter(|index| self.key_positions().all(|key| key != *index))
            .collect();
        let taken = |index: &usize, update: &Update| {
            let staged = format!("s.c{index}");
            update
                .columns
                .iter()
                .any(|column| *column == (*index, staged.clone()))
        };
        let as_staged = match &self.update {
            // Rows that existed left the staging.
            None => true,
            Some(update) => filled || others.iter().all(|index| taken(index, update)),
        };
        if !as_staged {
            return None;
        }
        let staged = others.iter().map(|index| format!("s.c{index}"));
        let there = others
            .iter()
            .filter_map(|index| Some(format!("t.{}", self.columns.get(*index)?)));
        let key = self.columns.get(self.key_positions().next()?)?;
        let columns: Vec<_> = std::iter::once(format!("t.{key} IS NOT NULL"))
            .chain(staged)
            .chain(there)
            .collect();
        let sql = format!(
            "SELECT {} FROM temp.tombolo_staging AS s LEFT JOIN {} AS t ON {} WHERE {}",
            columns.join(", "),
            self.table,
            self.matches(),
            self.given()
        );
        Some((sql, others.len()))
    }

    /// Staged rows behind a position that exist with another image: position, incoming cells, their values, local values.
    pub(in crate::database::sqlite) fn conflicts(&self) -> String {
        let local: Vec<_> = self
            .columns
            .iter()
            .map(|name| format!("t.{name}"))
            .collect();
        let differences = self.image_differs().unwrap_or_else(|| "FALSE".to_owned());
        format!(
            "SELECT s.row, s.cells, {}, {} FROM temp.tombolo_staging AS s CROSS JOIN {} AS t ON {} \
             WHERE s.row > ? AND ({differences}) ORDER BY s.row LIMIT ?",
            self.staged("s."),
            local.join(", "),
            self.table,
            self.matches()
        )
    }
}
