//! Where a database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a database as people write it: `shop.db`, `sqlite:shop.db`, `postgres://user@host/name`.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL URL. It may contain a password and is never printed as it is.
    Postgres(String),
}

/// Why a text is not the address of a database.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A URL of another kind of database.
    #[error("unsupported database URL scheme {0:?}: use postgres:// or a SQLite file")]
    Scheme(String),
    /// Not quite a PostgreSQL URL. The text is not repeated, because it may contain a password.
    #[error(
        "a PostgreSQL URL begins with postgres:// and has this form: postgres://user@host/name"
    )]
    Postgres,
    /// The text is empty.
    #[error("the address of the database is empty: use postgres:// or a SQLite file")]
    Empty,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = match text.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some((scheme, rest)) if rest.starts_with("//") => {
                return Err(LocationError::Scheme(scheme.to_owned()));
            }
            Some((scheme, _)) if is_postgres(scheme) => return Err(LocationError::Postgres),
            _ => text,
        };
        if path.is_empty() {
            return Err(LocationError::Empty);
        }
        Ok(Self::Sqlite(path.into()))
    }
}

fn is_postgres(scheme: &str) -> bool {
    ["postgres", "postgresql"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Prints the address for people, without a password.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "{}", path.display()),
            Self::Postgres(url) => match url::Url::parse(url) {
                Ok(mut parsed) => {
                    let _ = parsed.set_password(None);
                    parsed.set_query(None);
                    write!(formatter, "{parsed}")
                }
                Err(_) => formatter.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for text in ["shop.db", "sqlite:shop.db", "sqlite://shop.db"] {
            assert_eq!(text.parse(), Ok(Location::Sqlite("shop.db".into())));
        }
        assert_eq!(
            "mysql://a/b".parse::<Location>(),
            Err(LocationError::Scheme("mysql".to_owned()))
        );
        assert_eq!("sqlite:".parse::<Location>(), Err(LocationError::Empty));
        // Taken for a file, a message would repeat the password.
        for text in [
            "postgres:ana:secret@host/shop",
            "PostgreSQL:/ana:secret@host/shop",
        ] {
            assert_eq!(text.parse::<Location>(), Err(LocationError::Postgres));
        }
    }

    #[test]
    fn never_shows_a_password() {
        let location: Location = "postgres://ana:secret@127.0.0.1/shop?password=hidden"
            .parse()
            .unwrap();
        let shown = format!("{location} {location:?}");
        assert!(shown.contains("ana@127.0.0.1/shop"));
        assert!(
            !shown.contains("secret") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
