//! A strategy's plan for one table, checked once so that whoever carries it out need not check it again.

use std::collections::BTreeSet;

use crate::bindings::types::{SetPlan, TableSchema, ValueSource};

/// Why a plan cannot be carried out for its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(&'static str);

/// A plan that fits the incoming columns and the keys of the table as it was described. Tables change, and a run creates
/// some of them: whether the key still is one is told by the table itself when it is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPlan {
    action: PlanAction,
}

/// What happens to the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanAction {
    /// Every row is inserted as it is.
    Insert,
    /// Every row is inserted without these columns, which the table numbers.
    Renumber(Vec<PlanColumn>),
    /// Rows that do not exist are inserted.
    Merge {
        /// How existing rows are found: never empty.
        key: Vec<PlanColumn>,
        /// What happens to existing rows; none if they stay as they are.
        update: Option<CheckedUpdate>,
    },
}

/// One of the incoming columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanColumn {
    /// Its name, in the table too.
    pub name: String,
    /// Its place among the incoming columns, from 0.
    pub position: usize,
}

/// What happens to existing rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedUpdate {
    /// The columns that change, each once and none of the key.
    pub columns: Vec<(PlanColumn, NewValue)>,
    /// Rows change only if the incoming value of this column is greater.
    pub only_if_newer: Option<PlanColumn>,
}

/// Where a column's new value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewValue {
    /// The incoming value.
    TakeIncoming,
    /// The incoming value, or the local one where that is NULL.
    Coalesce,
    /// The greater one; NULL is less than any value.
    Greatest,
    /// The lesser one; NULL is greater than any value.
    Least,
}

impl CheckedPlan {
    /// Returns the plan that inserts every row.
    #[must_use]
    pub fn insert() -> Self {
        Self {
            action: PlanAction::Insert,
        }
    }

    /// Checks a plan for rows with the incoming columns and the table as it is described. Fails if the plan names columns
    /// that are not on both sides, finds rows by columns that are not unique, changes its key or one column twice, or is
    /// of a newer version.
    pub fn check(
        plan: &SetPlan,
        incoming: &TableSchema,
        local: &TableSchema,
    ) -> Result<Self, PlanError> {
        let find = |name: &String| {
            let is_local = local.columns.iter().any(|column| column.name == *name);
            let mut columns = incoming.columns.iter().enumerate();
            let found = columns.find(|(_, column)| is_local && column.name == *name);
            found.map(|(position, _)| PlanColumn {
                name: name.clone(),
                position,
            })
        };
        let key: Option<Vec<PlanColumn>> = plan.key.iter().map(find).collect();
        let key = key.ok_or(PlanError(
            "its key names a column that is not on both sides",
        ))?;
        if !key.is_empty() && !is_unique(&plan.key, local) {
            return Err(PlanError("its key is not unique in the table"));
        }
        if key.is_empty() && (plan.update.is_some() || plan.regenerate_key) {
            return Err(PlanError("it has no key to find rows by"));
        }
        let mut update = None;
        if let Some(rule) = &plan.update {
            let mut named = BTreeSet::new();
            let mut columns = Vec::new();
            for change in &rule.columns {
                let column = find(&change.column)
                    .filter(|column| !plan.key.contains(&column.name))
                    .filter(|column| named.insert(column.position))
                    .ok_or(PlanError(
                        "it changes a key, an unknown column, or one twice",
                    ))?;
                let value = match &change.source {
                    ValueSource::KeepLocal => continue,
                    ValueSource::TakeIncoming => NewValue::TakeIncoming,
                    ValueSource::Coalesce => NewValue::Coalesce,
                    ValueSource::Greatest => NewValue::Greatest,
                    ValueSource::Least => NewValue::Least,
                    ValueSource::Other(_) => {
                        return Err(PlanError("its plan is of a newer version"));
                    }
                };
                columns.push((column, value));
            }
            let guard = rule.only_if_newer.as_ref();
            let only_if_newer = guard.map(|name| {
                find(name).ok_or(PlanError(
                    "its guard names a column that is not on both sides",
                ))
            });
            update = Some(CheckedUpdate {
                columns,
                only_if_newer: only_if_newer.transpose()?,
            });
        }
        Ok(Self {
            action: if plan.regenerate_key {
                PlanAction::Renumber(key)
            } else if key.is_empty() {
                PlanAction::Insert
            } else {
                PlanAction::Merge { key, update }
            },
        })
    }

    /// Returns what happens to the rows.
    #[must_use]
    pub fn action(&self) -> &PlanAction {
        &self.action
    }

    /// Returns true if existing rows are found by their key.
    #[must_use]
    pub fn is_merge(&self) -> bool {
        matches!(self.action, PlanAction::Merge { .. })
    }

    /// Returns true if rows get new keys from the table.
    #[must_use]
    pub fn regenerates_key(&self) -> bool {
        matches!(self.action, PlanAction::Renumber(_))
    }

    /// Returns what happens to existing rows; none if they stay as they are, or are not looked for.
    #[must_use]
    pub fn update(&self) -> Option<&CheckedUpdate> {
        match &self.action {
            PlanAction::Merge { update, .. } => update.as_ref(),
            PlanAction::Insert | PlanAction::Renumber(_) => None,
        }
    }

    /// Returns true if a column belongs to the plan's key.
    #[must_use]
    pub fn is_key(&self, column: &str) -> bool {
        match &self.action {
            PlanAction::Insert => false,
            PlanAction::Renumber(key) | PlanAction::Merge { key, .. } => {
                key.iter().any(|one| one.name == column)
            }
        }
    }
}

fn is_unique(key: &[String], table: &TableSchema) -> bool {
    let key: BTreeSet<&String> = key.iter().collect();
    let mut keys = [&table.primary_key].into_iter().chain(&table.unique_keys);
    keys.any(|columns| !columns.is_empty() && columns.iter().collect::<BTreeSet<_>>() == key)
}

#[cfg(test)]
impl CheckedPlan {
    /// The plan for a table that has the incoming columns and the plan's key.
    #[allow(clippy::unwrap_used, reason = "tests")]
    pub fn of_tests(plan: &SetPlan, incoming: &TableSchema) -> Self {
        let mut local = incoming.clone();
        local.unique_keys.push(plan.key.clone());
        Self::check(plan, incoming, &local).unwrap()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, ColumnRule, Generation, LogicalType, UpdateRule};

    fn table(names: &[&str]) -> TableSchema {
        let columns = names.iter().map(|name| Column {
            name: (*name).to_owned(),
            logical: LogicalType::Integer,
            origin: String::new(),
            nullable: true,
            default: None,
            generation: Generation::None,
        });
        TableSchema {
            table: "t".to_owned(),
            columns: columns.collect(),
            primary_key: vec!["id".to_owned()],
            unique_keys: vec![vec!["a".to_owned(), "b".to_owned()]],
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn plan(key: &[&str]) -> SetPlan {
        SetPlan {
            key: names(key),
            regenerate_key: false,
            update: None,
        }
    }

    fn update(key: &[&str], columns: &[(&str, ValueSource)], guard: Option<&str>) -> SetPlan {
        let columns = columns.iter().map(|(column, source)| ColumnRule {
            column: (*column).to_owned(),
            source: source.clone(),
        });
        SetPlan {
            update: Some(UpdateRule {
                columns: columns.collect(),
                only_if_newer: guard.map(str::to_owned),
            }),
            ..plan(key)
        }
    }

    fn check(plan: &SetPlan) -> Result<CheckedPlan, PlanError> {
        // The incoming rows lack `local` and have `remote` instead.
        let incoming = table(&["b", "id", "remote", "a"]);
        CheckedPlan::check(plan, &incoming, &table(&["id", "a", "b", "local"]))
    }

    fn column(name: &str, position: usize) -> PlanColumn {
        PlanColumn {
            name: name.to_owned(),
            position,
        }
    }

    #[test]
    fn columns_are_found_among_the_incoming_ones() {
        let sources = [("a", ValueSource::Greatest), ("b", ValueSource::KeepLocal)];
        let checked = check(&update(&["id"], &sources, Some("b"))).unwrap();
        let wanted = CheckedUpdate {
            columns: vec![(column("a", 3), NewValue::Greatest)],
            only_if_newer: Some(column("b", 0)),
        };
        assert_eq!(checked.update(), Some(&wanted));
        assert!(checked.is_merge() && checked.is_key("id") && !checked.is_key("a"));
        let key = vec![column("id", 1)];
        let update = Some(wanted);
        assert_eq!(checked.action(), &PlanAction::Merge { key, update });
    }

    #[test]
    fn any_unique_key_finds_rows() {
        let checked = check(&plan(&["b", "a"])).unwrap();
        let key = vec![column("b", 0), column("a", 3)];
        assert_eq!(checked.action(), &PlanAction::Merge { key, update: None });
        assert_eq!(check(&plan(&[])), Ok(CheckedPlan::insert()));
        let renumber = SetPlan {
            regenerate_key: true,
            ..plan(&["id"])
        };
        let checked = check(&renumber).unwrap();
        assert_eq!(
            checked.action(),
            &PlanAction::Renumber(vec![column("id", 1)])
        );
        assert!(!checked.is_merge() && checked.is_key("id"));
    }

    #[test]
    fn plans_that_cannot_be_carried_out_are_refused() {
        let take = ValueSource::TakeIncoming;
        let one = |name| [(name, take.clone())];
        let newer = [("a", ValueSource::Other("median".to_owned()))];
        let twice = [("a", take.clone()), ("a", ValueSource::KeepLocal)];
        let renumber = SetPlan {
            regenerate_key: true,
            ..plan(&[])
        };
        for (plan, reason) in [
            (plan(&["local"]), "key names a column"),
            (plan(&["remote"]), "key names a column"),
            (plan(&["a"]), "not unique"),
            (plan(&["id", "a"]), "not unique"),
            (update(&[], &one("a"), None), "no key"),
            (renumber, "no key"),
            (update(&["id"], &one("id"), None), "changes a key"),
            (update(&["id"], &one("local"), None), "unknown column"),
            (update(&["id"], &twice, None), "one twice"),
            (update(&["id"], &newer, None), "newer version"),
            (update(&["id"], &one("a"), Some("c")), "guard"),
        ] {
            let refused = check(&plan).unwrap_err().to_string();
            assert!(refused.contains(reason), "{plan:?}: {refused}");
        }
    }
}
