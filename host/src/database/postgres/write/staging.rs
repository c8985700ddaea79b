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

/// So many columns have a staged column each. PostgreSQL allows 1 600, and the staging has one more than the table.
const OWN_COLUMNS: usize = 1_500;

/// The place of a value in an array of the staging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// The array's number.
    pub array: usize,
    /// From 1.
    pub index: usize,
}

/// An array of the staging, which holds the values of several columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackedArray {
    /// The type of its elements.
    pub element: String,
    /// That type's object identifier.
    pub oid: u32,
    /// How many elements it has.
    pub length: usize,
}

/// Gives the columns behind the first [`OWN_COLUMNS`] places in arrays, one for each type. Returns the arrays.
pub(super) fn pack(columns: &mut [StagedColumn]) -> Vec<PackedArray> {
    let mut arrays: Vec<PackedArray> = Vec::new();
    for column in columns.iter_mut().skip(OWN_COLUMNS) {
        let staged = match column.keeps_document {
            true => PhysicalType::ByText,
            false => column.kind.physical,
        };
        let Some(oid) = staged.staged_oid() else {
            continue;
        };
        let element = column.staging_type();
        let array = match arrays.iter().position(|array| array.element == element) {
            Some(array) => array,
            None => {
                arrays.push(PackedArray {
                    element,
                    oid,
                    length: 0,
                });
                arrays.len() - 1
            }
        };
        if let Some(packed) = arrays.get_mut(array) {
            packed.length += 1;
            column.packed = Some(Packed {
                array,
                index: packed.length,
            });
        }
    }
    arrays
}

/// One incoming column and its type in the table; it is staged as `c` and its position, or in an array.
#[derive(Clone, Debug)]
pub(super) struct StagedColumn {
    pub name: String,
    pub kind: ColumnType,
    pub position: usize,
    /// The operator by which its key compares it.
    pub equals: String,
    /// Whether a document is staged as it was written, so that it can be compared with what the type prints.
    pub keeps_document: bool,
    /// Where its staged value is, if not in a column of its own.
    pub packed: Option<Packed>,
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
        match self.packed {
            Some(Packed { array, index }) => format!("({alias}.p{array})[{index}]"),
            None => format!("{alias}.c{}", self.position),
        }
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
