//! The standard conflict strategies, all of them set-based: the database applies them, and this component gets no rows.

use crate::bindings::conflicts::StrategyInfo;
use crate::bindings::types::{
    Column, ColumnRule, Error, Generation, LogicalType, SetPlan, TableSchema, UpdateRule,
    ValueSource,
};
use crate::columns::is_sent;

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
            Self::Skip => "An existing row stays as it is; new rows are inserted",
            Self::Overwrite => {
                "An existing row becomes the incoming one, its NULLs included; new rows are inserted"
            }
            Self::Merge => {
                "An existing row takes the incoming values, except where they are NULL; new rows are inserted"
            }
            Self::Append => "Every incoming row is inserted as a new one, with a new key",
        }
    }
}

/// Returns all strategies, the default first.
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

/// Returns how a strategy writes the rows of `incoming` into `local`.
///
/// # Errors
///
/// Fails with `not-found` if there is no such strategy, and `invalid` if there are parameters or the key of a table does
/// not allow the strategy.
pub fn plan(
    strategy: &str,
    params: &[(String, String)],
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<SetPlan, Error> {
    let strategy = find(strategy)?;
    if let Some((name, _)) = params.first() {
        return Err(Error::Invalid(format!(
            "strategy {} has no parameters; leave out {name:?}",
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

/// Returns the error of `decide`, which a host calls for row-by-row plans only.
#[must_use]
pub fn not_row_by_row(strategy: &str) -> Error {
    match find(strategy) {
        Ok(strategy) => Error::Invalid(format!(
            "strategy {} is set-based and decides no single rows; use its plan",
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
                "there is no strategy {name:?}; choose one of {known}"
            ))
        })
}

/// The columns that identify a row: the local primary key, if all of it arrives. Without a primary key, the smallest unique
/// key that arrives and allows no NULL; of several, the first one by the names of its columns.
fn key(
    strategy: Strategy,
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<Vec<String>, Error> {
    if local.primary_key.is_empty() {
        return unique_key(incoming, local).ok_or_else(|| {
            Error::Invalid(format!(
                "strategy {} identifies rows by their primary key, and table {:?} has none, nor a unique key without NULL; \
                 use append, which inserts every row, or give the table a primary key",
                strategy.name(),
                local.table
            ))
        });
    }
    match local
        .primary_key
        .iter()
        .find(|name| !is_sent(name, incoming))
    {
        Some(missing) => Err(Error::Invalid(format!(
            "strategy {} identifies rows by their primary key, and key column {missing:?} of table {:?} \
             does not arrive; use a source that has the column",
            strategy.name(),
            local.table
        ))),
        None => Ok(local.primary_key.clone()),
    }
}

fn unique_key(incoming: &TableSchema, local: &TableSchema) -> Option<Vec<String>> {
    let identifies = |name: &String| {
        let mut columns = local.columns.iter();
        let own = columns.find(|column| column.name == *name);
        own.is_some_and(|column| !column.nullable && column.generation != Generation::Computed)
            && is_sent(name, incoming)
    };
    let keys = local.unique_keys.iter();
    let keys = keys.filter(|key| !key.is_empty() && key.iter().all(identifies));
    keys.min_by_key(|key| (key.len(), *key)).cloned()
}

/// A plan that writes every column that arrives and can be updated from the same source.
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
            !key.contains(&column.name) && can_be_updated(column) && is_sent(&column.name, incoming)
        })
        .map(|column| ColumnRule {
            column: column.name.clone(),
            source: source.clone(),
        })
        .collect();
    Ok(SetPlan {
        key,
        regenerate_key: false,
        // Without a column to change, every existing row is already what it would become.
        update: Some(UpdateRule {
            columns,
            only_if_newer: None,
        }),
    })
}

/// A plan that inserts every row: with a new key from the database, or as it is if the table has no key.
fn append(incoming: &TableSchema, local: &TableSchema) -> Result<SetPlan, Error> {
    let refuse = |reason: String| {
        Err(Error::Invalid(format!(
            "strategy append cannot give the rows of table {:?} new keys: {reason}; \
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
        names => return refuse(format!("its key has {} columns", names.len())),
    };
    let Some(column) = local.columns.iter().find(|column| column.name == *name) else {
        return refuse(format!("its key column {name:?} does not exist"));
    };
    if column.logical != LogicalType::Integer {
        return refuse(format!("its key column {name:?} is not an integer"));
    }
    if !matches!(
        column.generation,
        Generation::IdentityAlways | Generation::IdentityDefault
    ) {
        return refuse(format!(
            "the database does not number its key column {name:?}"
        ));
    }
    Ok(SetPlan {
        key: key(Strategy::Append, incoming, local)?,
        regenerate_key: true,
        update: None,
    })
}

/// Databases refuse to update a computed column and an identity that is always generated.
fn can_be_updated(column: &Column) -> bool {
    !matches!(
        column.generation,
        Generation::Computed | Generation::IdentityAlways
    )
}

#[cfg(test)]
mod tests;
