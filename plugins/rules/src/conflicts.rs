//! Conflict strategies: what happens to a row that exists on both sides. All of them are set-based, so the database
//! does the work and no row enters this component.

use crate::bindings::conflicts::StrategyInfo;
use crate::bindings::types::{
    Column, ColumnRule, Error, Generation, LogicalType, SetPlan, TableSchema, UpdateRule,
    ValueSource,
};

/// A strategy of this component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    Skip,
    Overwrite,
    Merge,
    Append,
}

impl Strategy {
    const ALL: [Self; 4] = [Self::Skip, Self::Overwrite, Self::Merge, Self::Append];

    fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Overwrite => "overwrite",
            Self::Merge => "merge",
            Self::Append => "append",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Skip => "A row that exists here stays as it is; new rows are inserted",
            Self::Overwrite => {
                "A row that exists here becomes the incoming one, its NULLs included; new rows are inserted"
            }
            Self::Merge => {
                "Incoming values win, and where the incoming row has NULL the local value stays; new rows are inserted"
            }
            Self::Append => "Every incoming row is inserted as a new one, under a new number",
        }
    }
}

/// All strategies, the default first.
#[must_use]
pub fn strategies() -> Vec<StrategyInfo> {
    Strategy::ALL
        .iter()
        .map(|strategy| StrategyInfo {
            name: strategy.name().to_owned(),
            description: strategy.description().to_owned(),
        })
        .collect()
}

/// How a strategy takes the rows of `incoming` into `local`.
///
/// # Errors
///
/// `not-found` for an unknown strategy; `invalid` for parameters (there are none) and for tables whose key does not
/// allow the strategy.
pub fn plan(
    strategy: &str,
    params: &[(String, String)],
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<SetPlan, Error> {
    let strategy = find(strategy)?;
    if let Some((name, _)) = params.first() {
        return Err(Error::Invalid(format!(
            "strategy {} has no parameter {name:?}, nor any other; leave it out",
            strategy.name()
        )));
    }
    match strategy {
        Strategy::Skip => Ok(SetPlan {
            key: key(strategy, incoming, local)?,
            regenerate_key: false,
            update: None,
        }),
        Strategy::Overwrite => update_all(strategy, ValueSource::TakeIncoming, incoming, local),
        Strategy::Merge => update_all(strategy, ValueSource::Coalesce, incoming, local),
        Strategy::Append => append(incoming, local),
    }
}

/// The answer to `decide`, which hosts call for row-by-row plans only.
#[must_use]
pub fn not_row_by_row(strategy: &str) -> Error {
    match find(strategy) {
        Ok(strategy) => Error::Invalid(format!(
            "strategy {} is one rule for all rows and decides none singly; follow its plan instead",
            strategy.name()
        )),
        Err(error) => error,
    }
}

fn find(name: &str) -> Result<Strategy, Error> {
    Strategy::ALL
        .into_iter()
        .find(|strategy| strategy.name() == name)
        .ok_or_else(|| {
            let known = Strategy::ALL.map(Strategy::name).join(", ");
            Error::NotFound(format!(
                "there is no strategy {name:?} here; choose one of {known}"
            ))
        })
}

/// The columns that say whether a row exists: the local primary key, as far as it arrives.
fn key(
    strategy: Strategy,
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<Vec<String>, Error> {
    if local.primary_key.is_empty() {
        return Err(Error::Invalid(format!(
            "strategy {} recognises rows by their primary key, and table {:?} has none here; \
             use append, which inserts every row, or give the table a primary key",
            strategy.name(),
            local.table
        )));
    }
    match local
        .primary_key
        .iter()
        .find(|name| !arrives(name, incoming))
    {
        Some(missing) => Err(Error::Invalid(format!(
            "strategy {} recognises rows by their primary key, and column {missing:?} of that key of table {:?} \
             does not arrive; share the column at the other site",
            strategy.name(),
            local.table
        ))),
        None => Ok(local.primary_key.clone()),
    }
}

/// A plan that takes every column that arrives and can be written from the same source.
fn update_all(
    strategy: Strategy,
    source: ValueSource,
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<SetPlan, Error> {
    let key = key(strategy, incoming, local)?;
    let columns: Vec<ColumnRule> = local
        .columns
        .iter()
        .filter(|column| {
            !key.contains(&column.name) && can_be_updated(column) && arrives(&column.name, incoming)
        })
        .map(|column| ColumnRule {
            column: column.name.clone(),
            source: source.clone(),
        })
        .collect();
    Ok(SetPlan {
        key,
        regenerate_key: false,
        // Without a column to change, every row that exists is already what it would become.
        update: Some(UpdateRule {
            columns,
            only_if_newer: None,
        }),
    })
}

/// Every row is new: under a number of the local database, or as it is where the table has no key at all.
fn append(incoming: &TableSchema, local: &TableSchema) -> Result<SetPlan, Error> {
    let refuse = |reason: String| {
        Err(Error::Invalid(format!(
            "strategy append gives each row a new number as its key, and {reason} of table {:?}; \
             use skip, overwrite or merge",
            local.table
        )))
    };
    let name = match local.primary_key.as_slice() {
        [] => {
            return Ok(SetPlan {
                key: Vec::new(),
                regenerate_key: false,
                update: None,
            });
        }
        [name] => name,
        names => return refuse(format!("{} columns together are the key", names.len())),
    };
    let Some(column) = local.columns.iter().find(|column| column.name == *name) else {
        return refuse(format!("key column {name:?} is not among the columns"));
    };
    if column.logical != LogicalType::Integer {
        return refuse(format!("key column {name:?} is not an integer"));
    }
    if !matches!(
        column.generation,
        Generation::IdentityAlways | Generation::IdentityDefault
    ) {
        return refuse(format!(
            "the database here does not number key column {name:?}"
        ));
    }
    Ok(SetPlan {
        key: key(Strategy::Append, incoming, local)?,
        regenerate_key: true,
        update: None,
    })
}

/// Computed columns are never sent.
fn arrives(name: &str, incoming: &TableSchema) -> bool {
    incoming
        .columns
        .iter()
        .any(|column| column.name == name && column.generation != Generation::Computed)
}

/// Databases refuse an UPDATE of what they compute, and of an identity that is always theirs.
fn can_be_updated(column: &Column) -> bool {
    !matches!(
        column.generation,
        Generation::Computed | Generation::IdentityAlways
    )
}

#[cfg(test)]
mod tests;
