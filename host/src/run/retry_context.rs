//! What the ledger keeps of a table's order, so that its rejected rows can be tried again without the peer.

use serde::{Deserialize, Serialize};

use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::{Conversion, Failure, TableSchema};
use crate::failure::{ErrorCode, failure};

/// One table's order, as far as its rows are concerned.
#[derive(Debug, Serialize, Deserialize)]
pub struct RetryContext {
    /// The table as its rows arrived.
    pub incoming: TableSchema,
    /// The strategy's name.
    pub strategy: String,
    /// The strategy's parameters.
    pub params: Vec<(String, String)>,
    /// What becomes of values that do not fit, by column.
    pub conversions: Vec<(String, Conversion)>,
}

impl RetryContext {
    /// Of an order.
    pub fn of(instruction: &TableInstruction) -> Self {
        Self {
            incoming: instruction.incoming.clone(),
            strategy: instruction.strategy.clone(),
            params: instruction.params.clone(),
            conversions: instruction.conversions.clone(),
        }
    }

    /// As the ledger keeps it.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|error| failure(ErrorCode::Internal, error.to_string(), ""))
    }
}
