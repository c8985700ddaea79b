//! Says for each PostgreSQL type how its values are read and written, and which logical type it has.

use super::wide_text::Form;
use crate::bindings::types::LogicalType;
use crate::database::{OVER, Origin, logical_of};

/// The object identifiers of types, the same in every PostgreSQL (`pg_type.dat`).
mod oid {
    pub const BOOL: i64 = 16;
    pub const BYTEA: i64 = 17;
    pub const NAME: i64 = 19;
    pub const INT8: i64 = 20;
    pub const INT2: i64 = 21;
    pub const INT4: i64 = 23;
    pub const TEXT: i64 = 25;
    pub const JSON: i64 = 114;
    pub const XML: i64 = 142;
    pub const FLOAT4: i64 = 700;
    pub const FLOAT8: i64 = 701;
    pub const BPCHAR: i64 = 1042;
    pub const VARCHAR: i64 = 1043;
    pub const DATE: i64 = 1082;
    pub const TIME: i64 = 1083;
    pub const TIMESTAMP: i64 = 1114;
    pub const TIMESTAMPTZ: i64 = 1184;
    pub const INTERVAL: i64 = 1186;
    pub const TIMETZ: i64 = 1266;
    pub const BIT: i64 = 1560;
    pub const VARBIT: i64 = 1562;
    pub const NUMERIC: i64 = 1700;
    pub const REGCLASS: i64 = 2205;
    pub const UUID: i64 = 2950;
    pub const JSONB: i64 = 3802;
}

/// The header that length modifiers include (`VARHDRSZ`).
const MODIFIER_OFFSET: i32 = 4;

/// PostgreSQL cuts a `name` silently at this many bytes (`NAMEDATALEN - 1`).
const NAME_BYTES: usize = 63;

/// How many digits a `numeric(p,s)` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) struct NumericLimit {
    pub precision: i32,
    pub scale: i32,
}

/// How long a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum TextLimit {
    None,
    Characters(usize),
    Bytes(usize),
}

/// The binary form of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum PhysicalType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(Option<NumericLimit>),
    Text(TextLimit),
    Bytea,
    Date,
    /// With this many digits behind the second.
    Time(u32),
    /// With this many digits behind the second.
    Timestamp(u32),
    /// With this many digits behind the second.
    Timestamptz(u32),
    Uuid,
    Json,
    Jsonb,
    /// A text column that holds every value of SQLite.
    WideText(Form),
    /// Every other type: its text form, printed and parsed by the type's own functions.
    ByText,
}

impl PhysicalType {
    /// Returns true if values have a fixed width, so that comparing two of them is fast.
    pub fn is_compared_quickly(self) -> bool {
        !matches!(
            self,
            Self::Numeric(_)
                | Self::Text(_)
                | Self::Bytea
                | Self::Json
                | Self::Jsonb
                | Self::WideText(_)
                | Self::ByText
        )
    }
}

/// What the catalog says about a column's type, domains resolved.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct CatalogType {
    /// The object identifier of the base type.
    pub oid: i64,
    /// The object identifier of an array's elements, else 0.
    pub element: i64,
    /// The base type's modifier, or -1.
    pub modifier: i32,
    /// The column's own type as the login sees it.
    pub shown: String,
    /// The column's own type as statements name it.
    pub declared: String,
    /// The base type with its modifier.
    pub base: String,
    /// The base type without its modifier.
    pub bare: String,
    /// Whether the column's own type is a domain.
    pub domain: bool,
    /// The function of a cast from text to the base type, if the login does not trust it.
    pub foreign_cast: Option<String>,
}

/// A column's type, as far as reading and writing need it.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct ColumnType {
    /// The object identifier of the base type.
    pub oid: i64,
    pub physical: PhysicalType,
    pub logical: LogicalType,
    /// The column's own type as the login sees it.
    pub shown: String,
    /// The column's own type as statements name it.
    pub declared: String,
    /// The base type with its modifier.
    pub base: String,
    /// The base type without its modifier.
    pub bare: String,
    /// Whether the column's own type is a domain.
    pub domain: bool,
    /// The function of a cast from text to the base type, if the login does not trust it.
    pub foreign_cast: Option<String>,
    /// Whether the modifier can round or cut a value silently in a cast from text.
    pub lossy_modifier: bool,
    /// The type whose text form is used, where that of the type itself leaves something out.
    printed_as: Option<&'static str>,
    /// The type's input function, where a cast from text is something else.
    input: Option<&'static str>,
}

impl ColumnType {
    pub fn new(catalog: CatalogType) -> Self {
        let physical = physical_type(catalog.oid, catalog.modifier);
        let lossy_modifier = physical == PhysicalType::ByText
            && catalog.modifier != -1
            && (has_lossy_modifier(catalog.oid) || has_lossy_modifier(catalog.element));
        Self {
            oid: catalog.oid,
            physical,
            logical: logical(catalog.oid, &catalog.shown),
            shown: catalog.shown,
            foreign_cast: catalog.foreign_cast,
            declared: catalog.declared,
            base: catalog.base,
            bare: catalog.bare,
            domain: catalog.domain,
            lossy_modifier,
            // `xml_out` drops the document's declaration, a cast to text keeps it.
            printed_as: match (catalog.oid, catalog.element) {
                (oid::XML, _) => Some("text"),
                (_, oid::XML) => Some("text[]"),
                _ => None,
            },
            // The cast reads the dash that means no relation as a name.
            input: (catalog.oid == oid::REGCLASS).then_some("regclassin"),
        }
    }

    /// Returns true if a column of this type can hold every value of SQLite.
    pub fn can_be_wide(&self) -> bool {
        self.physical == PhysicalType::Text(TextLimit::None) && self.declared == "text"
    }

    /// Makes it the type of a column that holds every value of a SQLite column of this origin.
    pub fn widen(&mut self, origin: &str) {
        self.physical = PhysicalType::WideText(Form::of(origin));
        self.logical = logical_of(origin);
    }

    /// Returns the expression for a column's value in its physical form.
    pub fn read_expression(&self, column: &str) -> String {
        match self.physical {
            // `format` keeps the padding of char(n) and turns NULL into '', and IS NULL confuses a null composite.
            PhysicalType::ByText => {
                let cast = self
                    .printed_as
                    .map_or_else(String::new, |name| format!("::pg_catalog.{name}"));
                format!(
                    "CASE WHEN {column} IS NOT DISTINCT FROM NULL THEN NULL ELSE pg_catalog.format('%s', {column}{cast}) END"
                )
            }
            _ => self.base_expression(column),
        }
    }

    /// Returns the expression for a column's value as its base type.
    pub fn base_expression(&self, column: &str) -> String {
        if self.domain {
            format!("{column}::{}", self.base)
        } else {
            column.to_owned()
        }
    }

    /// Returns the expression for a staged value as the base type with its modifier.
    pub fn staged_expression(&self, staged: &str) -> String {
        self.cast(staged, &self.base)
    }

    /// Returns the expression for a staged value as the base type without its modifier.
    pub fn bare_expression(&self, staged: &str) -> String {
        self.cast(staged, &self.bare)
    }

    fn cast(&self, staged: &str, to: &str) -> String {
        match self.input {
            Some(input) => format!("pg_catalog.{input}(pg_catalog.textout({staged}))"),
            None => format!("{staged}::{to}"),
        }
    }

    /// Returns the type of the staging column: wide enough for every value that [`super::encode`] lets through.
    pub fn staging_type(&self) -> &str {
        match self.physical {
            PhysicalType::ByText | PhysicalType::Text(_) | PhysicalType::WideText(_) => "text",
            _ => &self.bare,
        }
    }

    /// Returns the origin of a column for which none is stored.
    pub fn origin(&self) -> Origin {
        // Another database knows the values of a domain by its base type, if that is built in.
        let built_in = !self.base.contains(['.', '"']);
        if self.domain && built_in {
            return Origin::Postgres(format!("{}{OVER}{}", self.shown, self.base));
        }
        Origin::Postgres(self.shown.clone())
    }
}

fn physical_type(base: i64, modifier: i32) -> PhysicalType {
    let characters = || {
        let length = modifier.checked_sub(MODIFIER_OFFSET);
        length
            .and_then(|length| usize::try_from(length).ok())
            .map_or(TextLimit::None, TextLimit::Characters)
    };
    let precision = || u32::try_from(modifier).map_or(6, |digits| digits.min(6));
    match base {
        oid::BOOL => PhysicalType::Bool,
        oid::INT2 => PhysicalType::Int2,
        oid::INT4 => PhysicalType::Int4,
        oid::INT8 => PhysicalType::Int8,
        oid::FLOAT4 => PhysicalType::Float4,
        oid::FLOAT8 => PhysicalType::Float8,
        oid::NUMERIC => PhysicalType::Numeric(numeric_limit(modifier)),
        oid::TEXT => PhysicalType::Text(TextLimit::None),
        oid::VARCHAR | oid::BPCHAR => PhysicalType::Text(characters()),
        oid::NAME => PhysicalType::Text(TextLimit::Bytes(NAME_BYTES)),
        oid::BYTEA => PhysicalType::Bytea,
        oid::DATE => PhysicalType::Date,
        oid::TIME => PhysicalType::Time(precision()),
        oid::TIMESTAMP => PhysicalType::Timestamp(precision()),
        oid::TIMESTAMPTZ => PhysicalType::Timestamptz(precision()),
        oid::UUID => PhysicalType::Uuid,
        oid::JSON => PhysicalType::Json,
        oid::JSONB => PhysicalType::Jsonb,
        _ => PhysicalType::ByText,
    }
}

fn logical(base: i64, shown: &str) -> LogicalType {
    match base {
        oid::BOOL => LogicalType::Boolean,
        oid::INT2 | oid::INT4 | oid::INT8 => LogicalType::Integer,
        oid::FLOAT4 | oid::FLOAT8 => LogicalType::Float,
        oid::NUMERIC => LogicalType::Decimal,
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME => LogicalType::Text,
        oid::BYTEA => LogicalType::Bytes,
        oid::DATE => LogicalType::Date,
        oid::TIME => LogicalType::Time,
        oid::TIMETZ => LogicalType::Timetz,
        oid::TIMESTAMP => LogicalType::Timestamp,
        oid::TIMESTAMPTZ => LogicalType::Timestamptz,
        oid::INTERVAL => LogicalType::Interval,
        oid::UUID => LogicalType::Uuid,
        oid::JSON | oid::JSONB => LogicalType::Json,
        _ => LogicalType::Other(shown.to_owned()),
    }
}

/// Unpacks a modifier: precision in the upper half, scale as a signed 11-bit number in the lower (`numeric_typmod_scale`).
fn numeric_limit(modifier: i32) -> Option<NumericLimit> {
    let packed = modifier.checked_sub(MODIFIER_OFFSET)?;
    (packed >= 0).then_some(NumericLimit {
        precision: (packed >> 16) & 0xFFFF,
        scale: ((packed & 0x7FF) ^ 0x400) - 0x400,
    })
}

/// Returns true for types whose modifier rounds or cuts in an explicit cast.
fn has_lossy_modifier(oid: i64) -> bool {
    matches!(
        oid,
        oid::BPCHAR
            | oid::VARCHAR
            | oid::TIME
            | oid::TIMETZ
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::INTERVAL
            | oid::BIT
            | oid::VARBIT
            | oid::NUMERIC
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_become_limits() {
        assert_eq!(numeric_limit(-1), None);
        let limit = |precision, scale| Some(NumericLimit { precision, scale });
        assert_eq!(numeric_limit((12 << 16 | 2) + 4), limit(12, 2));
        assert_eq!(numeric_limit((2 << 16 | (-3 & 0x7FF)) + 4), limit(2, -3));
        assert_eq!(
            physical_type(oid::VARCHAR, 164),
            PhysicalType::Text(TextLimit::Characters(160))
        );
        for none in [-1, i32::MIN] {
            assert_eq!(
                physical_type(oid::BPCHAR, none),
                PhysicalType::Text(TextLimit::None)
            );
        }
        assert_eq!(physical_type(oid::TIMESTAMP, 3), PhysicalType::Timestamp(3));
        assert_eq!(
            physical_type(oid::TIMESTAMP, -1),
            PhysicalType::Timestamp(6)
        );
    }
}
