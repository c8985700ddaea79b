//! Resuming an unfinished run: the same tables of the same source into the same target by the same strategies and
//! conversions, whatever the code.

use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::Failure;
use crate::documents::{
    self, RunDocument, Stage, TableDocument, UnfinishedDocument, unfinished_key,
};
use crate::error::{ErrorCode, failure};
use crate::host::Host;
use crate::pull::{STEP_BYTES, STEP_TIME, conversion};

/// Adds tables to the digest of the run until the step's time is over. With the last one, looks for an unfinished run of
/// this digest, and continues it if there is one.
///
/// Fails with `internal` if a stored document cannot be used.
pub fn find_unfinished(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    first: u32,
    digest: String,
) -> Result<Stage, Failure> {
    let began = host.now();
    let mut digest = digest;
    let mut bytes = 0;
    for number in first..document.known {
        if bytes >= STEP_BYTES || number > first && host.now().saturating_sub(began) >= STEP_TIME {
            return Ok(Stage::FindUnfinished(number, digest));
        }
        let shared = documents::get_table::<TableDocument>(host, run, number)?.shared;
        let schema = serde_json::to_string(&shared.schema).map_err(internal)?;
        bytes += schema.len();
        let strategy = document.strategy_for(&shared.table);
        let params = serde_json::to_string(&strategy.params).map_err(internal)?;
        let policies = shared.schema.as_ref();
        let policies = policies.map(|schema| conversion::policies_for(&document.request, schema));
        let policies = serde_json::to_string(&policies).map_err(internal)?;
        let content = format!(
            "{digest}\n{}\n{}{params}\n{policies}\n{schema}",
            shared.table, strategy.name
        );
        digest = hex::encode(host.sha256(content.as_bytes()));
    }
    let target = host.info(&document.request.database)?.identity;
    let content = format!("{}\n{target}\n{digest}", document.source);
    document.unfinished_key = unfinished_key(&host.sha256(content.as_bytes()));
    let unfinished = documents::get::<UnfinishedDocument>(host, &document.unfinished_key)?;
    if let Some((unfinished, _)) = unfinished {
        document.ledger = unfinished.ledger;
        document.created = unfinished.created;
        document.continued = true;
    }
    Ok(Stage::PlanTable(0))
}

/// Keeps a run as unfinished until it is complete.
pub fn remember(
    host: &dyn Host,
    document: &RunDocument,
    instruction: &CopyInstruction,
) -> Result<(), Failure> {
    let created = instruction.tables.iter().filter(|table| table.create);
    let unfinished = UnfinishedDocument {
        ledger: document.ledger.clone(),
        created: created.map(|table| table.incoming.table.clone()).collect(),
    };
    documents::put_durable(host, &document.unfinished_key, &unfinished)
}

fn internal(error: serde_json::Error) -> Failure {
    failure(
        ErrorCode::Internal,
        format!("a table of the plan cannot be written as JSON: {error}"),
        "please report it",
    )
}
