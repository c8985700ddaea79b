//! The temporary table that rows are in until they are written into their table.

use crate::database::postgres::codec::types::ColumnType;
use crate::database::quote;

/// The staging's name in statements; a session has at most one.
pub(super) const STAGING: &str = "pg_temp.tombolo_staging";

/// Copies rows into the staging.
pub(super) const COPY_STAGING: &str = "COPY pg_temp.tombolo_staging FROM STDIN (FORMAT binary)";

/// The temporary table of staged rows that exist, for plans that separate them.
pub(super) const EXISTING: &str = "pg_temp.tombolo_existing";

/// All staged rows, or those behind the first number up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Rows {
    All,
    Between(u64, u64),
}

impl Rows {
    /// Returns the condition on the staging's rows `s`.
    pub fn condition(self) -> String {
        match self {
            Self::All => "true".to_owned(),
            Self::Between(after, last) => {
                format!("s.\"row\" > {after} AND s.\"row\" <= {last}")
            }
        }
    }
}

/// One incoming column and its type in the table; it is staged as `c` and its position.
#[derive(Clone, Debug)]
pub(super) struct StagedColumn {
    pub name: String,
    pub kind: ColumnType,
    pub position: usize,
    /// The operator by which its key compares it.
    pub equals: String,
    /// Whether it is staged as text that another type has printed.
    pub foreign_text: bool,
}

impl StagedColumn {
    /// Returns the incoming value as the column's base type.
    pub fn incoming(&self) -> String {
        self.incoming_of("s")
    }

    /// Returns the same for another alias than `s`.
    pub fn incoming_of(&self, alias: &str) -> String {
        self.kind
            .staged_expression(&format!("{alias}.c{}", self.position))
    }

    /// Returns the condition that the local and the incoming value are equal for their key.
    pub fn matches(&self) -> String {
        format!("{} {} {}", self.local(), self.equals, self.incoming())
    }

    /// Returns the local value as the column's base type.
    pub fn local(&self) -> String {
        self.kind
            .base_expression(&format!("t.{}", quote(&self.name)))
    }
}
