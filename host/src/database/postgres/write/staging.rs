//! The temporary table that rows are in until they are written into their table.

use crate::database::postgres::codec::types::{ColumnType, PhysicalType};
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
    /// Whether a document is staged as it was written, so that it can be compared with what the type prints.
    pub keeps_document: bool,
    /// The collation by which it is compared, quoted, if that takes texts to be equal that are written otherwise.
    pub collation: Option<String>,
    /// Whether its type may print another text than the staged one.
    pub is_printed: bool,
}

impl StagedColumn {
    /// Returns the type of the staging's column.
    pub fn staging_type(&self) -> String {
        let staged = match self.keeps_document {
            true => "text",
            false => self.kind.staging_type(),
        };
        match &self.collation {
            Some(collation) if staged == "text" => format!("{staged} COLLATE {collation}"),
            _ => staged.to_owned(),
        }
    }

    /// Returns true if its values are equal only if they are written alike.
    pub fn is_equal_as_written(&self) -> bool {
        self.collation.is_none() && self.kind.is_equal_as_written()
    }

    /// Returns the form in which values are encoded for the staging.
    pub fn encoded_as(&self) -> PhysicalType {
        match self.keeps_document {
            true => PhysicalType::Json,
            false => self.kind.physical,
        }
    }

    /// Returns true if the type's own function reads the staged text.
    pub fn is_read(&self) -> bool {
        self.keeps_document || self.kind.physical == PhysicalType::ByText
    }

    /// Returns the staged value as it is.
    pub fn staged(&self, alias: &str) -> String {
        format!("{alias}.c{}", self.position)
    }

    /// Returns the incoming value as the column's base type.
    pub fn incoming(&self) -> String {
        self.incoming_of("s")
    }

    /// Returns the same for another alias than `s`.
    pub fn incoming_of(&self, alias: &str) -> String {
        self.kind.staged_expression(&self.staged(alias))
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
