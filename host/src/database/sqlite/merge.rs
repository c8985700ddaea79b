//! The SQL that takes staged rows into a table.
//!
//! Staged values are what the table would store, so the staging's columns have no types of their own. In all
//! statements `s` is the staging, with the columns `row`, `cells` (the row as it arrived, where the values do not tell),
//! `c0`, `c1`, …, and `t` the table. Statements that change the table do so for a range of staged rows.

mod staged;

use super::schema::Table;
use crate::bindings::types::{Dialect, Generation, SetPlan, TableSchema, UpdateRule, ValueSource};
use crate::database::{DatabaseError, quote, value_expression};

/// The statements for one table and one plan.
#[derive(Debug)]
pub(super) struct Merge {
    table: String,
    /// The columns' quoted names; the position is that in the staging.
    pub(super) columns: Vec<String>,
    /// Whether a row exists already; empty: no row does.
    key: Vec<KeyColumn>,
    /// Positions of the columns that new rows get.
    inserted: Vec<usize>,
    /// Quoted columns that new rows get NULL in, because they have no other.
    numbered: Vec<String>,
    /// A name for the rowid, unless rows bring their own.
    rowid: Option<&'static str>,
    regenerates: bool,
    update: Option<Update>,
}

#[derive(Debug)]
struct KeyColumn {
    position: usize,
    collation: Option<String>,
}

#[derive(Debug)]
struct Update {
    /// Positions with the expressions of their new values.
    columns: Vec<(usize, String)>,
    /// The position of the column that has to be greater.
    newer: Option<usize>,
}

impl Merge {
    /// Checks that the rows and the plan fit the table.
    pub(super) fn new(
        incoming: &TableSchema,
        local: &Table,
        plan: &SetPlan,
    ) -> Result<Self, DatabaseError> {
        let unsuitable = |reason: String| DatabaseError::Unsuitable {
            table: local.schema.table.clone(),
            reason,
        };
        if incoming.columns.is_empty() {
            return Err(unsuitable("the incoming rows have no columns".to_owned()));
        }
        for column in &incoming.columns {
            match local
                .schema
                .columns
                .iter()
                .find(|here| here.name == column.name)
            {
                None => {
                    return Err(unsuitable(format!(
                        "it has no column {:?} here",
                        column.name
                    )));
                }
                Some(here) if here.generation == Generation::Computed => {
                    return Err(unsuitable(format!(
                        "column {:?} is computed here",
                        column.name
                    )));
                }
                Some(_) => {}
            }
        }
        let position = |name: &String| {
            incoming
                .columns
                .iter()
                .position(|column| column.name == *name)
                .ok_or_else(|| {
                    unsuitable(format!(
                        "the plan names column {name:?}, which does not arrive"
                    ))
                })
        };
        let columns: Vec<_> = incoming
            .columns
            .iter()
            .map(|column| quote(&column.name))
            .collect();
        let mut merge = Self {
            table: format!("main.{}", quote(&local.schema.table)),
            inserted: (0..columns.len()).collect(),
            columns,
            key: Vec::new(),
            numbered: Vec::new(),
            rowid: None,
            regenerates: plan.regenerate_key,
            update: None,
        };
        if plan.regenerate_key {
            let key = if plan.key.is_empty() {
                &local.schema.primary_key
            } else {
                &plan.key
            };
            let left_out = |index: &usize| {
                incoming
                    .columns
                    .get(*index)
                    .is_some_and(|column| key.contains(&column.name))
            };
            merge.inserted.retain(|index| !left_out(index));
            if merge.inserted.is_empty() {
                merge.numbered = key.iter().map(|name| quote(name)).collect();
            }
        }
        if plan.regenerate_key || plan.key.is_empty() {
            let brings_rowid = merge.inserted.iter().any(|index| {
                let name = incoming.columns.get(*index).map(|column| &column.name);
                local
                    .storage
                    .iter()
                    .any(|column| column.rowid && Some(&column.name) == name)
            });
            merge.rowid = local.rowid().filter(|_| !brings_rowid);
            return Ok(merge);
        }
        let key = local
            .keys
            .iter()
            .find(|key| {
                key.columns.len() == plan.key.len()
                    && key.columns.iter().all(|(name, _)| plan.key.contains(name))
            })
            .ok_or_else(|| {
                unsuitable(format!(
                    "{} is neither its primary key nor unique here",
                    plan.key.join(", ")
                ))
            })?;
        for (name, collation) in &key.columns {
            merge.key.push(KeyColumn {
                position: position(name)?,
                collation: collation.clone(),
            });
        }
        if let Some(rule) = &plan.update {
            merge.update = Some(merge.plan_update(rule, position, unsuitable)?);
        }
        Ok(merge)
    }

    fn plan_update(
        &self,
        rule: &UpdateRule,
        position: impl Fn(&String) -> Result<usize, DatabaseError>,
        unsuitable: impl Fn(String) -> DatabaseError,
    ) -> Result<Update, DatabaseError> {
        let mut columns: Vec<(usize, String)> = Vec::new();
        for column in &rule.columns {
            if let ValueSource::Other(source) = &column.source {
                return Err(unsuitable(format!(
                    "the plan names the value source {source:?}, which is unknown here"
                )));
            }
            if column.source == ValueSource::KeepLocal {
                continue;
            }
            let index = position(&column.column)?;
            if columns.iter().any(|(known, _)| *known == index) {
                return Err(unsuitable(format!(
                    "the plan names column {:?} twice",
                    column.column
                )));
            }
            // The key is equal already, in the sense of its collation.
            if self.key.iter().any(|key| key.position == index) {
                continue;
            }
            let local = format!("t.{}", quote(&column.column));
            let expression = value_expression(
                &column.source,
                &Dialect::Sqlite,
                &local,
                &format!("s.c{index}"),
            );
            columns.extend(expression.map(|expression| (index, expression)));
        }
        Ok(Update {
            columns,
            newer: rule.only_if_newer.as_ref().map(position).transpose()?,
        })
    }

    /// A name for the rowid that SQLite gives to new rows; none where it gives none.
    pub(super) fn rowid(&self) -> Option<&'static str> {
        self.rowid
    }

    /// Whether rows get other keys than they bring.
    pub(super) fn regenerates(&self) -> bool {
        self.regenerates
    }

    /// Whether rows can exist already.
    pub(super) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Positions of the key's columns.
    pub(super) fn key_positions(&self) -> impl Iterator<Item = usize> {
        self.key.iter().map(|key| key.position)
    }

    /// Whether rows that exist may change.
    pub(super) fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// Puts a row directly into the table: its values.
    pub(super) fn direct(&self) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) VALUES ({})",
            self.table,
            self.columns.join(", "),
            vec!["?"; self.columns.len()].join(", ")
        )
    }

    /// Whether the table has no row.
    pub(super) fn is_empty(&self) -> String {
        format!("SELECT NOT EXISTS (SELECT 1 FROM {})", self.table)
    }

    /// Changes the rows that exist and would be another image. None if no column ever changes.
    pub(super) fn update(&self) -> Option<String> {
        let update = self.update.as_ref()?;
        let mut values = Vec::with_capacity(update.columns.len());
        for (index, expression) in &update.columns {
            values.push(format!("{} = {expression}", self.columns.get(*index)?));
        }
        let differences = self.differences(update)?;
        Some(format!(
            "UPDATE OR ABORT {} AS t SET {} FROM temp.tombolo_staging AS s \
             WHERE s.row BETWEEN ?1 AND ?2 AND {} AND ({differences})",
            self.table,
            values.join(", "),
            self.matches(),
        ))
    }

    /// What tells that a row is not yet what the plan makes of it. None if no column ever changes.
    fn differences(&self, update: &Update) -> Option<String> {
        let mut differences = Vec::with_capacity(update.columns.len());
        for (index, expression) in &update.columns {
            let local = format!("t.{}", self.columns.get(*index)?);
            differences.push(differs(&local, expression));
        }
        (!differences.is_empty()).then(|| differences.join(" OR "))
    }

    /// Inserts all rows, or those that do not exist.
    pub(super) fn insert(&self, only_new: bool) -> String {
        let mut names: Vec<&str> = self
            .inserted
            .iter()
            .filter_map(|index| self.columns.get(*index))
            .map(String::as_str)
            .collect();
        let mut values: Vec<_> = self
            .inserted
            .iter()
            .map(|index| format!("s.c{index}"))
            .collect();
        for name in &self.numbered {
            names.push(name);
            values.push("NULL".to_owned());
        }
        let condition = match only_new && self.has_key() {
            true => format!(
                " AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
                self.table,
                self.matches()
            ),
            false => String::new(),
        };
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM temp.tombolo_staging AS s \
             WHERE s.row BETWEEN ?1 AND ?2{condition} ORDER BY s.row",
            self.table,
            names.join(", "),
            values.join(", ")
        )
    }

    /// The columns that new rows get values in: quoted, and as they are staged.
    pub(super) fn inserted(&self) -> impl Iterator<Item = (&str, String)> {
        self.inserted
            .iter()
            .filter_map(|index| Some((self.columns.get(*index)?.as_str(), format!("s.c{index}"))))
    }

    /// The table's qualified name.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    fn staged(&self, prefix: &str) -> String {
        let names: Vec<_> = (0..self.columns.len())
            .map(|index| format!("{prefix}c{index}"))
            .collect();
        names.join(", ")
    }

    /// Whether columns but the key differ; none where there are no others.
    fn image_differs(&self) -> Option<String> {
        let differences: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(index, _)| self.key_positions().all(|key| key != *index))
            .map(|(index, name)| differs(&format!("t.{name}"), &format!("s.c{index}")))
            .collect();
        (!differences.is_empty()).then(|| differences.join(" OR "))
    }

    /// Whether a staged row has a key.
    fn given(&self) -> String {
        let given: Vec<_> = self
            .key_positions()
            .map(|index| format!("s.c{index} IS NOT NULL"))
            .collect();
        given.join(" AND ")
    }

    /// Whether a staged row is one of the table.
    fn matches(&self) -> String {
        let parts: Vec<_> = self
            .key
            .iter()
            .filter_map(|key| {
                let name = self.columns.get(key.position)?;
                Some(format!("t.{name} = s.c{}{}", key.position, key.collate()))
            })
            .collect();
        parts.join(" AND ")
    }

    /// The local column stands left: its collation counts.
    fn newer(&self, update: &Update) -> Option<String> {
        let index = update.newer?;
        Some(format!("t.{} < s.c{index}", self.columns.get(index)?))
    }
}

impl KeyColumn {
    /// The key's own collation, so that its index is used and says what equal is.
    fn collate(&self) -> String {
        self.collation
            .as_ref()
            .map(|name| format!(" COLLATE {}", quote(name)))
            .unwrap_or_default()
    }
}

/// Whether two images differ. `IS NOT` alone would take 1 for 1.0, and 'a' for 'A' where the column ignores case.
fn differs(local: &str, new: &str) -> String {
    format!("typeof({local}) <> typeof({new}) OR {local} COLLATE BINARY IS NOT ({new})")
}
