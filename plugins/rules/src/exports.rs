//! The functions that the component exports, handed on to the modules that implement them.

use crate::bindings::conflicts::{Conflict, Decision, StrategyInfo, StrategyPlan};
use crate::bindings::exports::tombolo::sync as exported;
use crate::bindings::types::{
    CreateOptions, DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict,
};
use crate::{conflicts, ddl, sessions};

/// The component; it holds nothing, because each call gets a fresh instance.
pub struct Rules;

impl exported::sessions::Guest for Rules {
    fn new_code(entropy: Vec<u8>) -> Result<String, Error> {
        sessions::new_code(&entropy)
    }

    fn normalize(code: String) -> Result<String, Error> {
        Ok(sessions::normalize(&code))
    }

    fn decide(facts: SessionFacts) -> Result<Verdict, Error> {
        Ok(sessions::decide(&facts))
    }
}

impl exported::conflicts::Guest for Rules {
    fn strategies() -> Vec<StrategyInfo> {
        conflicts::strategies()
    }

    fn plan(
        strategy: String,
        params: Vec<(String, String)>,
        incoming: TableSchema,
        local: TableSchema,
    ) -> Result<StrategyPlan, Error> {
        conflicts::plan(&strategy, &params, &incoming, &local).map(StrategyPlan::SetBased)
    }

    fn decide(
        strategy: String,
        _params: Vec<(String, String)>,
        _incoming: TableSchema,
        _conflicts: Vec<Conflict>,
    ) -> Result<Vec<Decision>, Error> {
        Err(conflicts::not_row_by_row(&strategy))
    }
}

impl exported::ddl::Guest for Rules {
    fn create_table(
        dialect: Dialect,
        incoming: TableSchema,
        options: CreateOptions,
    ) -> Result<DdlPlan, Error> {
        ddl::create_table(&dialect, &incoming, &options)
    }
}

/// The entry points of the component. A native build is for tests: it has no host to export to, and would not link.
#[cfg(target_family = "wasm")]
mod entry_points {
    #![allow(
        unsafe_code,
        missing_docs,
        reason = "generated code lifts and lowers by pointer"
    )]

    use super::Rules;

    crate::bindings::export!(Rules with_types_in crate::bindings);
}
