//! Whole transfers between two sites in memory, without a host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod conversion;
mod plan;
mod resume;
mod retention;
mod routes;
mod runs;
mod sessions;
pub mod site;

use std::rc::Rc;

use crate::bindings::client::{ChosenStrategy, PullRequest};
use crate::bindings::transfers::{RunEvent, TablePlan};
use crate::bindings::types::{
    Column, Conversion, Failure, ForeignKey, Generation, LogicalType, TableSchema,
};
use crate::pull::run;
use site::Site;

/// The address of the peer.
const URL: &str = "http://peer";

/// A table with an integer key and a column for each table it refers to.
fn table(name: &str, references: &[&str]) -> TableSchema {
    let column = |name: String, nullable| Column {
        name,
        logical: LogicalType::Integer,
        origin: "sqlite:INTEGER".to_owned(),
        nullable,
        default: None,
        generation: Generation::None,
    };
    let mut columns = vec![column("id".to_owned(), false)];
    let mut foreign_keys = Vec::new();
    for (number, parent) in references.iter().enumerate() {
        let name = format!("parent_{number}");
        columns.push(column(name.clone(), true));
        foreign_keys.push(ForeignKey {
            columns: vec![name],
            referenced_table: (*parent).to_owned(),
            referenced_columns: Vec::new(),
        });
    }
    TableSchema {
        table: name.to_owned(),
        columns,
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        foreign_keys,
        enums: Vec::new(),
    }
}

fn request(code: &str) -> PullRequest {
    PullRequest {
        base_url: format!("{URL}/"),
        code: code.to_owned(),
        database: "main".to_owned(),
        tables: Vec::new(),
        strategy: strategy("skip"),
        table_strategies: Vec::new(),
        conversions: Conversion::Exact,
        column_conversions: Vec::new(),
        create_missing: true,
        jobs: 1,
        reject_limit: 1_000,
        max_rows: None,
        max_bytes: None,
        claimer: "ana@laptop".to_owned(),
    }
}

/// A site that shares, with its code, and one that pulls from it.
fn two_sites() -> (Rc<Site>, String, Site) {
    let sender = Rc::new(Site::default());
    let code = sender.share(&["*"]);
    let receiver = Site::default();
    receiver.peer.replace(Some(Rc::clone(&sender)));
    (sender, code, receiver)
}

/// Takes all steps of planning. Returns the run and the plan, or why there is none.
fn plan(receiver: &Site, request: PullRequest) -> (String, Result<Vec<TablePlan>, Failure>) {
    let run = run::plan(receiver, request).unwrap();
    receiver.take_steps();
    let outcome = match receiver.run_events_of(&run).pop() {
        Some(RunEvent::Planned(plan)) => Ok(plan),
        Some(RunEvent::Failed(failure)) => Err(failure),
        other => panic!("no outcome of planning: {other:?}"),
    };
    (run, outcome)
}

/// A strategy without parameters.
fn strategy(name: &str) -> ChosenStrategy {
    ChosenStrategy {
        name: name.to_owned(),
        params: Vec::new(),
    }
}
