//! The temporary table that rows are in until they are written into their table.

use crate::database::postgres::codec::types::ColumnType;
use crate::database::quote;

/// The staging's name in statements; a session has one at most.
pub(in crate::database::postgres) const STAGING: &str = "pg_temp.tombolo_staging";

/// Copies rows into the staging.
pub(super) const COPY_STAGING: &str = "COPY pg_temp.tombolo_staging FROM STDIN (FORMAT binary)";

/// Where staged rows are that exist, for plans that need them apart.
pub(in crate::database::postgres) const EXISTING: &str = "pg_temp.tombolo_existing";

/// All staged rows, or those behind the first number up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Rows {
    All,
    Between(u64, u64),
}

impl Rows {
    /// As a condition on the staging's rows `s`.
    pub fn condition(self) -> String {
        match self {
            Self::All => "true".to_owned(),
            Self::Between(after, last) => {
                format!("s.\"row\" > {after} AND s.\"row\" <= {last}")
            }
        }
    }
}

/// One incoming column and where it goes; it is staged as `c` and its position.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct StagedColumn {
    pub name: String,
    pub kind: ColumnType,
    pub position: usize,
    /// Staged as text that something else than this type has written.
    pub foreign_text: bool,
}

impl StagedColumn {
    /// The incoming value as the column's base type.
    pub fn incoming(&self) -> String {
        self.incoming_of("s")
    }

    /// The same of another alias than `s`.
    pub fn incoming_of(&self, alias: &str) -> String {
        self.kind
            .staged_expression(&format!("{alias}.c{}", self.position))
    }

    /// The local value as the column's base type.
    pub fn local(&self) -> String {
        self.kind
            .base_expression(&format!("t.{}", quote(&self.name)))
    }
}
