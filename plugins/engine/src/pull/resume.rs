//! Going on with a run that did not finish: the same rows from the same source into the same target by the same
//! strategies, whatever the code.

use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::Failure;
use crate::documents::{self, RunDocument, Stage, UnfinishedDocument, VERSION};
use crate::error::{ErrorCode, failure};
use crate::host::Host;
use crate::pull::conversion::of_table;
use crate::pull::discover;
use crate::pull::table_plan::strategy;
use crate::wire::hex;

/// A step ends after so many milliseconds.
const STEP_TIME: u64 = 1_500;

/// Digests what the run is about, table by table; then looks whether such a run has not finished.
pub fn recall(
    host: &dyn Host,
    run: &str,
    document: &mut RunDocument,
    first: u32,
    digest: String,
) -> Result<Stage, Failure> {
    let began = host.now();
    let mut digest = digest;
    for number in first..document.known {
        if number > first && host.now().saturating_sub(began) >= STEP_TIME {
            return Ok(Stage::Recall(number, digest));
        }
        let table = discover::table(host, run, number)?;
        let schema = serde_json::to_string(&table.shared.schema).map_err(internal)?;
        let strategy = strategy(document, &table.shared.table);
        let conversions = table
            .shared
            .schema
            .as_ref()
            .map(|schema| of_table(document, schema));
        let conversions = serde_json::to_string(&conversions).map_err(internal)?;
        let about = format!(
            "{digest}\n{}\n{strategy}\n{conversions}\n{schema}",
            table.shared.table
        );
        digest = hex(&host.sha256(about.as_bytes()));
    }
    let target = host.info(&document.database)?.identity;
    let about = format!("{}\n{target}\n{digest}", document.source);
    document.unfinished_key = format!("unfinished/{}", hex(&host.sha256(about.as_bytes())));
    let unfinished = documents::get::<UnfinishedDocument>(host, &document.unfinished_key)?;
    if let Some((unfinished, _)) = unfinished {
        document.ledger = unfinished.ledger;
        document.created = unfinished.created;
        document.continued = true;
    }
    Ok(Stage::Compare(0))
}

fn internal(error: serde_json::Error) -> Failure {
    failure(ErrorCode::Internal, error.to_string(), "")
}

/// Remembers the run until it finishes.
pub fn remember(
    host: &dyn Host,
    document: &RunDocument,
    instruction: &CopyInstruction,
) -> Result<(), Failure> {
    let created = instruction.tables.iter().filter(|table| table.create);
    let unfinished = UnfinishedDocument {
        version: VERSION,
        ledger: document.ledger.clone(),
        created: created.map(|table| table.incoming.table.clone()).collect(),
    };
    documents::keep(host, &document.unfinished_key, &unfinished)
}
