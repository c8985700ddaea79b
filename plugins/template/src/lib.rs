//! A conflict strategy: of two versions of a row, the one with the greater value in a column is kept.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "conflict-strategy" });

    use super::Component;
    export!(Component);
}

use bindings::exports::tombolo::sync::conflicts::{
    Conflict, Decision, Guest, StrategyInfo, StrategyPlan,
};
use bindings::tombolo::sync::types::{Cell, Error, Generation, TableSchema};

/// `--strategy NAME`.
const NAME: &str = "my-strategy";

/// The component; each call gets a fresh instance.
struct Component;

impl Guest for Component {
    fn strategies() -> Vec<StrategyInfo> {
        vec![StrategyInfo {
            name: NAME.to_owned(),
            description: "The row with the greater number in the column of the parameter `column`".to_owned(),
        }]
    }

    fn plan(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        local: TableSchema,
    ) -> Result<StrategyPlan, Error> {
        position(&strategy, &params, &incoming)?;
        Ok(StrategyPlan::RowByRow(local.primary_key))
    }

    fn decide(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        conflicts: Vec<Conflict>,
    ) -> Result<Vec<Decision>, Error> {
        let column = position(&strategy, &params, &incoming)?;
        // Shown with RUST_LOG=tombolo=debug.
        eprintln!("{} conflicts in table {}", conflicts.len(), incoming.table);
        conflicts
            .iter()
            .map(|conflict| decide(column, conflict))
            .collect()
    }
}

/// Returns where the column of the parameter `column` is in a row.
fn position(
    strategy: &str,
    params: &[(String, String)],
    incoming: &TableSchema,
) -> Result<usize, Error> {
    if strategy != NAME {
        // The host then asks the standard strategies.
        return Err(Error::NotFound(format!("there is no strategy {strategy:?}")));
    }
    let [(name, column)] = params else {
        return Err(Error::Invalid(format!("use {NAME}(column=NAME)")));
    };
    if name != "column" {
        return Err(Error::Invalid(format!("there is no parameter {name:?}; use column")));
    }
    // Rows have no cells for computed columns.
    let mut sent = incoming
        .columns
        .iter()
        .filter(|column| !matches!(column.generation, Generation::Computed));
    sent.position(|sent| sent.name == *column)
        .ok_or_else(|| Error::Invalid(format!("table {:?} has no column {column:?}", incoming.table)))
}

fn decide(column: usize, conflict: &Conflict) -> Result<Decision, Error> {
    match (conflict.incoming.get(column), conflict.local.get(column)) {
        (Some(Cell::Integer(incoming)), Some(Cell::Integer(local))) if incoming > local => {
            Ok(Decision::TakeIncoming)
        }
        (Some(Cell::Integer(_)), Some(Cell::Integer(_))) => Ok(Decision::KeepLocal),
        // The host names the row.
        _ => Err(Error::Invalid("only integers can be compared".to_owned())),
    }
}
