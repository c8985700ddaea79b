//! Asks the components what a strategy means for one table, and checks their plan before anything is written.

use super::conflicts::Resolver;
use crate::bindings::conflicts::StrategyPlan;
use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{
    ColumnRule, Error, Failure, Generation, SetPlan, TableSchema, UpdateRule, ValueSource,
};
use crate::database::CheckedPlan;
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;
use crate::sandbox::ConflictStrategies;

/// What happens to the rows of one table.
pub struct Strategy {
    /// What the database does.
    pub plan: CheckedPlan,
    /// Who resolves conflicting rows first, if the strategy is row by row.
    pub resolver: Option<Resolver>,
    /// The rule of a component for all rows.
    pub rule: Option<SetPlan>,
}

/// Asks the components in their sequence for the table's strategy.
///
/// Fails with `no-such-strategy` if none of them knows it, with `unsuitable-table` if it cannot be used for the table, and with
/// `plugin` if its plan cannot be carried out.
pub async fn resolve(
    components: &[ConflictStrategies],
    instruction: &TableInstruction,
    local: &TableSchema,
) -> Result<Strategy, Failure> {
    if instruction.create
        && local.primary_key.is_empty()
        && is_known(components, instruction).await?
    {
        // Without a key, every strategy means the same for a table that the run creates.
        return Ok(Strategy {
            plan: CheckedPlan::insert(),
            resolver: None,
            rule: None,
        });
    }
    for component in components {
        let answer = component
            .plan(
                &instruction.strategy,
                &instruction.params,
                &instruction.incoming,
                local,
            )
            .await?;
        let plan = match answer {
            Ok(plan) => plan,
            Err(Error::NotFound(_)) => continue,
            Err(error) => return Err(refused(instruction, error)),
        };
        return match plan {
            StrategyPlan::SetBased(plan) => Ok(Strategy {
                plan: checked(&plan, instruction, local)?,
                resolver: None,
                rule: Some(plan),
            }),
            StrategyPlan::RowByRow(key) => Ok(Strategy {
                resolver: Some(Resolver::new(component.clone(), instruction, &key)),
                plan: checked(&take_incoming(key, local), instruction, local)?,
                rule: None,
            }),
            StrategyPlan::Other(_) => Err(unusable(
                instruction,
                "its plan needs a newer version of tombolo",
            )),
        };
    }
    let mut known = Vec::new();
    for component in components {
        known.extend(
            component
                .strategies()
                .await?
                .into_iter()
                .map(|one| one.name),
        );
    }
    Err(failure(
        ErrorCode::NoSuchStrategy,
        format!("no strategy is called {:?}", instruction.strategy),
        format!("choose one of: {}", printable(&known.join(", "))),
    ))
}

async fn is_known(
    components: &[ConflictStrategies],
    instruction: &TableInstruction,
) -> Result<bool, Failure> {
    for component in components {
        let strategies = component.strategies().await?;
        if strategies
            .iter()
            .any(|one| one.name == instruction.strategy)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns what row by row means for the database: it takes each row that is still in the staging.
fn take_incoming(key: Vec<String>, local: &TableSchema) -> SetPlan {
    let columns = local
        .columns
        .iter()
        .filter(|column| !key.contains(&column.name))
        .filter(|column| column.generation != Generation::Computed)
        .map(|column| ColumnRule {
            column: column.name.clone(),
            source: ValueSource::TakeIncoming,
        })
        .collect();
    SetPlan {
        key,
        regenerate_key: false,
        update: Some(UpdateRule {
            columns,
            only_if_newer: None,
        }),
    }
}

/// Checks a component's plan for the table as it is.
fn checked(
    plan: &SetPlan,
    instruction: &TableInstruction,
    local: &TableSchema,
) -> Result<CheckedPlan, Failure> {
    let checked = CheckedPlan::check(plan, &instruction.incoming, local);
    checked.map_err(|error| unusable(instruction, &error.to_string()))
}

fn unusable(instruction: &TableInstruction, why: &str) -> Failure {
    failure(
        ErrorCode::Plugin,
        format!(
            "strategy {:?} cannot be used for table {:?}: {why}",
            instruction.strategy, instruction.incoming.table
        ),
        "choose another strategy for this table",
    )
}

fn refused(instruction: &TableInstruction, error: Error) -> Failure {
    let reason = Failure::from(error).message;
    failure(
        ErrorCode::UnsuitableTable,
        format!(
            "table {:?} cannot be pulled with strategy {:?}: {reason}",
            instruction.incoming.table, instruction.strategy
        ),
        "choose another strategy for this table with --strategy TABLE=NAME",
    )
}
