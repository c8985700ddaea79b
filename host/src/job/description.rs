//! What the ledger keeps of a table's order, so that its rejected rows can be tried again without the peer.

use serde::{Deserialize, Serialize};

use crate::bindings::transfers::TableOrder;
use crate::bindings::types::{Failure, MisfitPolicy, TableSchema};
use crate::failure::failure;

/// One table's order, as far as its rows are concerned.
#[derive(Debug, Serialize, Deserialize)]
pub struct Description {
    /// The table as its rows arrived.
    pub incoming: TableSchema,
    /// The strategy's name.
    pub strategy: String,
    /// The strategy's parameters.
    pub params: Vec<(String, String)>,
    /// What becomes of values that do not fit, by column.
    pub misfits: Vec<(String, MisfitPolicy)>,
}

impl Description {
    /// Of an order.
    pub fn of(order: &TableOrder) -> Self {
        Self {
            incoming: order.incoming.clone(),
            strategy: order.strategy.clone(),
            params: order.params.clone(),
            misfits: order.misfits.clone(),
        }
    }

    /// As the ledger keeps it.
    pub fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| failure("internal", error.to_string(), ""))
    }
}
