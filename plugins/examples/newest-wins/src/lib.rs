//! An example plugin: of two versions of a row, the newer one wins.
//!
//! It fills the role `conflicts` alone (world `conflict-strategy`) with one more strategy, `newest-wins`; the standard
//! ones stay available. Build it like `digit-codes`, then:
//!
//! ```text
//! tombolo pull http://… CODE --into copy.db --strategy newest-wins --plugin conflicts=newest_wins.wasm@sha256:…
//! ```
//!
//! The strategy is row-by-row: the host inserts new rows itself and shows this component only those that exist on both
//! sides with different values. (A set-based plan with `only-if-newer` would do the same inside the database, and
//! faster; this one shows how rows are decided singly.)

#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "conflict-strategy" });

    // Only a component exports; a native build is for tests.
    #[cfg(target_family = "wasm")]
    use super::NewestWins;
    #[cfg(target_family = "wasm")]
    export!(NewestWins);
}

mod age;

use bindings::exports::tombolo::sync::conflicts::{
    Conflict, Decision, Guest, StrategyInfo, StrategyPlan,
};
use bindings::tombolo::sync::types::{Error, TableSchema};

const NAME: &str = "newest-wins";

/// The component; it holds nothing, because every call begins with a fresh instance.
pub struct NewestWins;

impl Guest for NewestWins {
    fn strategies() -> Vec<StrategyInfo> {
        let description = format!(
            "The newer row wins, by the first of {}",
            age::USUAL.join(", ")
        );
        vec![StrategyInfo {
            name: NAME.to_owned(),
            description,
        }]
    }

    fn plan(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        local: TableSchema,
    ) -> Result<StrategyPlan, Error> {
        age::position(&strategy, &params, &incoming)?;
        if local.primary_key.is_empty() {
            let table = &local.table;
            return Err(Error::Invalid(format!(
                "{NAME} needs a primary key, {table:?} has none"
            )));
        }
        Ok(StrategyPlan::RowByRow(local.primary_key))
    }

    fn decide(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        conflicts: Vec<Conflict>,
    ) -> Result<Vec<Decision>, Error> {
        let age = age::position(&strategy, &params, &incoming)?;
        conflicts
            .iter()
            .map(|conflict| age::decide(age, conflict))
            .collect()
    }
}

#[cfg(test)]
mod tests;
