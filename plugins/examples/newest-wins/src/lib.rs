//! An example plugin: of two versions of a row, the newer one is kept.
//!
//! It fills only the role `conflicts` (world `conflict-strategy`), with the strategy `newest-wins`; the standard
//! strategies stay available. Build it like `digit-codes`, then run:
//!
//! ```text
//! tombolo pull http://… --into copy.db --strategy newest-wins --plugin conflicts=newest_wins.wasm@sha256:…
//! ```
//!
//! The strategy is row-by-row: the host inserts new rows itself, and this component decides on the rows that exist on both
//! sides with different values. A set-based plan with `only-if-newer` would do the same in the database, and faster; this
//! example shows how single rows are decided.

#[allow(unsafe_code, missing_docs, reason = "generated code")]
mod bindings {
    //! World `conflict-strategy` of `wit/worlds.wit` as Rust; generated.

    wit_bindgen::generate!({ path: "../../../wit", world: "conflict-strategy" });

    // A native build is for tests: it has no host to export to, and would not link.
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

/// The component; it holds nothing, because each call gets a fresh instance.
pub struct NewestWins;

impl Guest for NewestWins {
    fn strategies() -> Vec<StrategyInfo> {
        let description = format!(
            "The newer row is kept, by the first of the columns {}",
            age::DEFAULT_COLUMNS.join(", ")
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
                "strategy {NAME} needs a primary key, and table {table:?} has none"
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
