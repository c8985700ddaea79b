//! The checks on a pull request before anything is sent.

use crate::bindings::client::{ChosenStrategy, PullRequest};
use crate::bindings::types::Failure;
use crate::error::{ErrorCode, failure, printable};
use crate::wire::{MAX_CLAIMER, MAX_CODE, MAX_NAME, MAX_TABLES, is_name};

/// The longest address of a peer, in bytes.
const MAX_URL: usize = 2_048;

/// The most parameters of a strategy.
const MAX_PARAMS: usize = 64;

/// Fails with `bad-request` if a part of the request breaks a limit.
pub fn check(request: &PullRequest) -> Result<(), Failure> {
    let invalid = |what: String, hint: &str| Err(failure(ErrorCode::BadRequest, what, hint));
    let url = request.base_url.len();
    if !(1..=MAX_URL).contains(&url) {
        return invalid(
            format!("the peer's address has {url} bytes instead of 1 to {MAX_URL}"),
            "use the address that `tombolo share` printed",
        );
    }
    let code = request.code.trim().len();
    if !(1..=MAX_CODE).contains(&code) {
        return invalid(
            format!("the code has {code} bytes instead of 1 to {MAX_CODE}"),
            "use the code that `tombolo share` printed",
        );
    }
    let claimer = request.claimer.chars().count();
    if claimer > MAX_CLAIMER {
        return invalid(
            format!("the claimer's name has {claimer} characters instead of at most {MAX_CLAIMER}"),
            "use a shorter name",
        );
    }
    let tables = request.tables.iter();
    let with_strategy = request.table_strategies.iter().map(|(table, _)| table);
    if let Some(name) = tables.chain(with_strategy).find(|name| !is_name(name)) {
        return invalid(
            format!(
                "{:?} is not a table name: names have 1 to {MAX_NAME} bytes and no NUL",
                printable(name)
            ),
            "check the names of the tables",
        );
    }
    let strategies = request
        .table_strategies
        .iter()
        .map(|(_, strategy)| strategy);
    let mut strategies = std::iter::once(&request.strategy).chain(strategies);
    if !strategies.all(is_short) {
        return invalid(
            format!(
                "a strategy has more than {MAX_PARAMS} parameters, or a name or value of more than {MAX_NAME} bytes"
            ),
            "use fewer and shorter parameters",
        );
    }
    let tables = request.tables.len().max(request.table_strategies.len());
    if tables > MAX_TABLES as usize {
        return invalid(
            format!("{tables} tables are named; at most {MAX_TABLES} are possible"),
            "name no table to pull all that are shared",
        );
    }
    Ok(())
}

fn is_short(strategy: &ChosenStrategy) -> bool {
    let params = strategy.params.iter();
    let texts = params.flat_map(|(name, value)| [name, value]);
    strategy.params.len() <= MAX_PARAMS
        && std::iter::once(&strategy.name)
            .chain(texts)
            .all(|text| text.len() <= MAX_NAME)
}
