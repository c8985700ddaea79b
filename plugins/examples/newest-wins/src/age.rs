//! Which of two versions of a row is newer: the rule itself, as plain functions.

use std::cmp::Ordering;

use crate::NAME;
use crate::bindings::exports::tombolo::sync::conflicts::{Conflict, Decision};
use crate::bindings::tombolo::sync::types::{
    Cell, Column, Error, Generation, LogicalType, TableSchema,
};

/// Columns that tell a row's age, unless the parameter `column` names another.
pub const USUAL: [&str; 3] = ["updated_at", "last_update", "modified_at"];

/// The position of the column that tells a row's age among the cells of a row.
pub fn position(
    strategy: &str,
    params: &[(String, String)],
    incoming: &TableSchema,
) -> Result<usize, Error> {
    if strategy != NAME {
        return Err(Error::NotFound(format!(
            "no strategy {strategy:?} here, only {NAME}"
        )));
    }
    let names = match params {
        [] => USUAL.to_vec(),
        [(key, name)] if key == "column" => vec![name.as_str()],
        _ => {
            return invalid(format!(
                "{NAME} has one parameter, column; leave the others out"
            ));
        }
    };
    // Computed columns are never sent, so rows have no cells for them.
    let mut sent = incoming
        .columns
        .iter()
        .filter(|column| !matches!(column.generation, Generation::Computed));
    match sent.position(|column| names.contains(&column.name.as_str()) && has_an_order(column)) {
        Some(position) => Ok(position),
        None => invalid(format!(
            "{:?} has no column {names:?} with an order",
            incoming.table
        )),
    }
}

/// Whether cells compare as their values do; those of decimals, for one, are text.
fn has_an_order(column: &Column) -> bool {
    use LogicalType::{Any, Date, Float, Integer, Text, Time, Timestamp, Timestamptz};
    matches!(
        column.logical,
        Integer | Float | Text | Date | Time | Timestamp | Timestamptz | Any
    )
}

/// Only a row that is newer for certain replaces the local one.
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
                "{NAME} cannot compare the values of column {}",
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
