//! The type that a column has in the database it comes from.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A column's type in the database where the column was first described, as that database prints it.
///
/// Its text form, `pg:TYPE` or `sqlite:TYPE`, is what schemas carry and what the origins of columns are kept as. Parsing
/// never fails, and printing gives the same text again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A type of PostgreSQL, as `format_type` prints it: `numeric(10,2)`.
    Postgres(String),
    /// A declared type of SQLite, which may be empty.
    Sqlite(String),
    /// Any other text: a database that this version does not know.
    Other(String),
}

const POSTGRES: &str = "pg:";
const SQLITE: &str = "sqlite:";

impl Origin {
    /// Parses the text form.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix(POSTGRES) {
            Self::Postgres(name.to_owned())
        } else if let Some(declared) = text.strip_prefix(SQLITE) {
            Self::Sqlite(declared.to_owned())
        } else {
            Self::Other(text.to_owned())
        }
    }

    /// Returns true for a type of PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Returns true for a type of SQLite.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Returns the type's name without its database.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Postgres(name) | Self::Sqlite(name) | Self::Other(name) => name,
        }
    }
}

impl FromStr for Origin {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self {
            Self::Postgres(_) => POSTGRES,
            Self::Sqlite(_) => SQLITE,
            Self::Other(_) => "",
        };
        write!(formatter, "{prefix}{}", self.type_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_parsed_and_printed_again() {
        for (text, origin) in [
            ("pg:bigint", Origin::Postgres("bigint".to_owned())),
            ("pg:\"a:b\"[]", Origin::Postgres("\"a:b\"[]".to_owned())),
            ("pg:", Origin::Postgres(String::new())),
            ("sqlite:", Origin::Sqlite(String::new())),
            (
                "sqlite:NUMERIC(10, 2)",
                Origin::Sqlite("NUMERIC(10, 2)".to_owned()),
            ),
            ("", Origin::Other(String::new())),
            ("bigint", Origin::Other("bigint".to_owned())),
            ("PG:bigint", Origin::Other("PG:bigint".to_owned())),
            ("oracle:NUMBER", Origin::Other("oracle:NUMBER".to_owned())),
        ] {
            assert_eq!(Origin::parse(text), origin);
            assert_eq!(origin.to_string(), text);
        }
    }

    #[test]
    fn the_database_and_the_name_are_told_apart() {
        let postgres = Origin::parse("pg:text");
        assert!(postgres.is_postgres() && !postgres.is_sqlite());
        assert_eq!(postgres.type_name(), "text");
        let sqlite = Origin::parse("sqlite:TEXT");
        assert!(sqlite.is_sqlite() && !sqlite.is_postgres());
        assert_eq!(sqlite.type_name(), "TEXT");
        let other = Origin::parse("TEXT");
        assert!(!other.is_sqlite() && !other.is_postgres());
    }
}
