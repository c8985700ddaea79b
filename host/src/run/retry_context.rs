//! What the ledger keeps of a table's instruction, so that its rejected rows can be retried without the peer.

use serde::{Deserialize, Serialize};

use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Conversion, Failure, TableSchema};
use crate::failure::{ErrorCode, failure};

/// The parts of a table's instruction that decide what happens to its rows.
#[derive(Debug, Serialize, Deserialize)]
pub struct RetryContext {
    /// The table as its rows arrived.
    pub incoming: TableSchema,
    /// The strategy's name.
    pub strategy: String,
    /// The strategy's parameters.
    pub params: Vec<(String, String)>,
    /// What happens to values that do not fit, by column.
    pub conversions: Vec<(String, Conversion)>,
}

impl RetryContext {
    /// Returns the context of an instruction.
    pub fn of(instruction: &TableInstruction) -> Self {
        Self {
            incoming: instruction.incoming.clone(),
            strategy: instruction.strategy.clone(),
            params: instruction.params.clone(),
            conversions: instruction.conversions.clone(),
        }
    }

    /// Returns the text that the ledger keeps.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|error| failure(ErrorCode::Internal, error.to_string(), ""))
    }
}
