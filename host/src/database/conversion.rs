//! What the rows of a peer become in the target, without writing them.

use crate::bindings::types::TableSchema;
use crate::rows::RowBlock;

/// Converts the rows of one table to those that the target would hold.
pub trait RowConverter: Send + Sync {
    /// Returns the table with the types of converted rows.
    fn held(&self) -> &TableSchema;

    /// Converts a block. A value that does not fit stays as it is.
    fn convert(&self, block: &RowBlock) -> ConvertedBlock;
}

/// Rows as the target would hold them.
#[derive(Clone, Debug)]
pub struct ConvertedBlock {
    /// The rows, as many as before.
    pub rows: RowBlock,
    /// Each value that does not fit.
    pub misfits: Vec<Misfit>,
}

/// A value that its column does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The position of the row in its block, from 0.
    pub row: u32,
    /// The column.
    pub column: String,
    /// Why, without the value, and the option that would take it.
    pub reason: String,
}
