//! Resolves the plan of a strategy against the table that it is for.

use super::merge_sql::Merge;
use super::row_encoder::RowEncoder;
use super::staging::{self, StagedColumn};
use crate::bindings::types::{Conversion, Dialect, Generation, TableSchema};
use crate::database::postgres::catalog::Description;
use crate::database::postgres::catalog::constraints::Constraints;
use crate::database::postgres::catalog::operators::EQUALS;
use crate::database::postgres::catalog::zones::Zones;
use crate::database::postgres::codec::types::PhysicalType;
use crate::database::{
    CheckedPlan, DatabaseError, NewValue, Origin, PlanAction, PlanColumn, TableWrite,
    value_expression,
};
use crate::rows::{KeyColumns, RowBlock};

/// How the rows of one table are written: what is known before they arrive, and does not change while they do.
#[derive(Clone, Debug)]
pub(super) struct TablePlan {
    /// The table.
    pub local: Description,
    /// What its rows must satisfy.
    pub constraints: Constraints,
    /// The statements that write staged rows.
    pub merge: Merge,
    pub encoder: RowEncoder,
    /// The primary key of incoming rows.
    key: Option<KeyColumns>,
}

impl TablePlan {
    /// Creates the plan. Fails with [`DatabaseError::Unsuitable`] if the table cannot be written as asked.
    pub fn new(
        write: &TableWrite,
        local: Description,
        constraints: Constraints,
        zones: &Zones,
    ) -> Result<Self, DatabaseError> {
        let keeps_form = |column: &str| {
            !matches!(
                write.conversion_of(column),
                Conversion::Lossy | Conversion::Parse(_)
            )
        };
        let resolve = Resolve {
            local: &local,
            keeps_form: &keeps_form,
        };
        let merge = resolve.merge(&write.incoming, &write.plan, &constraints)?;
        Ok(Self {
            encoder: RowEncoder::new(write, &local, &merge, zones),
            key: KeyColumns::primary(&write.incoming),
            local,
            constraints,
            merge,
        })
    }

    /// Returns the table's name.
    pub fn table(&self) -> &str {
        &self.local.relation.table
    }

    /// Returns the primary key of a block's last row, as one encoded row; none without a primary key.
    pub fn last_key(&self, block: &RowBlock) -> Option<Vec<u8>> {
        let last = block.rows().last()?;
        Some(self.key.as_ref()?.key(last))
    }

    /// Returns an error about the table.
    pub fn unsuitable(&self, reason: impl Into<String>) -> DatabaseError {
        DatabaseError::Unsuitable {
            table: self.table().to_owned(),
            reason: reason.into(),
        }
    }
}

/// Checks of a plan against the local table.
struct Resolve<'a> {
    local: &'a Description,
    /// Whether the values of a column have to come back as they were sent.
    keeps_form: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Resolve<'_> {
    /// Resolves a plan against the table and what its rows must satisfy.
    fn merge(
        &self,
        incoming: &TableSchema,
        plan: &CheckedPlan,
        constraints: &Constraints,
    ) -> Result<Merge, DatabaseError> {
        let mut columns = self.columns(incoming, &constraints.loose_collations)?;
        let arrays = staging::pack(&mut columns);
        let find = |wanted: &PlanColumn| {
            let column = columns.get(wanted.position).cloned();
            column
                .ok_or_else(|| self.unsuitable(format!("column {:?} does not arrive", wanted.name)))
        };
        let mut merge = Merge {
            relation: self.local.relation.clone(),
            inserted: columns.clone(),
            arrays,
            key: Vec::new(),
            update: None,
            guard: None,
            overwrites: false,
            arbitrated: false,
            triggered: !constraints.triggers.is_empty(),
            columns: columns.clone(),
        };
        let (key, update) = match plan.action() {
            PlanAction::Insert => return Ok(merge),
            PlanAction::Renumber(key) => {
                self.check_numbered(key)?;
                merge
                    .inserted
                    .retain(|column| key.iter().all(|key| key.position != column.position));
                return Ok(merge);
            }
            PlanAction::Merge { key, update } => (key, update),
        };
        let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        self.check_unique(&names)?;
        merge.key = key.iter().map(find).collect::<Result<_, _>>()?;
        for column in &mut merge.key {
            if let Some(equals) = constraints.equals(&names, &column.name) {
                column.equals = equals.to_owned();
            }
        }
        // A row that a trigger drops would look like a row of another session.
        merge.arbitrated = constraints.arbitrates(&names) && !constraints.has_before_triggers();
        let Some(update) = update else {
            return Ok(merge);
        };
        let is_taken = |staged: &StagedColumn| {
            let mut columns = update.columns.iter();
            columns.any(|(column, value)| {
                column.position == staged.position && *value == NewValue::TakeIncoming
            })
        };
        merge.overwrites = update.only_if_newer.is_none()
            && columns
                .iter()
                .all(|column| is_taken(column) || plan.is_key(&column.name));
        let mut values = Vec::with_capacity(update.columns.len());
        for (column, value) in &update.columns {
            let column = find(column)?;
            if self.is_fixed(&column.name) {
                return Err(self.unsuitable(format!(
                    "column {:?} is GENERATED ALWAYS AS IDENTITY and cannot be updated",
                    column.name
                )));
            }
            let value = value_expression(
                *value,
                &Dialect::Postgres,
                &column.local(),
                &column.incoming(),
            );
            values.push((column, value));
        }
        merge.guard = update.only_if_newer.as_ref().map(find).transpose()?;
        merge.update = Some(values);
        Ok(merge)
    }

    fn unsuitable(&self, reason: String) -> DatabaseError {
        DatabaseError::Unsuitable {
            table: self.local.relation.table.clone(),
            reason,
        }
    }

    fn columns(
        &self,
        incoming: &TableSchema,
        collations: &[(String, String)],
    ) -> Result<Vec<StagedColumn>, DatabaseError> {
        if incoming.columns.is_empty() {
            return Err(self.unsuitable("no column arrives".to_owned()));
        }
        let columns = incoming.columns.iter().enumerate();
        columns
            .map(|(position, wanted)| {
                let name = &wanted.name;
                let (column, kind) = self
                    .local
                    .column(name)
                    .ok_or_else(|| self.unsuitable(format!("it has no column {name:?}")))?;
                if column.generation == Generation::Computed {
                    return Err(
                        self.unsuitable(format!("its column {name:?} is computed by the database"))
                    );
                }
                if let Some(function) = &kind.foreign_cast {
                    return Err(self.unsuitable(format!(
                        "values of its column {name:?} would be cast by the function {function}, \
                         whose owner is neither this login nor the database's owner nor a superuser"
                    )));
                }
                let as_printed = Origin::Postgres("jsonb".to_owned());
                let keeps_form = (self.keeps_form)(name);
                let keeps_document = keeps_form
                    && kind.physical == PhysicalType::Jsonb
                    && Origin::parse(&wanted.origin) != as_printed;
                let is_enum =
                    |shown: &str| self.local.schema.enums.iter().any(|one| one.name == *shown);
                Ok(StagedColumn {
                    name: name.clone(),
                    kind: kind.clone(),
                    position,
                    equals: EQUALS.to_owned(),
                    packed: None,
                    collation: collations
                        .iter()
                        .find(|(column, _)| column == name)
                        .map(|(_, collation)| collation.clone()),
                    keeps_document,
                    is_printed: keeps_document
                        || keeps_form
                            && kind.physical == PhysicalType::ByText
                            && !is_enum(&kind.shown),
                })
            })
            .collect()
    }

    /// Without a unique index a staged row could match several rows, and every match would scan the table.
    fn check_unique(&self, key: &[&str]) -> Result<(), DatabaseError> {
        let schema = &self.local.schema;
        let same = |other: &[String]| {
            other.len() == key.len() && other.iter().all(|column| key.contains(&column.as_str()))
        };
        if same(&schema.primary_key) || schema.unique_keys.iter().any(|other| same(other)) {
            return Ok(());
        }
        Err(self.unsuitable(format!(
            "it has no primary key or unique constraint of exactly the columns {}",
            key.join(", ")
        )))
    }

    fn check_numbered(&self, key: &[PlanColumn]) -> Result<(), DatabaseError> {
        for PlanColumn { name, .. } in key {
            let numbered = self.local.column(name).is_some_and(|(column, _)| {
                column.default.is_some()
                    || matches!(
                        column.generation,
                        Generation::IdentityAlways | Generation::IdentityDefault
                    )
            });
            if !numbered {
                return Err(self.unsuitable(format!(
                    "its key column {name:?} is not numbered by the database"
                )));
            }
        }
        Ok(())
    }

    fn is_fixed(&self, name: &str) -> bool {
        self.local
            .column(name)
            .is_some_and(|(column, _)| column.generation == Generation::IdentityAlways)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{
        Column, ColumnRule, LogicalType, SetPlan, UpdateRule, ValueSource,
    };
    use crate::database::postgres::catalog::Relation;
    use crate::database::postgres::codec::types::{CatalogType, ColumnType};
    use crate::database::postgres::write::staging::{Rows, STAGING};

    fn table(names: &[&str]) -> Description {
        let int = || {
            ColumnType::new(CatalogType {
                oid: 23,
                element: 0,
                modifier: -1,
                shown: "integer".to_owned(),
                declared: "integer".to_owned(),
                foreign_cast: None,
                base: "integer".to_owned(),
                bare: "integer".to_owned(),
                domain: false,
            })
        };
        let columns = names.iter().map(|&name| Column {
            name: name.to_owned(),
            logical: LogicalType::Integer,
            origin: "pg:integer".to_owned(),
            nullable: true,
            default: None,
            generation: Generation::None,
        });
        Description {
            relation: Relation {
                oid: 1,
                schema: "s\"".to_owned(),
                table: "t\"; DROP TABLE x; --".to_owned(),
                partitioned: false,
                filtered: false,
            },
            key_operators: Vec::new(),
            schema: TableSchema {
                table: "t\"; DROP TABLE x; --".to_owned(),
                columns: columns.collect(),
                primary_key: vec!["k\"".to_owned()],
                unique_keys: Vec::new(),
                foreign_keys: Vec::new(),
                enums: Vec::new(),
            },
            types: names.iter().map(|_| int()).collect(),
        }
    }

    fn plan(source: ValueSource) -> SetPlan {
        SetPlan {
            key: vec!["k\"".to_owned()],
            regenerate_key: false,
            update: Some(UpdateRule {
                columns: vec![ColumnRule {
                    column: "v".to_owned(),
                    source,
                }],
                only_if_newer: None,
            }),
        }
    }

    fn resolve(
        local: &Description,
        incoming: &TableSchema,
        plan: &CheckedPlan,
        constraints: &Constraints,
    ) -> Result<Merge, DatabaseError> {
        let resolve = Resolve {
            local,
            keeps_form: &|_| true,
        };
        resolve.merge(incoming, plan, constraints)
    }

    fn checked(plan: &SetPlan) -> CheckedPlan {
        CheckedPlan::of_tests(plan, &table(&["k\"", "v"]).schema)
    }

    #[test]
    fn names_are_only_ever_quoted() {
        let local = table(&["k\"", "v"]);
        let merge = resolve(
            &local,
            &local.schema,
            &checked(&plan(ValueSource::Greatest)),
            &Constraints::default(),
        )
        .unwrap();
        let statements = [
            merge.create_staging(),
            merge.insert(Rows::All, true),
            merge.insert_compared(Rows::Between(1, 2)),
            merge.look(Rows::All),
            merge.take_existing(Rows::All, true),
            merge.classes(Rows::All),
            merge.update(STAGING, Rows::All, Some(&[1])).unwrap(),
            merge.not_inserted(Rows::All),
            merge.not_updated(STAGING, Rows::All),
            merge.duplicates(),
            merge.repeated(),
            merge.conflicts("true", true, true),
        ];
        for sql in &statements {
            // What is left outside of quotes.
            let bare = sql.replace("\"\"", "");
            let outside: String = bare.split('"').step_by(2).collect();
            assert!(!outside.contains("DROP TABLE x"), "{sql}");
            assert!(!outside.contains("--"), "{sql}");
        }
        assert!(statements.iter().any(|sql| {
            sql.contains("ONLY \"s\"\"\".\"t\"\"; DROP TABLE x; --\" AS t")
                && sql.contains("SET \"v\" = greatest(t.\"v\", s.c1::integer)")
        }));
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        let local = table(&["k\"", "v"]);
        let reason = |incoming: &Description, plan: &SetPlan| {
            let merge = resolve(
                &local,
                &incoming.schema,
                &checked(plan),
                &Constraints::default(),
            );
            merge
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        let same = table(&["k\"", "v"]);
        assert_eq!(reason(&same, &plan(ValueSource::TakeIncoming)), "");
        assert!(
            reason(&table(&["k\""]), &plan(ValueSource::TakeIncoming)).contains("does not arrive")
        );
        assert!(
            reason(&table(&["k\"", "w"]), &plan(ValueSource::TakeIncoming)).contains("no column")
        );
        let mut other_key = plan(ValueSource::TakeIncoming);
        other_key.key = vec!["v".to_owned()];
        other_key.update = None;
        assert!(reason(&same, &other_key).contains("unique"));
        let mut append = plan(ValueSource::TakeIncoming);
        append.regenerate_key = true;
        append.update = None;
        assert!(reason(&same, &append).contains("not numbered"));
        assert!(reason(&table(&[]), &append).contains("no column arrives"));
    }

    #[test]
    fn rules_that_keep_everything_update_nothing() {
        let local = table(&["k\"", "v"]);
        let merge = resolve(
            &local,
            &local.schema,
            &checked(&plan(ValueSource::KeepLocal)),
            &Constraints::default(),
        )
        .unwrap();
        assert!(merge.updates());
        assert!(merge.update(STAGING, Rows::All, None).is_none());
    }
}
