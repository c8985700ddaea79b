//! The component's face: world `rules` of `wit/worlds.wit`, handed on to the plain functions.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated code lifts and lowers by pointer"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "rules",
    additional_derives: [PartialEq],
});

use crate::{conflicts, ddl, sessions};
use exports::tombolo::sync::conflicts::{Conflict, Decision, StrategyInfo, StrategyPlan};
use tombolo::sync::types::{DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict};

struct Rules;

impl exports::tombolo::sync::sessions::Guest for Rules {
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

impl exports::tombolo::sync::conflicts::Guest for Rules {
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

impl exports::tombolo::sync::ddl::Guest for Rules {
    fn create_table(
        dialect: Dialect,
        incoming: TableSchema,
        types: Vec<String>,
        widen: Vec<String>,
    ) -> Result<DdlPlan, Error> {
        ddl::create_table(&dialect, &incoming, &types, &widen)
    }
}

// Natively there is nobody to export to, and the symbols would not link.
#[cfg(target_family = "wasm")]
export!(Rules);
