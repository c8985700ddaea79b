//! The age of a row, and which of two versions is newer.

use std::cmp::Ordering;

use crate::NAME;
use crate::bindings::exports::tombolo::sync::conflicts::{Conflict, Decision};
use crate::bindings::tombolo::sync::types::{
    Cell, Column, Error, Generation, LogicalType, TableSchema,
};

/// The columns that can hold a row's age, unless the parameter `column` names another.
pub const DEFAULT_COLUMNS: [&str; 3] = ["updated_at", "last_update", "modified_at"];

/// Returns the position of the column with a row's age among the cells of a row.
///
/// Fails with `not-found` if the strategy is another one, and `invalid` if the parameters or the columns do not fit.
pub fn position(
    strategy: &str,
    params: &[(String, String)],
    incoming: &TableSchema,
) -> Result<usize, Error> {
    if strategy != NAME {
        return Err(Error::NotFound(format!(
            "there is no strategy {strategy:?}; this component has {NAME}"
        )));
    }
    let names = match params {
        [] => DEFAULT_COLUMNS.to_vec(),
        [(key, name)] if key == "column" => vec![name.as_str()],
        _ => {
            return invalid(format!(
                "strategy {NAME} has one parameter, column; leave out the others"
            ));
        }
    };
    // Rows have no cells for computed columns, which are never sent.
    let mut sent = incoming
        .columns
        .iter()
        .filter(|column| !matches!(column.generation, Generation::Computed));
    match sent.position(|column| names.contains(&column.name.as_str()) && has_an_order(column)) {
        Some(position) => Ok(position),
        None => invalid(format!(
            "table {:?} has none of the columns {names:?} with values that can be compared",
            incoming.table
        )),
    }
}

/// Whether cells compare as their values do. Those of decimals, for example, are text.
fn has_an_order(column: &Column) -> bool {
    use LogicalType::{Any, Date, Float, Integer, Text, Time, Timestamp, Timestamptz};
    matches!(
        column.logical,
        Integer | Float | Text | Date | Time | Timestamp | Timestamptz | Any
    )
}

/// Returns `take-incoming` if the incoming row is certainly newer, else `keep-local`.
///
/// Fails with `invalid` if the two values cannot be compared.
pub fn decide(age: usize, conflict: &Conflict) -> Result<Decision, Error> {
    use Cell::{Integer, Null, Real, Text};
    let order = match (conflict.incoming.get(age), conflict.local.get(age)) {
        (Some(Null), Some(_)) => Some(Ordering::Less),
        (Some(_), Some(Null)) => Some(Ordering::Greater),
        (Some(Text(incoming)), Some(Text(local))) => Some(incoming.cmp(local)),
        (Some(Integer(incoming)), Some(Integer(local))) => Some(incoming.cmp(local)),
        (Some(Real(incoming)), Some(Real(local))) => incoming.partial_cmp(local),
        _ => {
            return invalid(format!(
                "strategy {NAME} cannot compare the values of column {}",
                age + 1
            ));
        }
    };
    let newer = order == Some(Ordering::Greater);
    Ok(if newer {
        Decision::TakeIncoming
    } else {
        Decision::KeepLocal
    })
}

fn invalid<T>(reason: String) -> Result<T, Error> {
    Err(Error::Invalid(reason))
}
